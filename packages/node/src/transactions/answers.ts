import {
  assert,
  encodeReply,
  isJudged,
  ok,
  type KeptReply,
  type KvError,
  type Op,
  type Reply,
  type Revision,
  type TransactionOutcome,
} from '@kvorum/model'
import { joinAnswers, plainAnswers, toKeep } from '@kvorum/machine'
import type { Running, Task } from './state.js'

/** What the client of a transaction is told, and what the home of its session keeps of it. */

/** Whether the answer says more than that the operation was carried out. */
export function asksForData(op: Op): boolean {
  if (op.kind === 'txn') return op.success.some(asksForData) || op.failure.some(asksForData)
  return op.kind !== 'put' || op.prevKv
}

/** A refusal that a session's home remembers as the answer to this write. */
export const isKept = (task: Task, { code }: KvError): boolean =>
  task.kind === 'op' && task.session !== null && isJudged(code)

/** What the session's home keeps with the decision, if the write is one of a session. */
export function answerToKeep(
  { work: { task }, chosen, refused: error, ...running }: Running,
  outcome: TransactionOutcome,
): { answer?: KeptReply } {
  if (task.kind !== 'op' || task.session === null) return {}
  if (outcome.kind === 'abort')
    return error !== null && isKept(task, error)
      ? { answer: { revision: 0, result: { ok: false, error } } }
      : {}
  assert(chosen !== null, () => 'a commit that nobody chose')
  const { branches, revision } = chosen
  const body = encodeReply(replyTo(task.op, running.parts, branches, revision))
  return { answer: toKeep(revision, ok(body)) }
}

export function replyTo(
  op: Op,
  shards: Running['parts'],
  branches: readonly boolean[],
  revision: Revision,
): Reply {
  const parts = asksForData(op)
    ? [...shards.values()].map(({ answers }) => answers ?? [])
    : [plainAnswers(op, branches)]
  return { kind: 'op', op: joinAnswers(op, branches, parts, revision) }
}
