import { crc32c } from '@kvorum/storage'
import { decodeRevisionKey } from './etcdBuckets.js'
import { asSnapshotError, checkHash, entriesOf, openSource } from './sourceFile.js'

export interface SnapshotStatus {
  /** CRC-32C over the names, keys and values of all buckets, as etcd's own tools print it. */
  readonly hash: number
  readonly revision: number
  /** Entries of all buckets. */
  readonly totalKey: number
  /** Bytes, without the hash at the end. */
  readonly totalSize: number
}

/** Reads the whole file. Throws SnapshotError where it is damaged. */
export async function snapshotStatus(path: string): Promise<SnapshotStatus> {
  const source = await openSource(path)
  try {
    if (source.hashed) await checkHash(source)
    let [hash, revision, totalKey] = [0, 0, 0]
    for (const { name } of source.buckets) {
      hash = crc32c(name, hash)
      for await (const page of entriesOf(source, name.toString('latin1'))) {
        totalKey += page.length
        for (const { key, value } of page) hash = crc32c(value, crc32c(key, hash))
        const last = page.at(-1)
        if (last !== undefined && name.toString() === 'key') revision = decodeRevisionKey(last.key).revision
      }
    }
    const { pages, pageBytes } = source.database.meta
    return { hash, revision, totalKey, totalSize: pages * pageBytes }
  } catch (error) {
    throw asSnapshotError(path, error)
  } finally {
    await source.handle.close()
  }
}
