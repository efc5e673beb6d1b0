import { compareBytes, type KeyValue, type RangeOp, type SortTarget } from '@kvorum/model'

export type KeyValueOrder = (a: KeyValue, b: KeyValue) => number

const BY: Record<SortTarget, KeyValueOrder> = {
  key: () => 0,
  version: (a, b) => a.version - b.version,
  create: (a, b) => a.create - b.create,
  mod: (a, b) => a.mod - b.mod,
  value: (a, b) => compareBytes(a.value, b.value),
}

/** The order an answer is sorted in. Equal ones stay in key order, so that all replicas agree. */
export function orderOf(op: RangeOp): KeyValueOrder {
  const by = BY[op.target]
  const sign = op.order === 'descend' ? -1 : 1
  if (op.target === 'key') return (a, b) => sign * compareBytes(a.key, b.key)
  return (a, b) => sign * by(a, b) || compareBytes(a.key, b.key)
}

/** The first `max` of all records offered, in memory for no more than those: a heap with the worst on top. */
export interface Best {
  readonly order: KeyValueOrder
  readonly max: number
  readonly heap: KeyValue[]
}

export const createBest = (order: KeyValueOrder, max: number): Best => ({ order, max, heap: [] })

/** Returns what has fallen out, possibly the offered record itself. */
export function offer(best: Best, kv: KeyValue): KeyValue | null {
  const { heap, order } = best
  if (heap.length < best.max) {
    heap.push(kv)
    siftUp(heap, order)
    return null
  }
  const worst = heap[0]
  if (worst === undefined || order(kv, worst) >= 0) return kv
  heap[0] = kv
  siftDown(heap, order)
  return worst
}

export const inOrder = (best: Best): KeyValue[] => [...best.heap].sort(best.order)

function siftUp(heap: KeyValue[], order: KeyValueOrder): void {
  let at = heap.length - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (order(heap[at]!, heap[parent]!) <= 0) return
    swap(heap, at, parent)
    at = parent
  }
}

function siftDown(heap: KeyValue[], order: KeyValueOrder): void {
  let at = 0
  for (;;) {
    let worst = at
    for (const child of [2 * at + 1, 2 * at + 2]) {
      if (child < heap.length && order(heap[child]!, heap[worst]!) > 0) worst = child
    }
    if (worst === at) return
    swap(heap, at, worst)
    at = worst
  }
}

function swap(heap: KeyValue[], a: number, b: number): void {
  const kv = heap[a]!
  heap[a] = heap[b]!
  heap[b] = kv
}
