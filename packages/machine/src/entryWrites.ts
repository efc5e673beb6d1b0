import {
  EMPTY,
  type KeyValue,
  type LeaseId,
  NO_LEASE,
  type Revision,
  type StoreWrite,
  type WatchEvent,
} from '@kvorum/model'
import { applyingRow } from './groupRows.js'
import type { Machine } from './machine.js'
import { type Overlay, overlayPut } from './overlay.js'
import { encodeCurrent, encodeHistory, encodePast, encodeTombstone } from './record.js'
import { versionCharge } from './quota.js'
import { attachmentKey, currentKey, groupKey, historyKey, pastKey } from './rowKeys.js'

/**
 * What one entry has written so far. Nothing of a short command is anywhere else before its end, so it can
 * still be refused. A long one is marked in the store before its first writes leave, and can be applied again
 * from the start after a crash: all it writes follows from the state before it.
 */
export interface EntryWrites {
  readonly machine: Machine
  readonly overlay: Overlay
  /** What the revision becomes if the entry changes a key. */
  readonly revision: Revision
  pending: StoreWrite[]
  pendingBytes: number
  long: boolean
  changed: boolean
  /** Keys changed so far. */
  changes: number
  /** Sum over what was written, in no order: pages of a long command may come differently the second time. */
  sum: number
  logicalDelta: number
  keysDelta: number
  /** Null: too many to hold; the history rows have them. */
  events: WatchEvent[] | null
}

/** `stamp`: the revision that the oracle gave the entry; null: the next one of the shard. */
export const openEntry = (
  machine: Machine,
  overlay: Overlay,
  stamp: Revision | null = null,
): EntryWrites => ({
  machine,
  overlay,
  revision: stamp ?? machine.revision + 1,
  pending: [],
  pendingBytes: 0,
  long: machine.applying !== 0,
  changed: false,
  changes: 0,
  sum: 0,
  logicalDelta: 0,
  keysDelta: 0,
  events: machine.applying === 0 ? [] : null,
})

export function write(entry: EntryWrites, key: Uint8Array, value: Uint8Array | null): void {
  entry.pending.push({ key, value })
  entry.pendingBytes += key.length + (value?.length ?? 0)
}

export const addToSum = (entry: EntryWrites, crc: number): void => {
  entry.sum = (entry.sum + crc) >>> 0
}

/**
 * It changes keys, and more is held than a short command may write. When it is noticed depends on the pages that
 * this replica works on, whether it is noticed does not: a command that is carried out is asked once more at its end.
 */
export const isFull = ({ machine, changed, pending, pendingBytes }: EntryWrites): boolean =>
  changed && (pendingBytes > machine.longCommand.bytes || pending.length > machine.longCommand.rows)

/** Lets the writes so far go, which makes the command a long one: from here on it must not be refused. */
export function spill(entry: EntryWrites): void {
  becomeLong(entry)
  flushPending(entry)
}

/** The last writes stay: a lease that ends is needed until the command is shown, to carry it out again. */
export function becomeLong(entry: EntryWrites): void {
  const { machine, overlay } = entry
  if (entry.long) return
  entry.long = true
  entry.events = null
  machine.applying = entry.revision
  overlayPut(overlay, applyingRow(machine, entry.revision))
}

function flushPending(entry: EntryWrites): void {
  for (const pending of entry.pending) overlayPut(entry.overlay, pending)
  entry.pending = []
  entry.pendingBytes = 0
}

/** The last step of an entry, together with the group's own rows. */
export function closeEntry(entry: EntryWrites, rows: readonly StoreWrite[]): void {
  const { machine, overlay } = entry
  flushPending(entry)
  for (const row of rows) overlayPut(overlay, row)
  if (machine.applying !== 0) {
    overlayPut(overlay, { key: groupKey(machine.group, 'applying'), value: null })
    machine.applying = 0
  }
}

export const chargeOf = (kv: KeyValue): number => versionCharge(kv.key.length, kv.value.length)

/** All rows of a put. `old` is the version before the entry. */
export function writePut(entry: EntryWrites, position: number, kv: KeyValue, old: KeyValue | null): void {
  const { machine } = entry
  const rowKey = currentKey(kv.key)
  const row = encodeCurrent(machine.checksum, rowKey, entry.changes > 0 ? { ...kv, sub: entry.changes } : kv)
  write(entry, rowKey, row.value)
  addToSum(entry, row.crc)
  entry.logicalDelta += chargeOf(kv)
  if (old === null) entry.keysDelta++
  else retire(entry, old)
  if (old !== null && old.lease !== kv.lease) detach(entry, old)
  if (kv.lease !== NO_LEASE && old?.lease !== kv.lease) attach(entry, kv.lease, kv.key)
  remember(entry, position, { kind: 'put', kv, prev: old })
}

/** All rows of the deletion of one key, whose version before the entry is `old`. */
export function writeDelete(entry: EntryWrites, position: number, old: KeyValue): void {
  const { machine, revision } = entry
  write(entry, currentKey(old.key), null)
  entry.keysDelta--
  retire(entry, old)
  const rowKey = pastKey(old.key, revision)
  const row = encodeTombstone(machine.checksum, rowKey, old.key, revision)
  write(entry, rowKey, row.value)
  addToSum(entry, row.crc)
  entry.logicalDelta += versionCharge(old.key.length, 0)
  detach(entry, old)
  const kv = { key: old.key, create: 0, mod: revision, version: 0, value: EMPTY, lease: NO_LEASE }
  remember(entry, position, { kind: 'delete', kv, prev: old })
}

function retire(entry: EntryWrites, old: KeyValue): void {
  const rowKey = pastKey(old.key, old.mod)
  write(entry, rowKey, encodePast(entry.machine.checksum, rowKey, old, entry.revision).value)
}

function attach(entry: EntryWrites, lease: LeaseId, key: Uint8Array): void {
  write(entry, attachmentKey(lease, key), EMPTY)
}

function detach(entry: EntryWrites, old: KeyValue): void {
  if (old.lease === NO_LEASE) return
  write(entry, attachmentKey(old.lease, old.key), null)
}

function remember(entry: EntryWrites, position: number, event: WatchEvent): void {
  const { machine, revision } = entry
  const rowKey = historyKey(revision, position, event.kv.key)
  const record = {
    kind: event.kind,
    prev: event.prev?.mod ?? 0,
    prevBytes: event.prev === null ? 0 : chargeOf(event.prev),
  }
  write(entry, rowKey, encodeHistory(machine.checksum, rowKey, record))
  entry.changed = true
  entry.changes++
  entry.events?.push(event)
}
