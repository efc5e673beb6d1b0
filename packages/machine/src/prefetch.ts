import {
  decodeWork,
  isEmptyRange,
  isPoint,
  type KeyRange,
  type LeaseId,
  type Op,
  type ShardCommand,
  type StoreNeed,
  type StoreScan,
  toKeyString,
  type TransactionWork,
} from '@kvorum/model'
import { attachmentScan } from './attachments.js'
import type { Machine } from './machine.js'
import { attachmentRows, currentKey, TABLES } from './rowKeys.js'
import { NO_NEED } from './step.js'
import { firstScan } from './visible.js'

/**
 * What the command will probably ask for first, so that one fetch can serve many entries. Only a hint: the
 * command asks for what is missing, and looks at the layers itself.
 */
export function prefetch(machine: Machine, command: ShardCommand): StoreNeed {
  switch (command.kind) {
    case 'write':
      return footprintOf(command.op)
    case 'prepare':
      return workNeeds(machine, decodeWork(command.prepare.work))
    case 'leaseRevoke':
      return attachmentsOf(machine, command.id)
    case 'compact':
    case 'leaseGrant':
    case 'sessionOpen':
    case 'authFence':
    case 'publish':
    case 'guard':
    case 'reclaim':
    case 'endDense':
    case 'split':
    case 'decide':
    case 'end':
    case 'forget':
      return NO_NEED
  }
}

const attachmentsOf = (machine: Machine, lease: LeaseId): StoreNeed => ({
  gets: [],
  scans: [attachmentScan(attachmentRows(machine.range, lease))],
})

const workNeeds = (machine: Machine, work: TransactionWork): StoreNeed =>
  work.kind === 'revoke' ? attachmentsOf(machine, work.lease) : footprintOf(work.op)

function footprintOf(op: Op): StoreNeed {
  if (op.kind === 'put') return { gets: [currentKey(op.key)], scans: [] }
  const footprint: Footprint = { seen: new Set(), gets: [], scans: [] }
  addOp(footprint, op)
  return { gets: footprint.gets, scans: footprint.scans }
}

interface Footprint {
  readonly seen: Set<string>
  readonly gets: Uint8Array[]
  readonly scans: StoreScan[]
}

/** More scans than this are left to the command, one after the other. */
const SCANS_MAX = 4

function addOp(footprint: Footprint, op: Op): void {
  switch (op.kind) {
    case 'put':
      return addKey(footprint, op.key)
    case 'delete':
      return addRange(footprint, op.range)
    case 'range':
      if (op.revision === 0 && !op.countOnly && op.order !== 'descend') addRange(footprint, op.range)
      return
    case 'txn':
      for (const { range } of op.compares) addRange(footprint, range)
      for (const nested of op.success) addOp(footprint, nested)
      for (const nested of op.failure) addOp(footprint, nested)
  }
}

function addKey(footprint: Footprint, key: Uint8Array): void {
  const row = currentKey(key)
  const text = toKeyString(row)
  if (footprint.seen.has(text)) return
  footprint.seen.add(text)
  footprint.gets.push(row)
}

function addRange(footprint: Footprint, range: KeyRange): void {
  if (isPoint(range)) addKey(footprint, range.start)
  else if (!isEmptyRange(range) && footprint.scans.length < SCANS_MAX) {
    footprint.scans.push(firstScan(TABLES.current, range, false))
  }
}
