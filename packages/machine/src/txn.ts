import {
  isPoint,
  type KeyValue,
  type KvError,
  ok,
  type Op,
  type OpReply,
  type PutOp,
  type DeleteOp,
  refuse,
  type Result,
  type Revision,
  type TxnOp,
  unreachable,
} from '@kvorum/model'
import { comparesHold } from './compare.js'
import { type EntryWrites, isFull, spill, writeDelete, writePut } from './entryWrites.js'
import { addOwnDelete, addOwnPut, createOwnWrites, ownDeleted, type OwnWrites } from './ownWrites.js'
import { chargeOf, checkRevision, readRangeOp, type RangeSource } from './rangeRead.js'
import { currentKey } from './rowKeys.js'
import { NO_NEED, type Step } from './step.js'
import { warmRows } from './view.js'
import { lookup, nextPage, openCursor } from './visible.js'

/** An operation with its transactions resolved: only the chosen branches are left. */
export type Plan =
  | { readonly kind: 'leaf'; readonly op: Exclude<Op, TxnOp>; readonly position: number }
  | { readonly kind: 'txn'; readonly succeeded: boolean; readonly parts: readonly Plan[] }

/** Branches are chosen on the state before the whole operation, at every depth. */
export function* planOp(source: RangeSource, op: Op, counter = { next: 0 }): Step<Plan> {
  if (op.kind !== 'txn') return { kind: 'leaf', op, position: counter.next++ }
  const succeeded = yield* comparesHold(source.view, source.revision, op.compares)
  const parts: Plan[] = []
  for (const nested of succeeded ? op.success : op.failure) {
    parts.push(yield* planOp(source, nested, counter))
  }
  return { kind: 'txn', succeeded, parts }
}

/** An answer that says that nothing was changed, at the revision that the oracle gave the command. */
export function unchangedAt(reply: OpReply, revision: Revision): OpReply {
  if (reply.kind !== 'txn') return reply
  const responses = reply.responses.map(nested => unchangedAt(nested, revision))
  return { ...reply, revision, before: revision, responses }
}

type Leaf = Extract<Plan, { kind: 'leaf' }>

export function leavesOf(plan: Plan, into: Leaf[] = []): Leaf[] {
  if (plan.kind === 'leaf') into.push(plan)
  else for (const part of plan.parts) leavesOf(part, into)
  return into
}

/** One run over a plan. Without `entry` nothing is written: reads, and measuring what an answer will be. */
export interface Run {
  readonly source: RangeSource
  readonly own: OwnWrites
  readonly entry: EntryWrites | null
  readonly plan: Plan
  readonly responseBytesMax: number
  /** Of everything that is put. */
  readonly mod: Revision
  /** Size of the answer so far. */
  charge: number
  /** Operations carried out. */
  operations: number
}

/** After so many operations a transaction lets others have their turn, also if it had nothing to fetch. */
const OPERATIONS_PER_TURN = 256

export const openRun = (
  source: Omit<RangeSource, 'own'>,
  plan: Plan,
  entry: EntryWrites | null,
  responseBytesMax: number,
): Run => {
  const own = createOwnWrites()
  const mod = entry?.revision ?? source.revision + 1
  return { source: { ...source, own }, own, entry, plan, responseBytesMax, mod, charge: 0, operations: 0 }
}

/** What must be known before the first operation has an effect: a transaction fails as a whole. */
export function* checkPlan(run: Run, hasLease: (op: PutOp) => boolean): Step<KvError | null> {
  const leaves = leavesOf(run.plan)
  if (leaves.length > 1) yield* warmRows(run.source.view, leaves.flatMap(pointRow))
  // etcd's order, which shows where several things are wrong: all puts before all ranges, and of a put the
  // lease first where it stands alone.
  const alone = run.plan.kind === 'leaf'
  for (const { op } of leaves) {
    if (op.kind !== 'put') continue
    const leaseIsGone = op.lease !== 0n && !hasLease(op)
    if (leaseIsGone && alone) return refuse('leaseNotFound').error
    if (op.ignoreValue || op.ignoreLease) {
      const old = yield* lookup(run.source.view, op.key, run.source.revision)
      if (old === null) return refuse('keyNotFound').error
    }
    if (leaseIsGone) return refuse('leaseNotFound').error
  }
  for (const { op } of leaves) {
    const refused = op.kind === 'range' ? checkRevision(op, run.source) : null
    if (refused !== null) return refused.error
  }
  return null
}

function pointRow({ op }: Leaf): Uint8Array[] {
  if (op.kind === 'put') return [currentKey(op.key)]
  return op.kind === 'delete' && isPoint(op.range) ? [currentKey(op.range.start)] : []
}

/** Carries out the plan and answers. A refusal comes before any write has left the entry. */
export function* runPlan(run: Run, plan: Plan): Step<Result<OpReply>> {
  if (plan.kind === 'leaf') {
    if (++run.operations % OPERATIONS_PER_TURN === 0) yield NO_NEED
    return yield* runLeaf(run, plan)
  }
  const responses: OpReply[] = []
  for (const part of plan.parts) {
    const reply = yield* runPlan(run, part)
    if (!reply.ok) return reply
    responses.push(reply.value)
  }
  const { entry, source } = run
  const revision = entry?.changed === true ? entry.revision : source.revision
  return ok({ kind: 'txn', succeeded: plan.succeeded, revision, before: source.revision, responses })
}

function* runLeaf(run: Run, { op, position }: Leaf): Step<Result<OpReply>> {
  switch (op.kind) {
    case 'put':
      return yield* runPut(run, op, position)
    case 'delete':
      return yield* runDelete(run, op, position)
    case 'range': {
      const read = yield* readRangeOp(run.source, op, run.responseBytesMax - run.charge)
      if (!read.ok) return read
      run.charge += read.value.charge
      return ok(read.value.reply)
    }
    default:
      return unreachable(op)
  }
}

function* runPut(run: Run, op: PutOp, position: number): Step<Result<OpReply>> {
  const { source, own, entry } = run
  const old = yield* lookup(source.view, op.key, source.revision)
  if (op.prevKv && old !== null) {
    run.charge += chargeOf(old)
    if (run.charge > run.responseBytesMax) return refuse('responseTooLarge')
  }
  const { mod } = run
  const kv: KeyValue = {
    key: op.key,
    create: old?.create ?? mod,
    mod,
    version: (old?.version ?? 0) + 1,
    value: op.ignoreValue && old !== null ? old.value : op.value,
    lease: op.ignoreLease && old !== null ? old.lease : op.lease,
  }
  addOwnPut(own, kv)
  if (entry !== null) {
    writePut(entry, position, kv, old)
    if (isFull(entry)) {
      const refused = yield* letGo(run, entry)
      if (refused !== null) return refused
    }
  }
  return ok({ kind: 'put', prev: op.prevKv ? old : null })
}

function* runDelete(run: Run, op: DeleteOp, position: number): Step<Result<OpReply>> {
  const prevs: KeyValue[] = []
  let deleted = 0
  const cursor = openCursor(op.range, run.source.revision)
  for (;;) {
    const page = yield* nextPage(run.source.view, cursor)
    if (page === null) break
    for (const old of page) {
      if (ownDeleted(run.own, old.key)) continue
      deleted++
      if (op.prevKv) {
        run.charge += chargeOf(old)
        if (run.charge > run.responseBytesMax) return refuse('responseTooLarge')
        prevs.push(old)
      }
      if (run.entry !== null) writeDelete(run.entry, position, old)
    }
    if (run.entry !== null && isFull(run.entry)) {
      const refused = yield* letGo(run, run.entry)
      if (refused !== null) return refused
    }
  }
  addOwnDelete(run.own, op.range)
  return ok({ kind: 'delete', deleted, prevs })
}

/**
 * Before the first writes of a long command leave it, its answer must be known to fit: the plan is run once
 * without writing. Then it can no longer be refused.
 */
function* letGo(run: Run, entry: EntryWrites): Step<ReturnType<typeof refuse> | null> {
  if (!entry.long && leavesOf(run.plan).some(answersWithData)) {
    const { view, revision, compactRevision } = run.source
    const measured = openRun({ view, revision, compactRevision }, run.plan, null, run.responseBytesMax)
    const reply = yield* runPlan(measured, run.plan)
    if (!reply.ok) return reply
  }
  spill(entry)
  return null
}

const answersWithData = ({ op }: Leaf): boolean => op.kind === 'range' || op.prevKv
