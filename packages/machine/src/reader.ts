import type { Checksum, GroupId, KeyRange, Revision } from '@kvorum/model'
import type { Machine } from './machine.js'
import {
  layersGet,
  type Overlay,
  overlayGet,
  overlaySnapshot,
  type OverlaySnapshot,
  snapshotIsStale,
} from './overlay.js'
import { createAhead, type Prefetched, type View } from './view.js'

/**
 * One frozen view of a shard, for one read of several fetches. The owner makes it at the moment from which the
 * store view of all its fetches dates: that store view holds every layer dropped before the snapshot was taken
 * and nothing that was written after it.
 */
export interface Reader {
  readonly group: GroupId
  readonly checksum: Checksum
  readonly range: KeyRange
  readonly responseBytesMax: number
  readonly revision: Revision
  readonly compactRevision: Revision
  /** A command is half written at this revision; 0: none. Invisible to this reader. */
  readonly applying: Revision
  readonly view: View
}

/** `at`: the revision of what is read, and of its header; the owner knows that nothing at or below it is missing. */
export function createReader(
  machine: Machine,
  snapshot: OverlaySnapshot,
  at: Revision = Math.max(machine.revision, machine.compactRevision),
): Reader {
  const { group, checksum, range, responseBytesMax, compactRevision, applying } = machine
  const { layers } = snapshot
  const view: View = {
    checksum,
    revision: machine.revision,
    past: () => applying !== 0,
    lookup: key => layersGet(layers, key),
    layers: () => layers,
    ahead: null,
  }
  return { group, checksum, range, responseBytesMax, revision: at, compactRevision, applying, view }
}

/** What a command sees: the state before it, whatever it has written of itself already. */
export function commandView(machine: Machine, overlay: Overlay, prefetched: Prefetched | null): View {
  let fetched = prefetched
  let ahead = createAhead(prefetched)
  return {
    checksum: machine.checksum,
    revision: machine.revision,
    past: () => machine.applying !== 0,
    lookup: key => overlayGet(overlay, key),
    layers: () => overlaySnapshot(overlay).layers,
    get ahead() {
      // While the command waited, or entries before it, layers that came after the fetch may have gone into the store.
      if (fetched !== null && snapshotIsStale(overlay, fetched.overlay)) {
        fetched = null
        ahead = createAhead(null)
      }
      return ahead
    },
  }
}
