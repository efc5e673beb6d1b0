import type { KeyRange } from '@kvorum/model'
import type { StorePort } from '@kvorum/node'
import type { LevelEngine } from '@kvorum/storage'

const EVERYTHING: KeyRange = { start: Buffer.of(), end: Buffer.alloc(16, 0xff) }
/** The size on disk is looked at no more often than this. */
const SIZE_EVERY_MS = 2_000

/** The state store as a node's port. */
export function storePort(engine: LevelEngine): StorePort {
  let bytes = 0
  let lookedAt = 0
  let closed = false
  return {
    batch: (writes, options) => engine.batch(writes, options),
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
      return engine.close()
    },
  }
}
