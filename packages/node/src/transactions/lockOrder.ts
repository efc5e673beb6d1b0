import { decodeShardCommand, type ClientRequest, type KeyRange, type TransactionId } from '@kvorum/model'
import {
  compareAges,
  isPrepared,
  locksOn,
  overlapAny,
  sameTransaction,
  type QueuedWrite,
} from '@kvorum/placement'
import type { Call } from '../calls.js'
import { awaitLeader } from '../stages.js'
import type { Group, Turn } from '../state.js'

/**
 * Who goes on, and in which order, when the locks of a transaction are gone. A prepare is in the log a round trip earlier
 * than a put, which needs a revision: where transactions follow one another, the put would find it locked every time. So
 * it goes first, and prepares with locks in its way wait until it is applied; among themselves the oldest comes first.
 *
 * They wait only for a put that waits for nobody itself: not for one behind a transaction that may be waiting in another
 * shard, for it might wait for the prepare. Behind that one they are refused or wait by age, when they are applied.
 */
export interface LockWait {
  readonly call: Call
  /** Not proposed again before these are over. */
  readonly behind: readonly TransactionId[]
}

/** A command of a transaction is to be proposed later: locks or puts are in its way, or the leader is not ready. */
export function waitForLocks(
  turn: Turn,
  group: Group,
  call: Call,
  behind: readonly TransactionId[] = [],
): void {
  if (group.revisions === null) awaitLeader(turn, group, call)
  else group.lockWaits.push({ call, behind })
}

/** Those whose locks are gone are proposed again, before what has come since. */
export function lockWaitsOver(group: Group): void {
  if (group.lockWaits.length === 0 || group.revisions?.open !== true) return
  const { transactions } = group.machine.revisions
  const waiting: LockWait[] = []
  const over: Call[] = []
  for (const wait of group.lockWaits) {
    const { call, behind } = wait
    if (call.done) continue
    if (behind.some(id => isPrepared(transactions, id))) waiting.push(wait)
    else over.push(call)
  }
  group.lockWaits = waiting
  group.proposing = [...oldestFirst(over), ...group.proposing]
}

/** Ends before them all. */
function oldestFirst(calls: readonly Call[]): Call[] {
  const aged = calls.map(call => ({ call, age: prepareIn(call.request)?.age }))
  return aged
    .sort(({ age: a }, { age: b }) =>
      a === undefined || b === undefined
        ? Number(a !== undefined) - Number(b !== undefined)
        : compareAges(a, b),
    )
    .map(({ call }) => call)
}

const prepareIn = (request: ClientRequest) => {
  const command = request.kind === 'transaction' ? decodeShardCommand(request.command) : null
  return command?.kind === 'prepare' ? command.prepare : null
}

/** What was prepared here waits for nobody any more, in no shard: its end is about to be proposed. */
export function endProposed({ stamping, machine }: Group, id: TransactionId): void {
  const { transactions } = machine.revisions
  stamping.ending = [...stamping.ending, id].filter(other => isPrepared(transactions, other))
}

/** What is read and written by puts that have waited for locks, and wait for nobody any more. */
export function firstInLine({ revisions, stamping, machine }: Group): readonly KeyRange[] {
  if (revisions === null) return []
  const { transactions } = machine.revisions
  const isEnding = (id: TransactionId): boolean => stamping.ending.some(other => sameTransaction(other, id))
  const isNext = ({ ranges, behind = [] }: QueuedWrite): boolean =>
    locksOn(transactions, ranges).every(({ id }) => isEnding(id)) &&
    behind.every(id => isEnding(id) || !isPrepared(transactions, id))
  const onTheirWay = [...revisions.asks.flatMap(({ writes }) => writes), ...revisions.pending]
  return [...onTheirWay, ...revisions.queued.filter(isNext)]
    .filter(({ write }) => {
      const call = stamping.writes.get(write)
      return call !== undefined && call.metLock && !call.done
    })
    .flatMap(({ ranges }) => ranges)
}

/** Whether the leader is ready for a command of a transaction, and no put comes first. */
export function mayBeProposed(group: Group, request: ClientRequest, first: readonly KeyRange[]): boolean {
  if (group.revisions?.open !== true) return false
  return first.length === 0 || !overlapAny(prepareIn(request)?.locks ?? [], first)
}
