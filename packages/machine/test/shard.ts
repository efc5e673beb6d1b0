import { crc32 } from 'node:zlib'
import {
  type Checksum,
  decodeReply,
  decodeShardCommand,
  encodeShardCommand,
  groupId,
  type KvError,
  type Reply,
  type RevisionEvents,
  type ShardCommand,
} from '@kvorum/model'
import {
  type Applied,
  applyCommand,
  compactPhysically,
  createMachine,
  createOverlay,
  createReader,
  hasPhysicalCompaction,
  loadMachine,
  type Machine,
  type Overlay,
  overlayDrop,
  overlayFreeze,
  overlaySnapshot,
  prefetch,
  type Prefetched,
  type Reader,
  runStep,
  type Step,
} from '@kvorum/machine'
import { MemoryStore } from './memoryStore.js'

export const checksum: Checksum = (bytes, seed) => crc32(bytes, seed)
export const GROUP = groupId(1)

/** One replica of a shard with the owner's duties done by hand. */
export interface Shard {
  machine: Machine
  overlay: Overlay
  store: MemoryStore
  log: Uint8Array[]
  responseBytesMax: number | undefined
  /** Called at every fetch of a command; may flush. */
  atFetch: () => void
}

export interface Outcome {
  readonly reply: Reply | null
  readonly error: KvError | null
  readonly revision: number
  readonly changed: boolean
  readonly events: RevisionEvents | null
}

const optionsOf = (responseBytesMax: number | undefined) => ({
  group: GROUP,
  checksum,
  ...(responseBytesMax === undefined ? {} : { responseBytesMax }),
})

export function createShard(responseBytesMax?: number): Shard {
  const machine = createMachine(optionsOf(responseBytesMax))
  const store = new MemoryStore()
  return { machine, overlay: createOverlay(), store, log: [], responseBytesMax, atFetch: () => {} }
}

export const toOutcome = (applied: Applied): Outcome => ({
  reply: applied.result.ok ? decodeReply(applied.result.value) : null,
  error: applied.result.ok ? null : applied.result.error,
  revision: applied.revision,
  changed: applied.changed,
  events: applied.events,
})

/** Appends to the log and applies. */
export function execute(shard: Shard, command: ShardCommand, fetched = false): Outcome {
  shard.log.push(encodeShardCommand(command))
  return applyNext(shard, fetched)
}

export function applyNext(shard: Shard, fetched = false): Outcome {
  const index = shard.machine.applied + 1
  const data = shard.log[index - 1]!
  const ahead = fetched ? fetchAhead(shard, data) : null
  return toOutcome(drive(shard, applyCommand(shard.machine, shard.overlay, { index, term: 1, data }, ahead)))
}

export function fetchAhead(shard: Shard, data: Uint8Array): Prefetched {
  const need = prefetch(shard.machine, decodeShardCommand(data))
  return { need, overlay: overlaySnapshot(shard.overlay), answer: shard.store.answer(need) }
}

export const drive = <Result>(shard: Shard, step: Step<Result>): Result =>
  runStep(step, need => {
    shard.atFetch()
    return shard.store.answer(need)
  })

/** Closes the active layer, writes all closed ones and drops them. */
export function flush(shard: Shard): void {
  const batch = overlayFreeze(shard.overlay)
  if (batch === null) return
  shard.store.write(batch.writes)
  overlayDrop(shard.overlay, batch.id)
}

/** What is left after a power loss: the store without the overlay. */
export function restart(shard: Shard): void {
  shard.overlay = createOverlay()
  const options = optionsOf(shard.responseBytesMax)
  shard.machine = runStep(loadMachine(options), need => shard.store.answer(need)) ?? createMachine(options)
}

export function catchUp(shard: Shard): void {
  while (shard.machine.applied < shard.log.length) applyNext(shard)
}

/** A read on a pinned view. */
export function read<Result>(shard: Shard, make: (reader: Reader) => Step<Result>): Result {
  const reader = createReader(shard.machine, overlaySnapshot(shard.overlay))
  const pinned = shard.store
  return runStep(make(reader), need => pinned.answer(need))
}

export function purge(shard: Shard, pagesMax = Infinity): void {
  for (let page = 0; page < pagesMax && hasPhysicalCompaction(shard.machine); page++) {
    drive(shard, compactPhysically(shard.machine, shard.overlay))
  }
}
