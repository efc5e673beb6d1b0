import { addRange, type KeyRange, type LeaseId, pointRange, rangeCovers } from '@kvorum/model'
import { nextAttached, openAttachments } from './attachments.js'
import { addToSum, type EntryWrites, isFull, spill, write, writeDelete } from './entryWrites.js'
import { leaseRow } from './groupRows.js'
import type { Lease, Machine } from './machine.js'
import type { Overlay } from './overlay.js'
import { commandView } from './reader.js'
import { leaseKey, sessionKey, sessionReplyKey } from './rowKeys.js'
import { sessionRow } from './sessionRows.js'
import { removeSession, type Session } from './sessions.js'
import type { Step } from './step.js'
import type { Prefetched, View } from './view.js'

/**
 * Leases have one home, the shard with the first keys. It has their records, and knows where else keys are attached;
 * the attachments are where their keys are. A lease ends everywhere at one revision: in its home alone, or by a
 * transaction of its home and all shards of `elsewhere`.
 */
export const isHome = ({ range }: Machine): boolean => range.start.length === 0

/** Whether other shards may have keys of the lease: then it ends by a transaction. */
export const isAttachedElsewhere = ({ leases }: Machine, id: LeaseId): boolean =>
  leases.get(id)?.elsewhere !== undefined

/** This shard's attached keys go at the entry's revision, in key order; what it has of the lease itself goes last. */
export function* endLease(entry: EntryWrites, view: View, id: LeaseId): Step<() => void> {
  const { machine } = entry
  const cursor = openAttachments(machine.range, id, machine.applying)
  for (;;) {
    const page = yield* nextAttached(view, cursor)
    if (page === null) break
    for (const old of page) writeDelete(entry, 0, old)
    machine.counts.deletes += page.length
    if (isFull(entry)) spill(entry)
  }
  const lease = machine.leases.get(id)
  if (lease !== undefined) {
    addToSum(entry, leaseRow(machine, lease).crc)
    write(entry, leaseKey(machine.group, id), null)
  }
  const session = machine.sessions.byLease.get(id)
  if (session !== undefined) eraseSession(entry, session)
  return () => {
    machine.leases.delete(id)
    if (session !== undefined) removeSession(machine.sessions, session)
  }
}

function eraseSession(entry: EntryWrites, session: Session): void {
  const { machine } = entry
  addToSum(entry, sessionRow(machine, session).crc)
  write(entry, sessionKey(machine.group, session.id), null)
  for (const sequence of session.replies.keys()) {
    write(entry, sessionReplyKey(machine.group, session.id, sequence), null)
  }
}

/** The home learns that there may be attached keys in `ranges`. Leases that it does not have are left alone. */
export function attachElsewhere(
  entry: EntryWrites,
  leases: Iterable<LeaseId>,
  ranges: readonly KeyRange[],
): () => void {
  const { machine } = entry
  const changed: Lease[] = []
  for (const id of leases) {
    const lease = machine.leases.get(id)
    if (lease === undefined || isKnown(lease, ranges)) continue
    const known = lease.elsewhere ?? []
    const wider = { ...lease, elsewhere: ranges.map(copyOf).reduce(addRange, known) }
    const row = leaseRow(machine, wider)
    write(entry, row.write.key, row.write.value)
    addToSum(entry, row.crc)
    changed.push(wider)
  }
  return () => {
    for (const lease of changed) machine.leases.set(lease.id, lease)
  }
}

/** Whether the home knows all of `ranges`, or believes to: then whoever ends the lease asks there. */
export const isKnown = ({ elsewhere = [] }: Lease, ranges: readonly KeyRange[]): boolean =>
  ranges.every(range => elsewhere.some(known => rangeCovers(known, range)))

/** The bytes of the command are not kept. */
const copyOf = ({ start, end }: KeyRange): KeyRange => ({
  start: Buffer.from(start),
  end: end === null ? null : Buffer.from(end),
})

/** A transaction that ends a lease locks the keys one by one up to here, and above it everything between them. */
const LOCKED_KEYS_MAX = 64

/** The locks on all keys of the shard that are attached to the lease. */
export function* attachedLocks(
  machine: Machine,
  overlay: Overlay,
  prefetched: Prefetched | null,
  id: LeaseId,
): Step<readonly KeyRange[]> {
  const view = commandView(machine, overlay, prefetched)
  const cursor = openAttachments(machine.range, id, machine.applying)
  let locks: KeyRange[] = []
  for (;;) {
    const page = yield* nextAttached(view, cursor)
    if (page === null) return locks
    // Rows of attachments come in the order of their keys.
    for (const { key } of page) locks.push(pointRange(Buffer.from(key)))
    const first = locks[0]
    if (first !== undefined && locks.length > LOCKED_KEYS_MAX)
      locks = [{ start: first.start, end: locks[locks.length - 1]!.end }]
  }
}
