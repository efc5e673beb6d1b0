import { assert, type StoreWrite, toKeyString } from '@kvorum/model'
import sortedBtree from 'sorted-btree'

/**
 * Writes that are not in the store yet, in front of it.
 *
 *     newest   active layer   <- writes go here
 *              frozen layer   <- being written to the store, or waiting for it
 *     oldest   frozen layer
 *     below    the store
 *
 * A layer is dropped only when the store has all of it. Layers are frozen and dropped in order.
 */
export type LayerTree = sortedBtree.default<string, StoreWrite>

interface FrozenLayer {
  readonly id: number
  readonly tree: LayerTree
  readonly bytes: number
}

export interface Overlay {
  active: LayerTree
  activeId: number
  activeBytes: number
  /** Oldest first. */
  frozen: FrozenLayer[]
  frozenBytes: number
  /** Id of the newest layer that has been dropped; 0 before the first. */
  dropped: number
  /** The last snapshot, while nothing has been written since. */
  snapshot: OverlaySnapshot | null
}

/**
 * The layers at one moment; later writes do not show. Whoever orders a fetch takes one at that moment and lays
 * it over the answer: layers that reach the store, and are dropped, while the fetch is under way stay visible.
 */
export interface OverlaySnapshot {
  /** Newest first. */
  readonly layers: readonly LayerTree[]
  readonly activeId: number
}

/** Charged per write besides its bytes: tree slot, key string, record. */
const WRITE_OVERHEAD_BYTES = 160

const compareKeys = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const emptyTree = (): LayerTree => new sortedBtree.default<string, StoreWrite>(undefined, compareKeys)

export const createOverlay = (): Overlay => ({
  active: emptyTree(),
  activeId: 1,
  activeBytes: 0,
  frozen: [],
  frozenBytes: 0,
  dropped: 0,
  snapshot: null,
})

export function overlayPut(overlay: Overlay, write: StoreWrite): void {
  overlay.snapshot = null
  const isNew = overlay.active.set(toKeyString(write.key), write)
  // A replaced write is not taken off again: that only makes a layer look a little larger than it is.
  overlay.activeBytes += write.value?.length ?? 0
  if (isNew) overlay.activeBytes += WRITE_OVERHEAD_BYTES + 2 * write.key.length
}

/** Undefined: no layer knows the row, ask the store. Null: the row is deleted. */
export function overlayGet(overlay: Overlay, key: Uint8Array): Uint8Array | null | undefined {
  const text = toKeyString(key)
  let write = overlay.active.get(text)
  for (let i = overlay.frozen.length - 1; write === undefined && i >= 0; i--) {
    write = overlay.frozen[i]!.tree.get(text)
  }
  return write?.value
}

export function layersGet(layers: readonly LayerTree[], key: Uint8Array): Uint8Array | null | undefined {
  if (layers.length === 0) return undefined
  const text = toKeyString(key)
  for (const layer of layers) {
    const write = layer.get(text)
    if (write !== undefined) return write.value
  }
  return undefined
}

/** Cheap: the active tree is shared until the next write to it copies the nodes it touches. */
export function overlaySnapshot(overlay: Overlay): OverlaySnapshot {
  if (overlay.snapshot !== null) return overlay.snapshot
  const layers = overlay.frozen.map(layer => layer.tree).reverse()
  if (overlay.active.size > 0) layers.unshift(overlay.active.clone())
  overlay.snapshot = { layers, activeId: overlay.activeId }
  return overlay.snapshot
}

/** Whether something written after the snapshot may have left the layers already, so that neither shows it. */
export const snapshotIsStale = (overlay: Overlay, snapshot: OverlaySnapshot): boolean =>
  overlay.dropped >= snapshot.activeId

/** Closes the active layer: its writes, in key order, are one batch for the store. Null: there is nothing. */
export function overlayFreeze(overlay: Overlay): { writes: StoreWrite[]; bytes: number; id: number } | null {
  if (overlay.active.size === 0) return null
  const { active: tree, activeId: id, activeBytes: bytes } = overlay
  overlay.frozen.push({ id, tree, bytes })
  overlay.frozenBytes += bytes
  overlay.active = emptyTree()
  overlay.activeId = id + 1
  overlay.activeBytes = 0
  overlay.snapshot = null
  return { writes: tree.valuesArray(), bytes, id }
}

/** The store has the batch that `overlayFreeze` returned under this id. */
export function overlayDrop(overlay: Overlay, id: number): void {
  const oldest = overlay.frozen[0]
  assert(oldest !== undefined && oldest.id === id, () => `layer ${id} is not the oldest`)
  overlay.frozen.shift()
  overlay.frozenBytes -= oldest.bytes
  overlay.dropped = id
  overlay.snapshot = null
}

/** Charged bytes of all layers; the owner stops applying above its bound. */
export const overlayBytes = (overlay: Overlay): number => overlay.activeBytes + overlay.frozenBytes
