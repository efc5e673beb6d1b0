import {
  addRange,
  decodeWork,
  EMPTY,
  encodeWork,
  leaseId,
  NO_LEASE,
  ok,
  rangeCovers,
  sessionId,
  type KeyRange,
  type Op,
  type Revision,
  type SessionTag,
  type TransactionPrepare,
} from '@kvorum/model'
import { claim, isKnown } from '@kvorum/machine'
import type { Prepared, Transactions } from '@kvorum/placement'
import type { Breach, PlannedWork } from './configuration.js'
import { holds, POINTS, type Key } from './keys.js'
import type { Rules } from './rules.js'

/** What the shard with the first keys has of the one lease that there is, and of the session that belongs to it. */
export interface Home {
  readonly alive: boolean
  /** Where other shards may have keys of the lease. */
  readonly elsewhere: readonly KeyRange[]
  /** The session's one write was carried out at this revision. */
  readonly answer: Revision | null
}

export const ENDED: Home = { alive: false, elsewhere: [], answer: null }

const LEASE = leaseId(1n)
const SESSION = sessionId(1n)
const TAG: SessionTag = { session: SESSION, sequence: 1, acknowledgedBelow: 1 }
/** Which keys it writes the model knows by itself. */
const OP: Op = { kind: 'txn', compares: [], success: [], failure: [] }

/** What a shard is asked to do if a transaction commits, as it travels. `ranges`: of other shards, with keys of the lease. */
export function workOf(work: PlannedWork, isHome: boolean, ranges: readonly KeyRange[]): Uint8Array {
  switch (work) {
    case 'op':
      return EMPTY
    case 'attach':
      return encodeWork({ kind: 'attach', op: OP, leases: [LEASE], ranges })
    case 'endLease':
      return encodeWork({ kind: 'revoke', lease: LEASE, ranges })
    case 'session':
      return isHome ? encodeWork({ kind: 'op', op: OP, session: { tag: TAG, lease: NO_LEASE } }) : EMPTY
  }
}

/** Null: it writes keys, and that is all. */
export const decodedWork = (work: Uint8Array) => (work.length === 0 ? null : decodeWork(work))

/** Transactions that a write of one shard alone has to wait for, because of what it touches besides its keys. */
export function waitsFor(
  rules: Rules,
  breach: Breach | null,
  transactions: Transactions,
  work: PlannedWork,
): readonly Prepared[] {
  switch (work) {
    case 'op':
      return []
    case 'attach':
      return rules.endsOfLease(transactions, LEASE)
    case 'endLease':
      return breach === 'leaseEndPassesLocks' ? [] : rules.locksOnLease(transactions, LEASE)
    case 'session':
      return breach === 'sequencePassesLocks' ? [] : rules.locksOnSequence(transactions, TAG)
  }
}

/** The session's write has been carried out, at `answer`; or its session, or a lease, is no more (null). */
export interface Known {
  readonly kind: 'known'
  readonly answer: Revision | null
}
const GONE: Known = { kind: 'known', answer: null }

/** Null: the home has not seen this write yet. */
export function claimSequence({ alive, answer }: Home): Known | null {
  const replies = new Map(answer === null ? [] : [[1, { revision: answer, result: ok(EMPTY) }]])
  const session = { id: SESSION, lease: LEASE, acknowledgedBelow: 1, replies }
  const byId = new Map(alive ? [[SESSION, session]] : [])
  const claimed = claim({ byId, byLease: new Map(), bytes: 0 }, TAG)
  if (claimed.kind === 'first') return null
  return claimed.kind === 'repeated' ? { kind: 'known', answer: claimed.reply.revision } : GONE
}

export interface LeaseHolder {
  readonly range: KeyRange
  /** Null: leases are not at home here. */
  readonly home: Home | null
  readonly attached: readonly Key[]
}

/** As a shard holds it: it knows which keys are attached, and which lease the session has. Or why it does not. */
export function heldHere(
  rules: Rules,
  breach: Breach | null,
  { range, home, attached }: LeaseHolder,
  known: Transactions,
  prepare: TransactionPrepare,
): TransactionPrepare | Known | 'moved' {
  const work = decodedWork(prepare.work)
  if (work === null) return prepare
  const isHere =
    rules.hasEnded(known, prepare.id) ||
    known.prepared.some(other => rules.sameTransaction(other.id, prepare.id))
  switch (work.kind) {
    case 'revoke': {
      if (!isHere && !prepare.locks.every(lock => rangeCovers(range, lock))) return 'moved'
      if (!isHere && home !== null) {
        if (!home.alive) return GONE
        const lease = { id: LEASE, ttl: 1, elsewhere: work.ranges }
        if (breach !== 'endAsksTooFew' && !isKnown(lease, home.elsewhere)) return 'moved'
      }
      const locks = breach === 'attachedNotLocked' ? [] : attached.map(key => POINTS[key])
      return { ...prepare, locks }
    }
    case 'attach':
      return !isHere && home?.alive === false ? GONE : prepare
    case 'op': {
      const { session } = work
      const claimed = isHere || home === null || session === undefined ? null : claimSequence(home)
      if (claimed !== null) return claimed
      if (isHere || session === undefined || breach === 'sessionLeaseNotHeld') return prepare
      return { ...prepare, work: encodeWork({ ...work, session: { ...session, lease: LEASE } }) }
    }
  }
}

/** A transaction commits here. `decides`: this is its primary. */
export function homeAfter(
  breach: Breach | null,
  home: Home | null,
  work: ReturnType<typeof decodedWork>,
  decides: boolean,
  revision: Revision,
): Home | null {
  if (home === null || work === null || !home.alive) return home
  switch (work.kind) {
    case 'revoke':
      return ENDED
    case 'attach':
      if (breach === 'elsewhereForgotten') return home
      return { ...home, elsewhere: work.ranges.reduce(addRange, home.elsewhere) }
    case 'op':
      if (work.session === undefined || !decides || breach === 'answerNotKept') return home
      return { ...home, answer: revision }
  }
}

/** The home is split: what was attached in the right half is elsewhere now, whichever keys that were. */
export function homeSplit(breach: Breach | null, home: Home | null, right: KeyRange): Home | null {
  if (home === null || !home.alive || breach === 'splitNotNoted') return home
  return { ...home, elsewhere: addRange(home.elsewhere, right) }
}

/** Keys of one half. */
export const attachedIn = (attached: readonly Key[], range: KeyRange): readonly Key[] =>
  attached.filter(key => holds(range, key))
