import { fromKeyString, type StoreAnswer, type StoreNeed, type StorePage } from '@kvorum/model'
import { type StoreScan, type StoreWrite, toKeyString } from '@kvorum/model'

/** The state store as a sorted map, slow and obvious. `copy` is a pinned view. */
export class MemoryStore {
  readonly rows = new Map<string, Uint8Array>()
  #keys: string[] | null = null

  write(writes: readonly StoreWrite[]): void {
    this.#keys = null
    for (const { key, value } of writes) {
      if (value === null) this.rows.delete(toKeyString(key))
      else this.rows.set(toKeyString(key), value)
    }
  }

  copy(): MemoryStore {
    const copy = new MemoryStore()
    for (const [key, value] of this.rows) copy.rows.set(key, value)
    return copy
  }

  answer(need: StoreNeed): StoreAnswer {
    return {
      values: need.gets.map(key => this.rows.get(toKeyString(key)) ?? null),
      pages: need.scans.map(scan => this.page(scan)),
    }
  }

  page(scan: StoreScan): StorePage {
    this.#keys ??= [...this.rows.keys()].sort()
    const keys = this.#keys
    const low = position(keys, toKeyString(scan.gte))
    const high = position(keys, toKeyString(scan.lt))
    const rows = []
    let bytes = 0
    for (let i = 0; low + i < high; i++) {
      if (rows.length >= scan.rowsMax || (rows.length > 0 && bytes >= scan.bytesMax))
        return { rows, more: true }
      const text = keys[scan.reverse ? high - 1 - i : low + i]!
      const value = scan.values ? this.rows.get(text)! : new Uint8Array(0)
      rows.push({ key: fromKeyString(text), value })
      bytes += text.length + value.length
    }
    return { rows, more: false }
  }

  /** All rows as text, for comparing stores. */
  dump(keep: (key: Uint8Array) => boolean = () => true): string[] {
    return [...this.rows]
      .filter(([key]) => keep(fromKeyString(key)))
      .map(
        ([key, value]) =>
          `${Buffer.from(key, 'latin1').toString('hex')}=${Buffer.from(value).toString('hex')}`,
      )
      .sort()
  }
}

/** How many of the sorted keys are below `key`. */
function position(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}
