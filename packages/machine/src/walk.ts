import { compareBytes, type KeyRange, type KeyValue, type Revision } from '@kvorum/model'
import { hasOwnWrites, ownDeleted, ownPuts, type OwnWrites } from './ownWrites.js'
import type { Step } from './step.js'
import type { View } from './view.js'
import { countRest, type KeyCursor, nextPage, openCursor } from './visible.js'

/** A walk over the keys of a range as a transaction sees them: the state before it and its own writes. */
export interface Walk {
  readonly cursor: KeyCursor
  /** Null: nothing of its own to see. */
  readonly own: OwnWrites | null
  /** Own puts of the range, sorted, and how many of them have been passed. */
  readonly puts: readonly KeyValue[]
  passed: number
}

export function openWalk(range: KeyRange, revision: Revision, own: OwnWrites | null, reverse = false): Walk {
  const seen = own !== null && hasOwnWrites(own) ? own : null
  const puts = seen === null ? [] : ownPuts(seen, range)
  return { cursor: openCursor(range, revision, reverse), own: seen, puts, passed: 0 }
}

/** The next keys, possibly none; null behind the last. */
export function* nextKeys(view: View, walk: Walk): Step<KeyValue[] | null> {
  const page = yield* nextPage(view, walk.cursor)
  if (walk.own === null) return page
  if (page === null) return takePuts(walk, null)
  const found: KeyValue[] = []
  for (const kv of page) {
    const before = takePuts(walk, kv.key)
    if (before !== null) found.push(...before)
    const put = walk.puts[walk.passed]
    const replaced = put !== undefined && compareBytes(put.key, kv.key) === 0
    if (!replaced && !ownDeleted(walk.own, kv.key)) found.push(kv)
  }
  return found
}

/** Own puts in front of `before` that have not been passed yet; null: there are none. */
function takePuts(walk: Walk, before: Uint8Array | null): KeyValue[] | null {
  const from = walk.passed
  while (walk.passed < walk.puts.length) {
    if (before !== null && compareBytes(walk.puts[walk.passed]!.key, before) >= 0) break
    walk.passed++
  }
  return walk.passed === from ? null : walk.puts.slice(from, walk.passed)
}

export function* countKeys(view: View, walk: Walk): Step<number> {
  if (walk.own === null) return yield* countRest(view, walk.cursor)
  let count = 0
  for (;;) {
    const page = yield* nextKeys(view, walk)
    if (page === null) return count
    count += page.length
  }
}
