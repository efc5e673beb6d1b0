import { createHash } from 'node:crypto'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import type { pb } from '@kvorum/protocol'

const HASH_BYTES = 32
const SECTOR_BYTES = 512

/**
 * Writes what the server sends to `file` and returns its size. It is written under another name, checked against
 * the hash at its end, synced, and only then named.
 */
export async function saveSnapshot(
  file: string,
  responses: AsyncIterable<Pick<pb.SnapshotResponse, 'blob'>>,
): Promise<number> {
  const part = `${file}.part`
  const handle = await open(part, 'w', 0o600)
  try {
    const bytes = await receive(handle, responses)
    await handle.sync()
    await handle.close()
    await rename(part, file)
    return bytes
  } catch (error) {
    await handle.close().catch(() => undefined)
    await rm(part, { force: true })
    throw error
  }
}

/** The hash may come in a message of its own, or not: the last bytes are held back until there are no more. */
async function receive(
  handle: FileHandle,
  responses: AsyncIterable<Pick<pb.SnapshotResponse, 'blob'>>,
): Promise<number> {
  const hash = createHash('sha256')
  let tail: Buffer = Buffer.alloc(0)
  let bytes = 0
  for await (const { blob } of responses) {
    await handle.writeFile(blob)
    bytes += blob.length
    const all = Buffer.concat([tail, blob])
    const known = Math.max(0, all.length - HASH_BYTES)
    hash.update(all.subarray(0, known))
    tail = all.subarray(known)
  }
  if (bytes % SECTOR_BYTES !== HASH_BYTES || !hash.digest().equals(tail))
    throw new Error('the snapshot arrived damaged or incomplete; nothing was saved')
  return bytes
}
