import {
  commandHeader,
  decodeShardCommand,
  type Entry,
  type GroupId,
  type Index,
  type LeaseId,
  type Op,
  type Revision,
  type RevisionEvents,
  type SessionTag,
  type ShardCommand,
  takesRevision,
} from '@kvorum/model'
import { evaluate } from '../check/kvReference.js'
import { Truth } from '../check/kvView.js'
import type { EntryMark } from '../invariants/observation.js'
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
}

/**
 * What one group's committed log says that its state must be: entries are carried out by the reference, in the
 * order in which the first replica applied them. Everything clients saw is compared with it.
 */
export class GroundTruth {
  readonly group: GroupId
  readonly truth = new Truth()
  readonly leases = new Map<LeaseId, number>()
  /** The committed log, from index 1. */
  readonly entries: Entry[] = []
  readonly #refusals = new Refusals()
  readonly #transactions = new TransactionTruth()
  readonly #elsewhere: LeaseTruth
  readonly #sessions: SessionTruth
  readonly #contents = new Map<string, Entry>()
  readonly #keyed: boolean
  /** Writes have a revision before they are in the log. */
  #oracle: boolean

  /** `keyed` false: the meta group, whose commands are not the shards'. */
  constructor(group: GroupId, keyed: boolean, oracle = false) {
    this.group = group
    this.#elsewhere = new LeaseTruth(group, this.leases)
    this.#sessions = new SessionTruth(group)
    this.#keyed = keyed
    this.#oracle = oracle
  }

  get applied(): Index {
    return this.entries.length
  }

  /** An entry was seen in some replica's log. */
  remember(entry: Entry): void {
    this.#contents.set(`${entry.index} ${entry.term}`, entry)
  }

  entryOf({ index, term }: EntryMark): Entry | undefined {
    return this.#contents.get(`${index} ${term}`)
  }

  /** The next committed entry, applied for the first time anywhere. */
  apply(entry: Entry): Deed {
    this.entries.push(entry)
    if (!this.#keyed || entry.kind !== 'normal') return { command: null, refused: false, change: null }
    const command = decodeShardCommand(entry.data)
    const { session, authRevision, stamp } = commandHeader(entry.data)
    const refused: Deed = { command, refused: true, change: null }
    if (command.kind === 'endDense') this.#oracle = true
    if (this.#oracle && stamp === undefined && takesRevision(entry.data)) return refused
    if (this.#transactions.isLocked(command, session)) return refused
    if (command.kind === 'leaseRevoke' && this.#elsewhere.isElsewhere(command.id)) return refused
    if (this.#refusals.isOutdated(command, authRevision)) return refused
    if (session !== null && !this.#firstTime(session)) return refused
    if (this.#refusals.isWithoutRoom(command)) return refused
    this.#refusals.take(command, this.truth)
    const deed = this.#carryOut(command, entry.index, stamp ?? 0)
    if (deed.change !== null) {
      this.truth.append(deed.change)
      this.#refusals.wrote(deed.change)
    }
    return deed
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
      mayEnd: end => this.#elsewhere.mayEnd(end),
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
