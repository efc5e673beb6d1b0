import { assert, unreachable } from '@kvorum/model'
import type {
  BootIdentity,
  Entry,
  EntryKind,
  GroupId,
  HardState,
  LogBase,
  Millis,
  NodeId,
} from '@kvorum/model'
import { putU64 } from './format.js'

/** What another member's data directory looked like when it was last recorded. */
export interface PeerRecord {
  readonly node: NodeId
  readonly incarnation: BootIdentity['incarnation']
  readonly boot: number
  readonly nonce: bigint
}

/** A record that is to be written. `from` and `to` cut a run of one term out of `entries` (to is exclusive). */
export type LogItem =
  | { readonly kind: 'hardState'; readonly group: GroupId; readonly hardState: HardState }
  | EntriesItem
  /** Everything up to `base` is gone; `keep` false: everything after it, too. */
  | {
      readonly kind: 'base'
      readonly group: GroupId
      readonly base: LogBase
      readonly keep: boolean
      /** Wall clock of the newest entry the group ever had, so that time does not fall when all are gone. */
      readonly time: Millis
    }
  | { readonly kind: 'removed'; readonly group: GroupId }
  | { readonly kind: 'boot'; readonly identity: BootIdentity }
  | { readonly kind: 'peer'; readonly peer: PeerRecord }
  | { readonly kind: 'admitted' }
  /** Segments below this number are needed by nobody; they may or may not exist. */
  | { readonly kind: 'purged'; readonly below: number }

/** entries: replace everything from the first index on. moved: the same entries again, in a newer place. */
export interface EntriesItem {
  readonly kind: 'entries' | 'moved'
  readonly group: GroupId
  readonly entries: readonly Entry[]
  readonly from: number
  readonly to: number
  readonly bytes: number
}

export const BEGIN_BYTES = 28
export const COVER_BYTES = 16
export const RUN_HEADER_BYTES = 20
export const ENTRY_HEADER_BYTES = 11

/** Numbers on disk, as RECORD_KINDS. */
export const ENTRY_KINDS: Readonly<Record<EntryKind, number>> = { normal: 1, noop: 2, config: 3 }

/** A run is read and checked as a whole, so it stays near this; a larger entry is a run of its own. */
const RUN_BYTES_TARGET = 256 * 1024

/** Entries as runs of one term each. */
export function runsOf(kind: EntriesItem['kind'], group: GroupId, entries: readonly Entry[]): EntriesItem[] {
  const runs: EntriesItem[] = []
  let from = 0
  while (from < entries.length) {
    const { term } = entries[from]!
    let bytes = RUN_HEADER_BYTES
    let to = from
    for (; to < entries.length; to++) {
      const entry = entries[to]!
      const more = ENTRY_HEADER_BYTES + entry.data.length
      if (to > from && (entry.term !== term || bytes + more > RUN_BYTES_TARGET)) break
      bytes += more
    }
    runs.push({ kind, group, entries, from, to, bytes })
    from = to
  }
  return runs
}

export function payloadBytes(item: LogItem): number {
  switch (item.kind) {
    case 'hardState':
      return 24
    case 'entries':
    case 'moved':
      return item.bytes
    case 'base':
      return 25
    case 'removed':
      return 0
    case 'boot':
      return 24
    case 'peer':
      return 32
    case 'admitted':
      return 0
    case 'purged':
      return 8
    default:
      return unreachable(item)
  }
}

export const itemGroup = (item: LogItem): number => ('group' in item ? item.group : 0)

/** Writes the payload at `offset`; its length is `payloadBytes(item)`. */
export function putPayload(bytes: Buffer, offset: number, item: LogItem): void {
  switch (item.kind) {
    case 'hardState':
      putU64(bytes, offset, item.hardState.term)
      putU64(bytes, offset + 8, item.hardState.vote)
      putU64(bytes, offset + 16, item.hardState.commit)
      return
    case 'entries':
    case 'moved':
      putRun(bytes, offset, item)
      return
    case 'base':
      putU64(bytes, offset, item.base.index)
      putU64(bytes, offset + 8, item.base.term)
      bytes[offset + 16] = item.keep ? 1 : 0
      putU64(bytes, offset + 17, item.time)
      return
    case 'boot':
      putBoot(bytes, offset, item.identity)
      return
    case 'peer':
      bytes.writeBigUInt64BE(item.peer.node, offset)
      putBoot(bytes, offset + 8, item.peer)
      return
    case 'purged':
      putU64(bytes, offset, item.below)
      return
    case 'removed':
    case 'admitted':
      return
    default:
      unreachable(item)
  }
}

function putBoot(bytes: Buffer, offset: number, identity: BootIdentity): void {
  bytes.writeBigUInt64BE(identity.incarnation, offset)
  putU64(bytes, offset + 8, identity.boot)
  bytes.writeBigUInt64BE(identity.nonce, offset + 16)
}

function putRun(bytes: Buffer, offset: number, item: EntriesItem): void {
  const first = item.entries[item.from]!
  putU64(bytes, offset, first.index)
  putU64(bytes, offset + 8, first.term)
  bytes.writeUInt32BE(item.to - item.from, offset + 16)
  let at = offset + RUN_HEADER_BYTES
  for (let i = item.from; i < item.to; i++) {
    const { kind, time, data } = item.entries[i]!
    assert(Number.isInteger(time) && time >= 0 && time < 2 ** 48, () => `${time} is no time of an entry`)
    bytes[at] = ENTRY_KINDS[kind]
    bytes.writeUIntBE(time, at + 1, 6)
    bytes.writeUInt32BE(data.length, at + 7)
    bytes.set(data, at + ENTRY_HEADER_BYTES)
    at += ENTRY_HEADER_BYTES + data.length
  }
}
