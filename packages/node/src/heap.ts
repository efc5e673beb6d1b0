import type { Millis } from '@kvorum/model'

/** A binary heap ordered by `due`, the earliest first. */
export type Heap<Item extends { readonly due: Millis }> = Item[]

export function pushHeap<Item extends { readonly due: Millis }>(heap: Heap<Item>, item: Item): void {
  let at = heap.push(item) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (heap[parent]!.due <= heap[at]!.due) break
    swap(heap, at, parent)
    at = parent
  }
}

/** Takes the earliest item out if it is due at `now`. */
export function popDue<Item extends { readonly due: Millis }>(heap: Heap<Item>, now: Millis): Item | null {
  const first = heap[0]
  if (first === undefined || first.due > now) return null
  const last = heap.pop()!
  if (heap.length === 0) return first
  heap[0] = last
  sink(heap)
  return first
}

/** Puts `item` in the place of the earliest one, which there must be. */
export function replaceFirst<Item extends { readonly due: Millis }>(heap: Heap<Item>, item: Item): void {
  heap[0] = item
  sink(heap)
}

export const nextDueOf = <Item extends { readonly due: Millis }>(heap: Heap<Item>): Millis =>
  heap[0]?.due ?? Infinity

function sink<Item extends { readonly due: Millis }>(heap: Heap<Item>): void {
  let at = 0
  for (;;) {
    const left = at * 2 + 1
    const right = left + 1
    let least = at
    if (left < heap.length && heap[left]!.due < heap[least]!.due) least = left
    if (right < heap.length && heap[right]!.due < heap[least]!.due) least = right
    if (least === at) return
    swap(heap, at, least)
    at = least
  }
}

function swap<Item>(heap: Item[], a: number, b: number): void {
  const item = heap[a]!
  heap[a] = heap[b]!
  heap[b] = item
}
