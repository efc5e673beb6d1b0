import {
  type Compare,
  compareBytes,
  EMPTY,
  intersectRanges,
  isEmptyRange,
  isPoint,
  type KeyRange,
  type KeyValue,
  NO_LEASE,
  type PieceVerdict,
  type Revision,
  unreachable,
} from '@kvorum/model'
import type { Step } from './step.js'
import type { View } from './view.js'
import { lookupMany, nextPage, openCursor } from './visible.js'

const ABSENT: KeyValue = { key: EMPTY, create: 0, mod: 0, version: 0, value: EMPTY, lease: NO_LEASE }

/** Whether all guards hold in the state before the transaction. */
export function* comparesHold(view: View, revision: Revision, compares: readonly Compare[]): Step<boolean> {
  const points = compares.filter(({ range }) => isPoint(range))
  const found = yield* lookupMany(
    view,
    points.map(({ range }) => range.start),
    revision,
  )
  if (!points.every((compare, i) => holdsForKey(compare, found[i] ?? null))) return false
  for (const compare of compares) {
    if (!isPoint(compare.range) && !(yield* holdsForRange(view, revision, compare))) return false
  }
  return true
}

function* holdsForRange(view: View, revision: Revision, compare: Compare): Step<boolean> {
  if (isEmptyRange(compare.range)) return holdsForKey(compare, null)
  const cursor = openCursor(compare.range, revision)
  let any = false
  for (;;) {
    const page = yield* nextPage(view, cursor)
    if (page === null) return any || holdsForKey(compare, null)
    any ||= page.length > 0
    if (!page.every(kv => holdsForKey(compare, kv))) return false
  }
}

/** Where a compare is judged in one shard: its part of the range, or of all keys. */
interface PieceSource {
  readonly view: View
  readonly revision: Revision
  readonly range: KeyRange
}

/** What a shard can say of a compare whose range may go on in other shards. */
export function* judgePiece(shard: PieceSource, compare: Compare): Step<PieceVerdict> {
  const range = intersectRanges(compare.range, shard.range)
  if (isEmptyRange(range)) return 'none'
  const cursor = openCursor(range, shard.revision)
  let verdict: PieceVerdict = 'none'
  for (;;) {
    const page = yield* nextPage(shard.view, cursor)
    if (page === null) return verdict
    if (!page.every(kv => holdsForKey(compare, kv))) return 'fails'
    if (page.length > 0) verdict = 'holds'
  }
}

/** Whether a compare holds, by what all shards say of it. */
export function joinVerdicts(compare: Compare, verdicts: readonly PieceVerdict[]): boolean {
  if (verdicts.includes('fails')) return false
  return verdicts.includes('holds') || holdsForKey(compare, null)
}

/** A key that does not exist compares as zero, but nothing holds for its value, not even `notEqual`. */
function holdsForKey(compare: Compare, kv: KeyValue | null): boolean {
  if (kv === null && compare.target === 'value') return false
  const order = orderOf(compare, kv ?? ABSENT)
  switch (compare.result) {
    case 'equal':
      return order === 0
    case 'notEqual':
      return order !== 0
    case 'greater':
      return order > 0
    case 'less':
      return order < 0
    default:
      return unreachable(compare.result)
  }
}

function orderOf(compare: Compare, kv: KeyValue): number {
  switch (compare.target) {
    case 'version':
    case 'create':
    case 'mod':
      return kv[compare.target] - compare.operand
    case 'lease':
      return kv.lease < compare.operand ? -1 : kv.lease > compare.operand ? 1 : 0
    case 'value':
      return compareBytes(kv.value, compare.operand)
    default:
      return unreachable(compare)
  }
}
