import { compareBytes, fromKeyString, type StoreAnswer, type StoreNeed, type StorePage } from '@kvorum/model'
import { type StoreScan, type StoreWrite, toKeyString } from '@kvorum/model'

/** The state store as a sorted map, slow and obvious. `copy` is a pinned view. */
export class MemoryStore {
  readonly rows = new Map<string, Uint8Array>()

  write(writes: readonly StoreWrite[]): void {
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
    const inside = [...this.rows]
      .map(([text, value]) => ({ key: fromKeyString(text), value }))
      .filter(({ key }) => compareBytes(key, scan.gte) >= 0 && compareBytes(key, scan.lt) < 0)
      .sort((a, b) => (scan.reverse ? -1 : 1) * compareBytes(a.key, b.key))
    const rows = []
    let bytes = 0
    for (const row of inside) {
      if (rows.length >= scan.rowsMax || (rows.length > 0 && bytes >= scan.bytesMax)) break
      rows.push(scan.values ? row : { key: row.key, value: new Uint8Array(0) })
      bytes += row.key.length + (scan.values ? row.value.length : 0)
    }
    return { rows, more: rows.length < inside.length }
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
