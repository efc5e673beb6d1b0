import { toHex } from '@kvorum/model'

/**
 * A row of the state store is not what was written there. Its content goes nowhere; the owner quarantines the
 * replica and rebuilds it from its peers. `where` has the table and a short hex prefix of the row's key, never
 * more of it, so that it can be logged.
 */
export class CorruptRecordError extends Error {
  override readonly name = 'CorruptRecordError'
  readonly table: string
  readonly where: string
  /** The row's key. Its owner may look whose it is; it is not for logs. */
  readonly rowKey: Uint8Array

  constructor(rowKey: Uint8Array, what: string) {
    const table = rowKey.length === 0 ? '?' : String.fromCharCode(rowKey[0]!)
    const where = `${table}:${toHex(rowKey.subarray(1, 9))}`
    super(`corrupt row ${where}: ${what}`)
    this.rowKey = rowKey
    this.table = table
    this.where = where
  }
}
