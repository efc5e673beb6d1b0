import { createHash } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
import { BboltError, openBbolt, readBuckets, readEntries } from '@kvorum/storage'
import type { BboltBucket, BboltEntry, BboltFile } from '@kvorum/storage'

/** What is wrong with a snapshot file, or with the place it shall go to: one sentence for the operator. */
export class SnapshotError extends Error {
  override readonly name = 'SnapshotError'
}

const HASH_BYTES = 32
/** The hash makes the file this much longer than whole sectors; a bare database file is not. */
const SECTOR_BYTES = 512
const CHUNK_BYTES = 1024 * 1024

/** A snapshot file, opened and found to be one. */
export interface SourceFile {
  readonly path: string
  /** Of the database, without the hash behind it. */
  readonly bytes: number
  readonly hashed: boolean
  readonly database: BboltFile
  readonly buckets: readonly BboltBucket[]
  readonly handle: FileHandle
}

/** The caller closes `handle`. Throws SnapshotError. */
export async function openSource(path: string): Promise<SourceFile> {
  const handle = await openFile(path)
  try {
    const { size } = await handle.stat()
    const hashed = size % SECTOR_BYTES === HASH_BYTES
    const bytes = hashed ? size - HASH_BYTES : size
    const read = async (offset: number, length: number): Promise<Buffer> =>
      readAt(handle, offset, Math.max(0, Math.min(length, bytes - offset)))
    const database = await openBbolt(read, bytes)
    return { path, bytes, hashed, database, buckets: await readBuckets(database), handle }
  } catch (error) {
    await handle.close()
    throw asSnapshotError(path, error)
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    throw new SnapshotError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
  }
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

export const asSnapshotError = (path: string, error: unknown): unknown =>
  error instanceof BboltError
    ? new SnapshotError(`${path} is no snapshot, or is damaged: ${error.message}.`)
    : error

/** Throws unless the hash at the file's end is that of the rest. */
export async function checkHash({ path, bytes, hashed, handle }: SourceFile): Promise<void> {
  if (!hashed)
    throw new SnapshotError(
      `${path} has no hash at its end, so it may be incomplete; --skip-hash-check takes it all the same.`,
    )
  const hash = createHash('sha256')
  for (let at = 0; at < bytes; at += CHUNK_BYTES) {
    hash.update(await readAt(handle, at, Math.min(CHUNK_BYTES, bytes - at)))
  }
  if (!hash.digest().equals(await readAt(handle, bytes, HASH_BYTES)))
    throw new SnapshotError(`${path} is damaged: its content does not have the hash at its end.`)
}

/** A page of a bucket at a time; nothing where there is no such bucket. */
export async function* entriesOf(
  { database, buckets }: SourceFile,
  name: string,
): AsyncGenerator<BboltEntry[], void, undefined> {
  const bucket = buckets.find(candidate => candidate.name.toString('latin1') === name)
  if (bucket !== undefined) yield* readEntries(database, bucket)
}

/** A small bucket as a whole. */
export async function bucketOf(source: SourceFile, name: string): Promise<Map<string, Buffer>> {
  const entries = new Map<string, Buffer>()
  for await (const page of entriesOf(source, name)) {
    for (const { key, value } of page) entries.set(key.toString('latin1'), value)
  }
  return entries
}
