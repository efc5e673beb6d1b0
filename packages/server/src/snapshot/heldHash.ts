import { ok, refuse, type HeldState, type Result, type Revision } from '@kvorum/model'
import { createOverlay, createReader, hashKv, overlaySnapshot, type KvHash } from '@kvorum/machine'
import { decodeMetaRow, META_ROW } from '@kvorum/placement'
import { openShards, runOn } from './shardSources.js'

/**
 * The hash of all keys of a held state, some shards of which are elsewhere: shard by shard in the order of the keys, as
 * the rows of all of them would lie in one store. `revision` 0: the one at which it is held.
 */
export async function hashHeld(
  held: HeldState,
  revision: Revision,
  signal: AbortSignal,
): Promise<Result<KvHash>> {
  const run = runOn(need => held.fetch(need), signal)
  const { values } = await held.fetch({ gets: [META_ROW], scans: [] })
  const meta = decodeMetaRow(values[0]!)
  const shards = await openShards(held, meta, run, signal)
  const compactRevision = Math.max(...shards.map(({ machine }) => machine.compactRevision))
  const newest = held.revision ?? Math.max(...shards.map(({ machine }) => machine.revision))
  if (revision > newest) return refuse('futureRevision')
  const at = revision > 0 ? revision : newest
  let hash = 0
  for (const { machine, run: runThere } of shards) {
    const reader = createReader({ ...machine, compactRevision }, overlaySnapshot(createOverlay()), newest)
    const hashed = await runThere(hashKv(reader, at, hash))
    if (!hashed.ok) return hashed
    ;({ hash } = hashed.value)
  }
  return ok({ hash, revision: at, compactRevision })
}
