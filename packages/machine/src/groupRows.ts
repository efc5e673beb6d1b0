import {
  type AuthFence,
  ByteReader,
  ByteWriter,
  type Guard,
  type Index,
  type LeaseId,
  readGuard,
  readMany,
  readRange,
  type Revision,
  type StoreWrite,
  writeGuard,
  writeRange,
} from '@kvorum/model'
import type { Lease, Machine, Purge } from './machine.js'
import { groupKey, leaseKey } from './rowKeys.js'
import { openRow, sealedRow } from './seal.js'

/** The rows of a group besides keys and values. Each is one small record; `config` is opaque here. */

export function metaRow(machine: Machine): StoreWrite {
  const key = groupKey(machine.group, 'meta')
  const out = new ByteWriter(96)
  out.varint(machine.applied).varint(machine.appliedTerm)
  out.varint(machine.revision).varint(machine.compactRevision)
  out.varint(machine.epoch).varint(machine.logicalBytes).u32(machine.digest)
  out.varint(machine.reclaimed).varint(machine.reclaimedBytes)
  writeRange(out, machine.range)
  out.signed(machine.keys)
  return { key, value: sealedRow(machine.checksum, key, out.finish()).value }
}

export function readMeta(machine: Machine, row: Uint8Array): void {
  const input = new ByteReader(openRow(machine.checksum, groupKey(machine.group, 'meta'), row))
  machine.applied = input.varint()
  machine.appliedTerm = input.varint()
  machine.revision = input.varint()
  machine.compactRevision = input.varint()
  machine.epoch = input.varint()
  machine.logicalBytes = input.varint()
  machine.digest = input.u32()
  machine.reclaimed = input.varint()
  machine.reclaimedBytes = input.varint()
  machine.range = readRange(input)
  // Rows were written before anybody counted.
  machine.keys = input.remaining === 0 ? 0 : input.signed()
  input.end()
}

export function configRow(machine: Machine): StoreWrite {
  const key = groupKey(machine.group, 'config')
  const out = new ByteWriter().varint(machine.configIndex).raw(machine.config)
  return { key, value: sealedRow(machine.checksum, key, out.finish()).value }
}

export function readConfig(machine: Machine, row: Uint8Array): { config: Uint8Array; index: Index } {
  const body = openRow(machine.checksum, groupKey(machine.group, 'config'), row)
  const input = new ByteReader(body)
  const index = input.varint()
  return { config: body.subarray(body.length - input.remaining), index }
}

export function revisionsRow(machine: Machine, revisions: Uint8Array): { write: StoreWrite; crc: number } {
  const key = groupKey(machine.group, 'revisions')
  const { value, crc } = sealedRow(machine.checksum, key, revisions)
  return { write: { key, value }, crc }
}

export const readRevisions = (machine: Machine, row: Uint8Array): Uint8Array =>
  Buffer.from(openRow(machine.checksum, groupKey(machine.group, 'revisions'), row))

/** Durable with the first writes of a long command: after a crash they are known to be half of it. */
export function applyingRow(machine: Machine, revision: Revision): StoreWrite {
  const key = groupKey(machine.group, 'applying')
  return {
    key,
    value: sealedRow(machine.checksum, key, new ByteWriter(8).varint(revision).finish()).value,
  }
}

export function readApplying(machine: Machine, row: Uint8Array): Revision {
  const input = new ByteReader(openRow(machine.checksum, groupKey(machine.group, 'applying'), row))
  const revision = input.varint()
  input.end()
  return revision
}

export function purgeRow(machine: Machine, purge: Purge): StoreWrite {
  const key = groupKey(machine.group, 'purge')
  const out = new ByteWriter().varint(purge.target).bytes(purge.cursor).bytes(purge.counted)
  out.varint(purge.freed)
  return { key, value: sealedRow(machine.checksum, key, out.finish()).value }
}

export function readPurge(machine: Machine, row: Uint8Array): Purge {
  const input = new ByteReader(openRow(machine.checksum, groupKey(machine.group, 'purge'), row))
  const purge = {
    target: input.varint(),
    cursor: input.bytes(),
    counted: input.bytes(),
    freed: input.varint(),
  }
  input.end()
  return purge
}

export function authFenceRow(machine: Machine, fence: AuthFence): { write: StoreWrite; crc: number } {
  const key = groupKey(machine.group, 'authFence')
  const body = new ByteWriter(16).varint(fence.revision).bool(fence.enabled).finish()
  const { value, crc } = sealedRow(machine.checksum, key, body)
  return { write: { key, value }, crc }
}

export function readAuthFence(machine: Machine, row: Uint8Array): AuthFence {
  const input = new ByteReader(openRow(machine.checksum, groupKey(machine.group, 'authFence'), row))
  const fence = { revision: input.varint(), enabled: input.bool() }
  input.end()
  return fence
}

export function guardRow(machine: Machine, guard: Guard): { write: StoreWrite; crc: number } {
  const key = groupKey(machine.group, 'guard')
  const { value, crc } = sealedRow(machine.checksum, key, writeGuard(new ByteWriter(16), guard).finish())
  return { write: { key, value }, crc }
}

export function readGuardRow(machine: Machine, row: Uint8Array): Guard {
  const input = new ByteReader(openRow(machine.checksum, groupKey(machine.group, 'guard'), row))
  const guard = readGuard(input)
  input.end()
  return guard
}

export function leaseRow(
  machine: Machine,
  { id, ttl, elsewhere = [] }: Lease,
): { write: StoreWrite; crc: number } {
  const key = leaseKey(machine.group, id)
  const out = new ByteWriter(16).varint(ttl)
  if (elsewhere.length > 0) out.varint(elsewhere.length)
  for (const range of elsewhere) writeRange(out, range)
  const { value, crc } = sealedRow(machine.checksum, key, out.finish())
  return { write: { key, value }, crc }
}

export function readLease(machine: Machine, id: LeaseId, rowKey: Uint8Array, row: Uint8Array): Lease {
  // The row's bytes are the store's; what is remembered of them is not.
  const input = new ByteReader(Buffer.from(openRow(machine.checksum, rowKey, row)))
  const ttl = input.varint()
  const elsewhere = input.remaining === 0 ? [] : readMany(input, () => readRange(input))
  input.end()
  return elsewhere.length === 0 ? { id, ttl } : { id, ttl, elsewhere }
}
