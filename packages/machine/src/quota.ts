import {
  ALL_KEYS,
  decodeWork,
  type KeyRange,
  type KvError,
  type Op,
  rangeContains,
  refuse,
  type ShardCommand,
  type TransactionWork,
} from '@kvorum/model'
import type { Machine } from './machine.js'

/**
 * What a quota counts: every version and every deletion that the history still holds, charged with its key, its
 * value and an overhead. The number is replicated state. It grows with each write; compaction lets it shrink by
 * an entry of its own (`reclaim`), because replicas remove rows at their own pace.
 */
const VERSION_OVERHEAD_BYTES = 256
const LEASE_BYTES = 64

export const versionCharge = (keyBytes: number, valueBytes: number): number =>
  VERSION_OVERHEAD_BYTES + keyBytes + valueBytes

/** The most that a command may add, in whichever branch; 0: it never needs room, and is carried out without any. */
export function spaceWanted(command: ShardCommand, range: KeyRange = ALL_KEYS): number {
  switch (command.kind) {
    case 'write':
      return opWants(command.op, range)
    case 'prepare':
      return workWants(decodeWork(command.prepare.work), range)
    case 'leaseGrant':
      return LEASE_BYTES
    default:
      return 0
  }
}

const workWants = (work: TransactionWork, range: KeyRange): number =>
  work.kind === 'revoke' ? 0 : opWants(work.op, range)

function opWants(op: Op, range: KeyRange): number {
  switch (op.kind) {
    case 'put':
      return rangeContains(range, op.key) ? versionCharge(op.key.length, op.value.length) : 0
    case 'txn':
      return Math.max(sumOf(op.success, range), sumOf(op.failure, range))
    default:
      return 0
  }
}

const sumOf = (ops: readonly Op[], range: KeyRange): number =>
  ops.reduce((sum, op) => sum + opWants(op, range), 0)

/** What nodes say among themselves needs nobody's leave, and is carried out whatever is up. */
export const isOwn = ({ kind }: ShardCommand): boolean => OWN.has(kind)

const OWN: ReadonlySet<ShardCommand['kind']> = new Set([
  'guard',
  'reclaim',
  'authFence',
  'publish',
  'endDense',
  'split',
  'decide',
  'end',
  'forget',
])

/**
 * Why the command is refused by the guard or the quota. All of it is replicated state, so that a leader may ask
 * before it proposes and every replica decides alike when it applies.
 */
export function guardRefusal(machine: Machine, command: ShardCommand): KvError | null {
  const { guard } = machine
  if (isOwn(command)) return null
  if (guard.corrupt) return refuse('corrupt').error
  if (!guard.noSpace && guard.quota === 0) return null
  const wanted = spaceWanted(command, machine.range)
  return wanted > 0 && (guard.noSpace || exceeds(machine, wanted)) ? refuse('noSpace').error : null
}

const exceeds = ({ guard, logicalBytes }: Machine, wanted: number): boolean =>
  guard.quota > 0 && logicalBytes + wanted > guard.quota

/** An operation takes at least so many bytes of its command. */
const OP_BYTES_MIN = 8

/** Whether a command of that many bytes may be refused at all: spares looking into nearly every one. */
export function mayBeRefused(machine: Machine, commandBytes: number): boolean {
  const { guard } = machine
  if (guard.noSpace || guard.corrupt) return true
  const most = commandBytes + Math.ceil(commandBytes / OP_BYTES_MIN) * VERSION_OVERHEAD_BYTES
  return exceeds(machine, most)
}
