import {
  assert,
  intersectRanges,
  isEmptyRange,
  type KeyRange,
  ok,
  type Op,
  type OpReply,
  rangeContains,
  type RangeReply,
  type DeleteReply,
  type Result,
  type Revision,
  unreachable,
} from '@kvorum/model'
import type { EntryWrites } from './entryWrites.js'
import { mergeRanges, partOfRange } from './mergeRanges.js'
import type { Reader } from './reader.js'
import type { Step } from './step.js'
import { leavesOf, openRun, type Plan, runPlan } from './txn.js'
import type { View } from './view.js'

/**
 * One shard's part of an operation over several, whose branches are chosen. What it writes is done by every replica when
 * it applies the outcome; what it answers is read by the leader, at the same revision, as often as it is asked.
 */

type Leaf = Extract<Plan, { kind: 'leaf' }>

/** The operation with its branches taken. Positions count over the whole of it, so that no two shards' collide. */
export function planBranches(op: Op, branches: readonly boolean[]): Plan {
  let taken = 0
  let position = 0
  const plan = (at: Op): Plan => {
    if (at.kind !== 'txn') return { kind: 'leaf', op: at, position: position++ }
    const succeeded = branches[taken++]
    assert(succeeded !== undefined, () => 'a transaction has a branch that was not chosen')
    return { kind: 'txn', succeeded, parts: (succeeded ? at.success : at.failure).map(plan) }
  }
  return plan(op)
}

/** The leaf as far as it lies in `range`; null: it does not. */
function pieceOf({ op, position }: Leaf, range: KeyRange): Leaf | null {
  if (op.kind === 'put') return rangeContains(range, op.key) ? { kind: 'leaf', op, position } : null
  const piece = intersectRanges(op.range, range)
  if (isEmptyRange(piece)) return null
  const cut = op.kind === 'range' ? partOfRange(op) : op
  return { kind: 'leaf', op: { ...cut, range: piece }, position }
}

const planOfLeaves = (parts: readonly Leaf[]): Plan => ({ kind: 'txn', succeeded: true, parts })

/** What the part writes, without a word about it: it was decided that it has its effect, so it cannot be refused. */
function writesOf(plan: Plan, range: KeyRange): Plan {
  const writes: Leaf[] = []
  for (const leaf of leavesOf(plan)) {
    const piece = leaf.op.kind === 'range' ? null : pieceOf(leaf, range)
    if (piece === null || piece.op.kind === 'range') continue
    writes.push({ ...piece, op: { ...piece.op, prevKv: false } })
  }
  return planOfLeaves(writes)
}

/** Carries out the part in an entry whose revision is the transaction's. */
export function* writePart(entry: EntryWrites, view: View, op: Op, branches: readonly boolean[]): Step<void> {
  const { machine, revision } = entry
  const plan = writesOf(planBranches(op, branches), machine.range)
  // Not the newest state: half of a long part may be there already, from before a crash.
  const source = { view, revision: revision - 1, compactRevision: machine.compactRevision }
  const written = yield* runPlan(openRun(source, plan, entry, Infinity), plan)
  assert(written.ok, () => 'a part that only writes was refused')
}

/**
 * What the part answers: of every operation that was carried out, in order; null where it has nothing in this shard. A
 * state in which the part has been carried out can be asked as long as the revision in front of it can be read.
 */
export function* readPart(
  reader: Reader,
  op: Op,
  branches: readonly boolean[],
  revision: Revision,
): Step<Result<(OpReply | null)[]>> {
  const { view, compactRevision, responseBytesMax, range } = reader
  const pieces = leavesOf(planBranches(op, branches)).map(leaf => pieceOf(leaf, range))
  const plan = planOfLeaves(pieces.filter(piece => piece !== null))
  const source = { view, revision: revision - 1, compactRevision }
  const read = yield* runPlan(openRun(source, plan, null, responseBytesMax), plan)
  if (!read.ok) return read
  assert(read.value.kind === 'txn', () => 'a list of operations answers with a list')
  const { responses } = read.value
  let next = 0
  return ok(pieces.map(piece => (piece === null ? null : (responses[next++] ?? null))))
}

/** The answers of an operation that is only puts, and asks for nothing: they need not be read anywhere. */
export const plainAnswers = (op: Op, branches: readonly boolean[]): OpReply[] =>
  leavesOf(planBranches(op, branches)).map(() => ({ kind: 'put', prev: null }))

/** The answer to the whole operation. `parts`: of all shards with keys of the operation, in the order of their keys. */
export function joinAnswers(
  op: Op,
  branches: readonly boolean[],
  parts: readonly (readonly (OpReply | null)[])[],
  revision: Revision,
): OpReply {
  // Where nothing changes, the answer is of the state at the revision that the oracle gave.
  const changes = leavesOf(planBranches(op, branches)).some(({ op: leaf, position }) => {
    if (leaf.kind === 'put') return true
    const pieces = parts.map(part => part[position] ?? null)
    return leaf.kind === 'delete' && pieces.some(piece => piece?.kind === 'delete' && piece.deleted > 0)
  })
  const before = changes ? revision - 1 : revision
  let changed = false
  const join = (plan: Plan): OpReply => {
    if (plan.kind === 'txn') {
      const responses = plan.parts.map(join)
      const at = changed ? revision : before
      return { kind: 'txn', succeeded: plan.succeeded, revision: at, before, responses }
    }
    const pieces = parts.map(part => part[plan.position] ?? null).filter(piece => piece !== null)
    const reply = joinPieces(plan, pieces)
    changed ||= reply.kind === 'put' || (reply.kind === 'delete' && reply.deleted > 0)
    return reply
  }
  return join(planBranches(op, branches))
}

function joinPieces({ op }: Leaf, pieces: readonly OpReply[]): OpReply {
  switch (op.kind) {
    case 'put': {
      const [piece] = pieces
      assert(piece?.kind === 'put' && pieces.length === 1, () => 'a put is answered by one shard')
      return piece
    }
    case 'delete': {
      const deletes = pieces.filter((piece): piece is DeleteReply => piece.kind === 'delete')
      return {
        kind: 'delete',
        deleted: deletes.reduce((sum, { deleted }) => sum + deleted, 0),
        prevs: deletes.flatMap(({ prevs }) => prevs),
      }
    }
    case 'range': {
      const ranges = pieces.filter((piece): piece is RangeReply => piece.kind === 'range')
      const merged = mergeRanges(op, ranges, Infinity)
      assert(merged.ok, () => 'an answer without a bound was refused')
      return merged.value
    }
    default:
      return unreachable(op)
  }
}
