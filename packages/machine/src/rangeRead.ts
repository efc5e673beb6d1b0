import {
  EMPTY,
  type KeyValue,
  ok,
  type RangeOp,
  type RangeReply,
  refuse,
  type Result,
  type Revision,
} from '@kvorum/model'
import { type Best, createBest, inOrder, offer, orderOf } from './best.js'
import type { OwnWrites } from './ownWrites.js'
import type { Step } from './step.js'
import type { View } from './view.js'
import { canWalkBack } from './visible.js'
import { countKeys, nextKeys, openWalk, type Walk } from './walk.js'

/** Where a range is read: a shard's state, and a transaction's own writes where there is one around it. */
export interface RangeSource {
  readonly view: View
  readonly revision: Revision
  readonly compactRevision: Revision
  readonly own: OwnWrites | null
}

/** What a record adds to the size of an answer. Part of the replicated behaviour: replicas refuse alike. */
export const chargeOf = (kv: KeyValue): number => kv.key.length + kv.value.length + 64

/** A range's answer and its size. */
export interface ChargedRange {
  readonly reply: RangeReply
  readonly charge: number
}

/** A position that cannot be read. */
export function checkRevision(op: RangeOp, source: RangeSource): ReturnType<typeof refuse> | null {
  if (op.revision > source.revision) return refuse('futureRevision')
  if (op.revision > 0 && op.revision < source.compactRevision) {
    return refuse('compacted', { compactRevision: source.compactRevision })
  }
  return null
}

/** `budget` bounds the answer in the terms of `chargeOf`. */
export function* readRangeOp(source: RangeSource, op: RangeOp, budget: number): Step<Result<ChargedRange>> {
  const refused = checkRevision(op, source)
  if (refused !== null) return refused
  const revision = op.revision > 0 ? op.revision : source.revision
  const own = op.revision > 0 ? null : source.own
  if (op.countOnly) {
    const count = yield* countKeys(source.view, openWalk(op.range, revision, own))
    return ok({ reply: { kind: 'range', kvs: [], more: false, count }, charge: 0 })
  }
  if (op.target === 'key' && op.order !== 'descend') {
    return yield* readInOrder(source.view, openWalk(op.range, revision, own), op, budget)
  }
  const walk = openWalk(op.range, revision, own)
  if (op.target === 'key' && walk.own === null && canWalkBack(source.view, revision)) {
    const back = openWalk(op.range, revision, null, true)
    return yield* readInOrder(source.view, back, op, budget)
  }
  return yield* readSorted(source.view, walk, op, budget)
}

const matches = (op: RangeOp, kv: KeyValue): boolean =>
  (op.minMod === 0 || kv.mod >= op.minMod) &&
  (op.maxMod === 0 || kv.mod <= op.maxMod) &&
  (op.minCreate === 0 || kv.create >= op.minCreate) &&
  (op.maxCreate === 0 || kv.create <= op.maxCreate)

export const isFiltered = (op: RangeOp): boolean =>
  op.minMod !== 0 || op.maxMod !== 0 || op.minCreate !== 0 || op.maxCreate !== 0

const shown = (op: RangeOp, kv: KeyValue): KeyValue => (op.keysOnly ? { ...kv, value: EMPTY } : kv)

/** The walk gives the answer's order: it can end at the limit, and what is left is only counted. */
function* readInOrder(view: View, walk: Walk, op: RangeOp, budget: number): Step<Result<ChargedRange>> {
  const kvs: KeyValue[] = []
  let charge = 0
  let count = 0
  for (;;) {
    const page = yield* nextKeys(view, walk)
    if (page === null) return ok({ reply: { kind: 'range', kvs, more: false, count }, charge })
    count += page.length
    for (const kv of page) {
      if (!matches(op, kv)) continue
      if (op.limit > 0 && kvs.length === op.limit) {
        count += yield* countKeys(view, walk)
        return ok({ reply: { kind: 'range', kvs, more: true, count }, charge })
      }
      const one = shown(op, kv)
      charge += chargeOf(one)
      if (charge > budget) return refuse('responseTooLarge')
      kvs.push(one)
    }
  }
}

/** The first pairs of a range in key order: as many as `bytes` hold in the terms of `chargeOf`, but one at least. */
export function* readPageOp(source: RangeSource, op: RangeOp, bytes: number): Step<Result<RangeReply>> {
  const refused = checkRevision(op, source)
  if (refused !== null) return refused
  const walk = openWalk(op.range, op.revision > 0 ? op.revision : source.revision, null)
  const kvs: KeyValue[] = []
  const answer = (more: boolean): Result<RangeReply> => ok({ kind: 'range', kvs, more, count: kvs.length })
  let charge = 0
  for (;;) {
    const page = yield* nextKeys(source.view, walk)
    if (page === null) return answer(false)
    for (const kv of page) {
      const one = shown(op, kv)
      charge += chargeOf(one)
      if (kvs.length > 0 && (charge > bytes || kvs.length === op.limit)) return answer(true)
      kvs.push(one)
    }
  }
}

/**
 * Everything that matches is sorted, then cut. With an order of `none` and a target other than the key etcd
 * cuts first, in key order and one beyond the limit, and sorts what is left; so do we.
 */
function* readSorted(view: View, walk: Walk, op: RangeOp, budget: number): Step<Result<ChargedRange>> {
  const cutFirst = op.order === 'none' && op.limit > 0 && !isFiltered(op)
  const keepValues = op.target === 'value' || !op.keysOnly
  const best = createBest(orderOf(op), op.limit > 0 ? op.limit : Infinity)
  let seen = 0
  let charge = 0
  let count = 0
  for (;;) {
    const page = yield* nextKeys(view, walk)
    if (page === null) break
    count += page.length
    for (const kv of page) {
      if (!matches(op, kv)) continue
      if (cutFirst && seen > op.limit) continue
      seen++
      charge += offerCharged(best, keepValues ? kv : shown(op, kv), op)
      if (charge > budget) return refuse('responseTooLarge')
    }
  }
  const kvs = inOrder(best).map(kv => shown(op, kv))
  return ok({ reply: { kind: 'range', kvs, more: seen > kvs.length, count }, charge })
}

/** How the charge of the kept records changes. It follows the records in key order, not the pages. */
function offerCharged(best: Best, kv: KeyValue, op: RangeOp): number {
  const fallen = offer(best, kv)
  if (fallen === kv) return 0
  return chargeOf(shown(op, kv)) - (fallen === null ? 0 : chargeOf(shown(op, fallen)))
}
