import { compareBytes } from '@kvorum/model'

/** How much lies in front of a key; of something that is counted along the keys of a shard. */
export interface KeyPoint {
  readonly key: Uint8Array
  readonly before: number
}

/**
 * The key that cuts what is counted into the most equal parts, of those behind `start`. Null where the smaller part
 * would have less than `leastShare` of it: what lies in one key cannot be cut, and a sliver is no relief.
 */
export function middleOf(
  points: readonly KeyPoint[],
  { total, start, leastShare }: { total: number; start: Uint8Array; leastShare: number },
): Uint8Array | null {
  let best: Uint8Array | null = null
  let bestSmaller = 0
  for (const { key, before } of points) {
    const smaller = Math.min(before, total - before)
    if (compareBytes(key, start) <= 0 || smaller < total * leastShare || smaller <= bestSmaller) continue
    best = key
    bestSmaller = smaller
  }
  return best
}

/** Keys that were sampled, in any order and some of them again: how many lie in front of each. */
export function pointsOf(keys: readonly Uint8Array[]): KeyPoint[] {
  const sorted = [...keys].sort(compareBytes)
  const points: KeyPoint[] = []
  sorted.forEach((key, before) => {
    const last = points.at(-1)
    if (last === undefined || compareBytes(last.key, key) !== 0) points.push({ key, before })
  })
  return points
}
