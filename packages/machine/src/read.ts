import {
  isWrite,
  ok,
  type RangeOp,
  type RangeReply,
  refuse,
  type Result,
  type Revision,
  type TxnOp,
  type TxnReply,
} from '@kvorum/model'
import { readPageOp, readRangeOp, type RangeSource } from './rangeRead.js'
import type { Reader } from './reader.js'
import type { Step } from './step.js'
import { checkPlan, openRun, planOp, runPlan } from './txn.js'

/** An answer with the shard's revision, which its header carries whatever revision was read. */
export interface ReadReply<Reply> {
  readonly revision: Revision
  readonly reply: Reply
}

const sourceOf = (reader: Reader): RangeSource => ({
  view: reader.view,
  revision: reader.revision,
  compactRevision: reader.compactRevision,
  own: null,
})

export function* readRange(reader: Reader, op: RangeOp): Step<Result<ReadReply<RangeReply>>> {
  const read = yield* readRangeOp(sourceOf(reader), op, reader.responseBytesMax)
  return read.ok ? ok({ revision: reader.revision, reply: read.value.reply }) : read
}

/** One page of a range in key order (see `pageBytes` of a read). Order and filters are not looked at. */
export function* readPage(reader: Reader, op: RangeOp, bytes: number): Step<Result<ReadReply<RangeReply>>> {
  const read = yield* readPageOp(sourceOf(reader), op, bytes)
  return read.ok ? ok({ revision: reader.revision, reply: read.value }) : read
}

/** A transaction that only reads; all of it sees one revision. */
export function* readTxn(reader: Reader, op: TxnOp): Step<Result<ReadReply<TxnReply>>> {
  if (isWrite(op)) return refuse('malformed', { detail: 'a transaction that writes cannot be read' })
  const source = sourceOf(reader)
  const plan = yield* planOp(source, op)
  const run = openRun(source, plan, null, reader.responseBytesMax)
  const error = yield* checkPlan(run, () => false)
  if (error !== null) return { ok: false, error }
  const reply = yield* runPlan(run, plan)
  if (!reply.ok) return reply
  return ok({ revision: reader.revision, reply: reply.value as TxnReply })
}
