import {
  addRange,
  compareBytes,
  type KeyRange,
  type KeyValue,
  rangeContains,
  toKeyString,
} from '@kvorum/model'

/**
 * What a transaction has written so far, laid over the state before it for its own reads. Puts are records;
 * deletes are ranges, because they can be of millions of keys. No put lies in a deleted range (checkOp).
 */
export interface OwnWrites {
  readonly puts: Map<string, KeyValue>
  /** Sorted and disjoint. */
  deletes: readonly KeyRange[]
}

export const createOwnWrites = (): OwnWrites => ({ puts: new Map(), deletes: [] })

export const hasOwnWrites = (own: OwnWrites): boolean => own.puts.size > 0 || own.deletes.length > 0

export const addOwnPut = (own: OwnWrites, kv: KeyValue): void => {
  own.puts.set(toKeyString(kv.key), kv)
}

export function addOwnDelete(own: OwnWrites, range: KeyRange): void {
  own.deletes = addRange(own.deletes, range)
}

export function ownDeleted(own: OwnWrites, key: Uint8Array): boolean {
  let low = 0
  let high = own.deletes.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBytes(own.deletes[middle]!.start, key) <= 0) low = middle + 1
    else high = middle
  }
  const candidate = own.deletes[low - 1]
  return candidate !== undefined && rangeContains(candidate, key)
}

/** The puts of a range in key order. */
export function ownPuts(own: OwnWrites, range: KeyRange): KeyValue[] {
  const found: KeyValue[] = []
  for (const kv of own.puts.values()) if (rangeContains(range, kv.key)) found.push(kv)
  return found.sort((a, b) => compareBytes(a.key, b.key))
}
