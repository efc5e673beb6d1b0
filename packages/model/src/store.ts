/**
 * What the state store does, as data: an ordered map of byte strings with atomic batches. The machine says
 * what to read and write in these words, the node orders it, storage carries it out on LevelDB, and the
 * simulator on a model of it.
 */

/** `value` null deletes. */
export interface StoreWrite {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

export interface StoreRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** One page of rows with gte <= key < lt. `values` false leaves every value empty (counting needs none). */
export interface StoreScan {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
  readonly reverse: boolean
  readonly values: boolean
  readonly rowsMax: number
  readonly bytesMax: number
}

/** `more`: the page ended at a limit, not at the end of the range. A page with `more` holds at least one row. */
export interface StorePage {
  readonly rows: readonly StoreRow[]
  readonly more: boolean
}

/** All of one fetch sees the store at one moment. */
export interface StoreNeed {
  readonly gets: readonly Uint8Array[]
  readonly scans: readonly StoreScan[]
}

/** In the order of the need. A get without a row is null. */
export interface StoreAnswer {
  readonly values: readonly (Uint8Array | null)[]
  readonly pages: readonly StorePage[]
}

/** CRC-32 (IEEE) of `bytes`, continued from `seed`; injected, so that the deterministic rooms import nothing. */
export type Checksum = (bytes: Uint8Array, seed?: number) => number
