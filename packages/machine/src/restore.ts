import {
  assert,
  type AuthFence,
  EMPTY,
  type Guard,
  type Index,
  type KeyValue,
  NO_LEASE,
  type Revision,
  type StoreWrite,
  type Term,
  toKeyString,
} from '@kvorum/model'
import { chainDigest } from './digest.js'
import { chargeOf } from './entryWrites.js'
import { authFenceRow, configRow, guardRow, leaseRow, metaRow, purgeRow } from './groupRows.js'
import { createMachine, type Lease, type Machine, type MachineOptions } from './machine.js'
import { type Overlay, overlayPut, overlaySnapshot } from './overlay.js'
import { decodeCurrent, encodeCurrent, encodeHistory, encodePast, encodeTombstone } from './record.js'
import { versionCharge } from './quota.js'
import { createReader } from './reader.js'
import { attachmentKey, currentKey, historyKey, historyStart, pastKey } from './rowKeys.js'
import type { Step } from './step.js'
import type { NumberedChange } from './versions.js'
import { getRows } from './view.js'

/**
 * Builds a shard's rows anew from a backup: what `versions.ts` says in the order in which it was written, old
 * versions before changes. Every replica that restores the same backup gets the same rows and the same digest.
 *
 *     beginRestore -> restoreChanges ... -> finishRestore, the overlay being written to the store in between
 */
export interface Restore {
  readonly machine: Machine
  readonly overlay: Overlay
  /** Of the last change. */
  revision: Revision
  sub: number
  /** As for an entry's digest. */
  sum: number
}

export interface RestoreOptions extends MachineOptions {
  /** Of the backup: versions that ended at or before it are left out. */
  readonly compactRevision: Revision
  readonly leases: readonly Lease[]
  /** What the users and roles that are restored beside it demand. */
  readonly authFence?: AuthFence
  /** What the alarms that are restored beside it refuse, before a leader says so. */
  readonly guard?: Guard
}

export function beginRestore(overlay: Overlay, options: RestoreOptions): Restore {
  const machine = createMachine(options)
  machine.compactRevision = options.compactRevision
  const restore: Restore = { machine, overlay, revision: 0, sub: -1, sum: 0 }
  if (options.authFence !== undefined) {
    machine.authFence = options.authFence
    const { write, crc } = authFenceRow(machine, options.authFence)
    put(restore, write, crc)
  }
  if (options.guard !== undefined) {
    machine.guard = options.guard
    const { write, crc } = guardRow(machine, options.guard)
    put(restore, write, crc)
  }
  for (const lease of options.leases) {
    machine.leases.set(lease.id, lease)
    const { write, crc } = leaseRow(machine, lease)
    put(restore, write, crc)
  }
  return restore
}

/** The end of the sentence says what cannot be: the backup contradicts itself. */
export type RestoreProblem = { readonly ok: false; readonly reason: string }

/** Takes changes in ascending order of (revision, sub). */
export function* restoreChanges(
  restore: Restore,
  changes: readonly NumberedChange[],
): Step<{ readonly ok: true } | RestoreProblem> {
  const { machine, overlay } = restore
  const { view } = createReader(machine, overlaySnapshot(overlay))
  const rowKeys = changes.map(({ kv }) => currentKey(kv.key))
  const rows = yield* getRows(view, rowKeys)
  const latest = new Map<string, KeyValue | null>()
  for (const [i, change] of changes.entries()) {
    const name = toKeyString(change.kv.key)
    let old = latest.get(name)
    if (old === undefined) {
      const row = rows[i] ?? null
      old = row === null ? null : decodeCurrent(machine.checksum, rowKeys[i]!, change.kv.key, row)
    }
    const problem = problemOf(restore, change, old)
    if (problem !== null) return { ok: false, reason: problem }
    restore.revision = change.revision
    restore.sub = change.sub
    latest.set(name, change.kind === 'put' ? restorePut(restore, change, old) : null)
    if (change.kind === 'delete') restoreDelete(restore, change, old)
  }
  return { ok: true }
}

function problemOf(restore: Restore, change: NumberedChange, old: KeyValue | null): string | null {
  const { revision, sub, kind, kv } = change
  const where = `revision ${revision}`
  if (revision < restore.revision || (revision === restore.revision && sub <= restore.sub))
    return `${where} does not follow ${restore.revision}`
  if (old !== null && old.mod >= revision) return `${where} changes a key twice`
  const compacted = revision <= restore.machine.compactRevision
  if (kind === 'delete') return old === null && !compacted ? `${where} deletes a key that is not there` : null
  if (kv.mod !== revision) return `${where} holds a key of revision ${kv.mod}`
  const follows =
    old === null
      ? compacted || (kv.version === 1 && kv.create === revision)
      : kv.version === old.version + 1 && kv.create === old.create
  const possible = kv.version >= 1 && kv.create >= 1 && kv.create <= revision
  return follows && possible ? null : `${where} holds a version of a key that does not follow the one before`
}

const put = (restore: Restore, write: StoreWrite, crc = 0): void => {
  overlayPut(restore.overlay, write)
  restore.sum = (restore.sum + crc) >>> 0
}

/** The version as it is now stored. */
function restorePut(restore: Restore, change: NumberedChange, old: KeyValue | null): KeyValue {
  const { machine } = restore
  const { revision, sub } = change
  retire(restore, revision, old)
  const kv = sub > 0 ? { ...change.kv, sub } : change.kv
  const key = currentKey(kv.key)
  const { value, crc } = encodeCurrent(machine.checksum, key, kv)
  put(restore, { key, value }, crc)
  machine.logicalBytes += chargeOf(kv)
  if (old === null) machine.keys++
  if (machine.leases.has(kv.lease)) {
    put(restore, { key: attachmentKey(kv.lease, kv.key), value: EMPTY })
  }
  remember(restore, change, old)
  return kv
}

function restoreDelete(restore: Restore, change: NumberedChange, old: KeyValue | null): void {
  const { machine } = restore
  const { revision, kv } = change
  if (old !== null) {
    put(restore, { key: currentKey(kv.key), value: null })
    machine.keys--
  }
  retire(restore, revision, old)
  if (revision < machine.compactRevision) return
  const key = pastKey(kv.key, revision)
  const { value, crc } = encodeTombstone(machine.checksum, key, kv.key, revision)
  put(restore, { key, value }, crc)
  // One at the compact revision has been given back with it, as after any other compaction.
  if (revision > machine.compactRevision) machine.logicalBytes += versionCharge(kv.key.length, 0)
  remember(restore, change, old)
}

/** What was replaced at or below the compact revision cannot be read any more. */
function retire(restore: Restore, revision: Revision, old: KeyValue | null): void {
  if (old === null) return
  const { machine } = restore
  if (old.lease !== NO_LEASE) {
    put(restore, { key: attachmentKey(old.lease, old.key), value: null })
  }
  if (revision <= machine.compactRevision) {
    machine.logicalBytes -= chargeOf(old)
    return
  }
  const key = pastKey(old.key, old.mod)
  const { value, crc } = encodePast(machine.checksum, key, old, revision)
  put(restore, { key, value }, crc)
}

/** As after a compaction: a watch may begin at the compact revision, and not before. */
function remember(restore: Restore, { revision, sub, kind, kv }: NumberedChange, old: KeyValue | null): void {
  const { checksum, compactRevision } = restore.machine
  if (revision < compactRevision) return
  const key = historyKey(revision, sub, kv.key)
  const kept = revision === compactRevision ? null : old
  const record = { kind, prev: kept?.mod ?? 0, prevBytes: kept === null ? 0 : chargeOf(kept) }
  put(restore, { key, value: encodeHistory(checksum, key, record) })
}

export interface RestoredAt {
  /** At least that of the last change. */
  readonly revision: Revision
  /** Everything before `revision` is to be compacted: clients that knew the old cluster must begin anew. */
  readonly compacted: boolean
  /** The log begins behind this entry. */
  readonly index: Index
  readonly term: Term
  readonly config: Uint8Array
}

/** The rows of the group itself. */
export function finishRestore(restore: Restore, at: RestoredAt): Machine {
  const { machine, overlay } = restore
  assert(at.revision >= restore.revision, () => 'a restored shard is not older than its rows')
  machine.revision = at.revision
  // What is compacted here is still there, and goes like after any other compaction.
  const { compactRevision } = machine
  const counted = compactRevision > 0 ? historyStart(compactRevision + 1) : EMPTY
  machine.purge = { ...machine.purge, target: compactRevision, counted }
  if (at.compacted) {
    const cursor = historyStart(machine.compactRevision)
    machine.purge = { ...machine.purge, target: at.revision, cursor }
    machine.compactRevision = at.revision
  }
  machine.applied = at.index
  machine.appliedTerm = at.term
  machine.config = at.config
  machine.configIndex = at.index
  machine.digest = chainDigest(machine, false, restore.sum)
  for (const write of [metaRow(machine), configRow(machine), purgeRow(machine, machine.purge)]) {
    overlayPut(overlay, write)
  }
  return machine
}
