import { crc32 } from 'node:zlib'
import {
  ALL_KEYS,
  assert,
  compareBytes,
  HeldStateLost,
  type HeldState,
  type KeyRange,
  type KeyValue,
  type StoreAnswer,
  type StoreNeed,
} from '@kvorum/model'
import {
  loadMachine,
  loadOldVersions,
  nextChanges,
  openChanges,
  userKeyOf,
  type Changes,
  type Machine,
  type NumberedChange,
  type Reader,
  type Step,
} from '@kvorum/machine'
import type { MetaState } from '@kvorum/placement'

/** Carries out work that reads rows. Rejects where they cannot be had, or when nobody waits any more. */
export type RunStep = <Value>(step: Step<Value>) => Promise<Value>

/** A shard of a held state, here or elsewhere, with the way to its rows. */
export interface OpenShard {
  readonly machine: Machine
  readonly run: RunStep
}

export interface ShardReader {
  readonly reader: Reader
  readonly run: RunStep
}

export const runOn =
  (fetch: (need: StoreNeed) => Promise<StoreAnswer>, signal: AbortSignal): RunStep =>
  async step => {
    let state = step.next()
    while (state.done !== true) {
      signal.throwIfAborted()
      state = step.next(await fetch(state.value))
    }
    return state.value
  }

const checksum = (bytes: Uint8Array, seed?: number): number => crc32(bytes, seed)

/** All shards of the state, in the order of their keys, which they have all of. */
export async function openShards(
  held: HeldState,
  meta: Pick<MetaState, 'shards'>,
  run: RunStep,
  signal: AbortSignal,
): Promise<OpenShard[]> {
  const apart = held.shards
  if (apart === undefined) {
    const shards: OpenShard[] = []
    for (const shard of meta.shards.shards) {
      const machine = await run(loadMachine({ ...shard, checksum }))
      assert(machine !== null && machine.applying === 0, () => 'the held state has whole shards')
      shards.push({ machine, run })
    }
    return shards
  }
  const shards: OpenShard[] = []
  for (const shard of apart) {
    const { group, range, here } = shard
    const runThere = runOn(need => shard.fetch(need), signal)
    const machine = await runThere(loadMachine({ group, range, checksum }))
    if (machine === null || machine.installing)
      throw new HeldStateLost(`shard ${group} is not there any more`)
    assert(!here || machine.applying === 0, () => 'the held state has whole shards')
    shards.push({ machine, run: runThere })
  }
  checkWhole(shards.map(({ machine }) => machine.range))
  return shards
}

/** What has been cut while it was held, here or there, is not all there. */
function checkWhole(ranges: readonly KeyRange[]): void {
  let at: Uint8Array | null = ALL_KEYS.start
  for (const { start, end } of ranges) {
    if (at === null || compareBytes(start, at) !== 0) throw new HeldStateLost('a shard was cut meanwhile')
    at = end
  }
  if (at !== null) throw new HeldStateLost('a shard was cut meanwhile')
}

/** The versions that the rows name, of whichever shard, in their order. The readers are in the order of their keys. */
export async function loadEach(
  readers: readonly ShardReader[],
  rows: readonly Uint8Array[],
): Promise<KeyValue[]> {
  const [first] = readers
  if (readers.length === 1 && first !== undefined) return first.run(loadOldVersions(first.reader, rows))
  const byReader = new Map<ShardReader, Uint8Array[]>()
  for (const row of rows) {
    const owner = readerOf(readers, userKeyOf(row) ?? new Uint8Array(0))
    const others = byReader.get(owner)
    if (others === undefined) byReader.set(owner, [row])
    else others.push(row)
  }
  const loaded = new Map<Uint8Array, KeyValue>()
  for (const [{ reader, run }, own] of byReader) {
    const versions = await run(loadOldVersions(reader, own))
    own.forEach((row, at) => loaded.set(row, versions[at]!))
  }
  return rows.map(row => loaded.get(row)!)
}

/** They cover all keys. */
function readerOf(readers: readonly ShardReader[], key: Uint8Array): ShardReader {
  let low = 0
  for (let high = readers.length - 1; low < high;) {
    const middle = (low + high + 1) >> 1
    if (compareBytes(readers[middle]!.reader.range.start, key) <= 0) low = middle
    else high = middle - 1
  }
  return readers[low]!
}

/** The changes of all shards in the order of their revisions, a page of each in memory. */
export async function* changesOf(
  readers: readonly ShardReader[],
): AsyncGenerator<readonly NumberedChange[], void, undefined> {
  const streams = readers.map(({ reader, run }) => streamOf(openChanges(reader), run))
  if (streams.length === 1) {
    for (let page = await streams[0]!.next(); page !== null; page = await streams[0]!.next()) yield page
    return
  }
  const heads = await Promise.all(streams.map(stream => headOf(stream)))
  let last = { revision: 0, sub: -1 }
  for (;;) {
    const first = earliest(heads)
    if (first === null) return
    const change = first.page[first.at++]!
    // Numbers count within a shard; those of a transaction over several must differ in the file.
    const sub = change.revision === last.revision ? Math.max(change.sub, last.sub + 1) : change.sub
    last = { revision: change.revision, sub }
    yield [{ ...change, sub }]
    if (first.at === first.page.length) await refill(first)
  }
}

interface ChangeStream {
  next(): Promise<readonly NumberedChange[] | null>
}

const streamOf = (changes: Changes, run: RunStep): ChangeStream => ({
  next: () => run(nextChanges(changes)),
})

interface Head {
  readonly stream: ChangeStream
  /** Empty: the stream is at its end. */
  page: readonly NumberedChange[]
  at: number
}

async function headOf(stream: ChangeStream): Promise<Head> {
  const head: Head = { stream, page: [], at: 0 }
  await refill(head)
  return head
}

async function refill(head: Head): Promise<void> {
  head.at = 0
  let page = await head.stream.next()
  while (page !== null && page.length === 0) page = await head.stream.next()
  head.page = page ?? []
}

function earliest(heads: readonly Head[]): Head | null {
  let first: Head | null = null
  for (const head of heads) {
    const change = head.page[head.at]
    if (change !== undefined && (first === null || change.revision < first.page[first.at]!.revision))
      first = head
  }
  return first
}
