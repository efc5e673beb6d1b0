import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { RawClient } from '@kvorum/client'
import { crc32c, openBbolt, readBuckets, readEntries } from '@kvorum/storage'

/** All entries of a snapshot file, by bucket, in hexadecimal. */
export async function dumpFile(path: string): Promise<Map<string, [string, string][]>> {
  const bytes = readFileSync(path)
  const database = bytes.subarray(0, bytes.length - 32)
  const sum = createHash('sha256').update(database).digest()
  if (!sum.equals(bytes.subarray(-32))) throw new Error(`${path} does not end with its hash`)
  const read = (offset: number, length: number): Promise<Buffer> =>
    Promise.resolve(database.subarray(offset, offset + length))
  const file = await openBbolt(read, database.length)
  const dump = new Map<string, [string, string][]>()
  for (const bucket of await readBuckets(file)) {
    const entries: [string, string][] = []
    for await (const page of readEntries(file, bucket)) {
      for (const { key, value } of page) entries.push([key.toString('hex'), value.toString('hex')])
    }
    dump.set(bucket.name.toString(), entries)
  }
  return dump
}

/**
 * What a file says about history, without what may differ between equal ones: of the time before the compact
 * revision deletions may or may not be left, and say nothing any more.
 */
export async function historyOf(path: string): Promise<{ compacted: string; versions: string[] }> {
  const dump = await dumpFile(path)
  const meta = new Map(dump.get('meta'))
  const scheduled = meta.get(Buffer.from('scheduledCompactRev').toString('hex')) ?? ''
  const compacted = scheduled.slice(0, 16)
  const versions = dump
    .get('key')!
    .filter(([key]) => key.length === 34 || key.slice(0, 16) > compacted)
    .map(([key, value]) => `${key} ${crc32c(Buffer.from(value, 'hex'))} ${value.slice(0, 200)}`)
  return { compacted, versions }
}

/** A hash over every pair that a server shows at a revision, with all its numbers, and how many there are. */
export async function stateAt(client: RawClient, revision: number): Promise<string> {
  const hash = createHash('sha256')
  let key: Uint8Array = Buffer.of(0)
  let count = 0
  for (;;) {
    const page = await client.call('etcdserverpb.KV/Range', {
      key,
      range_end: Buffer.of(0),
      revision,
      limit: 2000,
    })
    for (const kv of page.kvs) {
      const numbers = [kv.create_revision, kv.mod_revision, kv.version, kv.lease, kv.key.length]
      hash.update(`${numbers.join()} ${kv.value.length} `).update(kv.key).update(kv.value)
      key = Buffer.concat([kv.key, Buffer.of(0)])
    }
    count += page.kvs.length
    if (!page.more) return `${count} keys, ${hash.digest('hex')}`
  }
}
