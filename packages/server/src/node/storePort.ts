import type { KeyRange, StoreWrite } from '@kvorum/model'
import type { StorePort } from '@kvorum/node'
import type { LevelEngine } from '@kvorum/storage'
import type { DiskRoom } from './diskRoom.js'

const EVERYTHING: KeyRange = { start: Buffer.of(), end: Buffer.alloc(16, 0xff) }
/** The size on disk is looked at no more often than this. */
const SIZE_EVERY_MS = 2_000

/** Both texts of a row, and what the store adds to them. */
const sizeOf = (writes: readonly StoreWrite[]): number =>
  writes.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0) + ROW_OVERHEAD_BYTES, 0)
const ROW_OVERHEAD_BYTES = 16

/** The state store as a node's port. */
export function storePort(engine: LevelEngine, room: DiskRoom): StorePort {
  let bytes = 0
  let lookedAt = 0
  let closed = false
  return {
    batch: async (writes, options) => {
      await room.wait(sizeOf(writes))
      await engine.batch(writes, options)
    },
    fetch: (need, view) => engine.fetch(need, view ?? undefined),
    fetchNow: need => engine.fetchNow(need),
    openView: () => engine.openView(),
    closeView: view => engine.closeView(view),
    diskBytes: () => {
      if (!closed && Date.now() - lookedAt > SIZE_EVERY_MS) {
        lookedAt = Date.now()
        engine.approximateBytes(EVERYTHING).then(
          size => (bytes = size),
          () => undefined,
        )
      }
      return bytes
    },
    close: () => {
      closed = true
      room.close()
      return engine.close()
    },
  }
}
