import type { ReplyHeader, TransactionId } from '@kvorum/model'
import { sameTransaction } from '@kvorum/placement'
import { answerCall, type Call } from '../calls.js'
import type { Group, Turn } from '../state.js'

/**
 * A transaction is judged by users and roles when it is prepared, and decided later. So a change of them is acknowledged
 * only when what was prepared here before it came is over: until then it could still be committed.
 */
export interface Fencing {
  /** The newest fence that was looked at. */
  revision: number
  /** Prepared when that one came, or when it was first looked at; some of them may be over. */
  before: readonly TransactionId[]
  /** Whoever put the fence into the log, and waits for those. */
  waiting: readonly { readonly call: Call; readonly header: ReplyHeader; readonly body: Uint8Array }[]
}

export const createFencing = (): Fencing => ({ revision: 0, before: [], waiting: [] })

/** The newest fence that holds here: nothing older has an effect any more. 0: none, as far as this replica knows. */
export function fenceHere(group: Group): number {
  const { fencing, machine } = group
  const revision = machine.shard?.authFence.revision ?? 0
  if (revision === 0) return 0
  const { prepared } = machine.revisions.transactions
  if (revision !== fencing.revision) {
    fencing.revision = revision
    fencing.before = prepared.map(({ id }) => id)
  }
  if (fencing.before.length > 0)
    fencing.before = fencing.before.filter(id => prepared.some(other => sameTransaction(other.id, id)))
  return fencing.before.length === 0 ? revision : 0
}

/** Answers now, or when the fence holds. */
export function answerFence(
  turn: Turn,
  group: Group,
  call: Call,
  header: ReplyHeader,
  body: Uint8Array,
): void {
  // Whoever has no answer in time asks again.
  const others = group.fencing.waiting.filter(waiting => !waiting.call.done)
  group.fencing.waiting = [...others, { call, header, body }]
  releaseFences(turn, group)
}

/** An entry was applied that may have ended what was waited for. */
export function releaseFences(turn: Turn, group: Group): boolean {
  const { fencing } = group
  const waited = fencing.before.length > 0
  if (fenceHere(group) === 0) return false
  const { waiting } = fencing
  fencing.waiting = []
  for (const { call, header, body } of waiting) answerCall(turn, call, header, body)
  return waited
}
