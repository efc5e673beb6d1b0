import {
  ALL_KEYS,
  commandHeader,
  compareBytes,
  decodeShardCommand,
  type Entry,
  type GroupId,
  type Index,
  type KeyRange,
  type LeaseId,
  type Op,
  type Revision,
  type RevisionEvents,
  type SessionTag,
  type ShardCommand,
  rangeContains,
  takesRevision,
  toKeyString,
} from '@kvorum/model'
import { ownsCommand, SPLIT_BASE } from '@kvorum/machine'
import { decodeConfig, isJoint } from '@kvorum/raft'
import { evaluate } from '../check/kvReference.js'
import { Truth } from '../check/kvView.js'
import { TransactionEnds, type Outcomes } from '../invariants/transactionEnds.js'
import { LeaseTruth } from './leaseTruth.js'
import { endOfLease, TransactionTruth } from './transactionTruth.js'
import { Refusals } from './refusals.js'
import { SessionTruth } from './sessionTruth.js'

/** What an entry came to, by the reference. */
export interface Deed {
  readonly command: ShardCommand | null
  readonly refused: boolean
  /** Null when no key changed. */
  readonly change: RevisionEvents | null
  /** The change is a part of one over several groups, all at one revision. */
  readonly shared?: boolean
  /** The lease that ends in several groups at this revision. */
  readonly ends?: LeaseId
  /** Its revision came from the oracle. */
  readonly stamped?: boolean
  /** What was split off. */
  readonly right?: GroundTruth
}

/** What a group begins with: its keys (null: the meta group, whose commands are not the shards'), and their past. */
export interface Beginning {
  readonly range: KeyRange | null
  /** Writes have a revision before they are in the log. */
  readonly oracle?: boolean
  /** Of transactions, in all groups. */
  readonly outcomes: Outcomes
}

interface Half {
  readonly epoch: number
  readonly truth: Truth
  readonly refusals: Refusals
  readonly transactions: TransactionTruth
}

/**
 * What one group's committed log says that its state must be: entries are carried out by the reference, in the
 * order in which the first replica applied them. Everything clients saw is compared with it.
 */
export class GroundTruth {
  readonly group: GroupId
  readonly truth: Truth
  readonly leases = new Map<LeaseId, number>()
  /** The committed log, from where it begins. */
  readonly entries: Entry[] = []
  /** Before the first entry: of a right half its birth. */
  readonly base: Index
  range: KeyRange | null
  readonly #refusals: Refusals
  readonly #transactions: TransactionTruth
  readonly #elsewhere: LeaseTruth
  readonly #sessions: SessionTruth
  readonly #outcomes: Outcomes
  #oracle: boolean
  #epoch: number
  #joint = false

  constructor(group: GroupId, { range, oracle = false, outcomes }: Beginning, half: Half | null = null) {
    this.group = group
    this.#outcomes = outcomes
    this.#elsewhere = new LeaseTruth(group, this.leases)
    this.#sessions = new SessionTruth(group)
    this.range = range
    this.base = half === null ? 0 : SPLIT_BASE.index
    this.truth = half?.truth ?? new Truth()
    this.#refusals = half?.refusals ?? new Refusals()
    this.#transactions = half?.transactions ?? new TransactionTruth(new TransactionEnds(outcomes))
    this.#oracle = oracle
    this.#epoch = half?.epoch ?? 1
  }

  get applied(): Index {
    return this.base + this.entries.length
  }

  /** The next committed entry, applied for the first time anywhere. */
  apply(entry: Entry): Deed {
    this.entries.push(entry)
    const { range } = this
    if (entry.kind === 'config') this.#joint = isJoint(decodeConfig(entry.data))
    if (range === null || entry.kind !== 'normal') return { command: null, refused: false, change: null }
    const command = decodeShardCommand(entry.data)
    const { session, authRevision, stamp } = commandHeader(entry.data)
    const refused: Deed = { command, refused: true, change: null }
    if (command.kind === 'endDense') this.#oracle = true
    if (command.kind === 'split') return this.#split(command, range) ?? refused
    if (this.#oracle && stamp === undefined && takesRevision(entry.data)) return refused
    if (this.#transactions.isLocked(command, session)) return refused
    if (command.kind === 'leaseRevoke' && this.#elsewhere.isElsewhere(command.id)) return refused
    if (this.#refusals.isOutdated(command, authRevision)) return refused
    if (!ownsCommand(range, command)) return refused
    if (session !== null && !this.#firstTime(session)) return refused
    if (this.#refusals.isWithoutRoom(command)) return refused
    this.#refusals.take(command, this.truth)
    const deed = this.#carryOut(command, entry.index, stamp ?? 0)
    if (deed.change !== null) {
      this.truth.append(deed.change)
      this.#refusals.wrote(deed.change)
    }
    return { ...deed, stamped: this.#oracle }
  }

  /** Null: it is refused, or done already. */
  #split({ at, right, epoch }: ShardCommand & { kind: 'split' }, range: KeyRange): Deed | null {
    const isInside = rangeContains(range, at) && compareBytes(at, range.start) > 0
    const isBusy = !this.#oracle || this.#joint || this.truth.compacted !== this.#refusals.reclaimed
    if (epoch <= this.#epoch || !isInside || isBusy) return null
    const start = Buffer.from(at)
    const left = { start: range.start, end: start }
    const beginning = { range: { start, end: range.end }, oracle: true, outcomes: this.#outcomes }
    const truth = this.truth.split(toKeyString(start))
    const refusals = this.#refusals.split()
    const transactions = this.#transactions.split(left, beginning.range, right)
    const born = new GroundTruth(right, beginning, { epoch, truth, refusals, transactions })
    // Leases and sessions stay where they are: the right half may have keys of any of them.
    this.#elsewhere.attached(this.leases.keys(), [beginning.range])
    this.range = left
    this.#epoch = epoch
    return {
      command: { kind: 'split', at: start, right, epoch },
      refused: false,
      change: null,
      right: born,
    }
  }

  /** Whether this write of a session is carried out: the session lives, and never had this sequence. */
  #firstTime(tag: SessionTag): boolean {
    if (this.#sessions.leaseOf(tag) === null) return false
    this.#sessions.answered(tag)
    return true
  }

  #openSession(lease: LeaseId, index: Index): boolean {
    return this.leases.has(lease) && this.#sessions.open(lease, index)
  }

  #carryOut(command: ShardCommand, index: Index, stamp: Revision): Deed {
    const refused: Deed = { command, refused: true, change: null }
    const { truth, leases } = this
    const revision = stamp === 0 ? truth.revision + 1 : stamp
    switch (command.kind) {
      case 'write':
        return this.#write(command, command.op, revision) ?? refused
      case 'compact':
        if (command.revision > Math.max(truth.revision, stamp) || command.revision <= truth.compacted)
          return refused
        truth.compact(command.revision)
        return { command, refused: false, change: null }
      case 'publish':
        return { command, refused: false, change: null }
      case 'prepare':
      case 'decide':
      case 'end':
      case 'forget':
        return this.#takePart(command)
      case 'leaseGrant':
        if (leases.has(command.id)) return refused
        leases.set(command.id, command.ttl)
        return { command, refused: false, change: null }
      case 'authFence':
        return { command, refused: false, change: null }
      case 'leaseRevoke': {
        if (!leases.has(command.id)) return refused
        this.#elsewhere.ended(command.id)
        this.#sessions.ended(command.id)
        return { command, refused: false, change: endOfLease(truth, command.id, revision) }
      }
      case 'sessionOpen':
        return { command, refused: !this.#openSession(command.lease, index), change: null }
      case 'guard':
      case 'reclaim':
      case 'endDense':
      case 'split':
        return { command, refused: false, change: null }
    }
  }

  #takePart(command: ShardCommand): Deed {
    const outcome = this.#transactions.apply(command, this.truth, {
      range: this.range ?? ALL_KEYS,
      leases: this.#elsewhere,
      sessions: this.#sessions,
    })
    const ends = this.#elsewhere.carriedOut(outcome)
    const deed = { command, refused: false, change: outcome.change, shared: true }
    if (ends === undefined) return deed
    this.#sessions.ended(ends)
    return { ...deed, ends }
  }

  #write(command: ShardCommand, op: Op, revision: Revision): Deed | null {
    const { truth, leases } = this
    const effect = evaluate(truth.view(revision - 1), op, revision)
    if (effect === null) return null
    const { events } = effect
    if (events.some(({ kind, kv }) => kind === 'put' && kv.lease !== 0n && !leases.has(kv.lease))) return null
    return { command, refused: false, change: events.length === 0 ? null : { revision, events } }
  }
}
