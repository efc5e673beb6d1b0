import {
  NO_FENCE,
  NO_GUARD,
  type AuthFence,
  type Guard,
  type Op,
  type RevisionEvents,
  type ShardCommand,
} from '@kvorum/model'
import type { Truth } from '../check/kvView.js'
import { Failure } from './failure.js'

/** docs/decisions/0008-quota.md, counted a second time. */
const VERSION_BYTES = 256
const LEASE_BYTES = 64

/**
 * What a shard refuses because of users, alarms and its quota, by its log alone: the reference for the machine.
 * Of users it knows what the shard knows, that is how new the decision must be by which a command was allowed.
 */
export class Refusals {
  #fence: AuthFence = NO_FENCE
  #guard: Guard = NO_GUARD
  /** Every version and deletion that the history holds. */
  #bytes = 0
  #reclaimed = { revision: 0, bytes: 0 }
  /** What compactions up to here have freed was told before the shard was split off, or split. */
  #told = 0

  get reclaimed(): number {
    return this.#reclaimed.revision
  }

  /** Nobody has read the keys: both halves begin with half of what there is, and count anew what they free. */
  split(): Refusals {
    const right = new Refusals()
    right.#fence = this.#fence
    right.#guard = this.#guard
    right.#bytes = Math.floor(this.#bytes / 2)
    this.#bytes -= right.#bytes
    this.#told = right.#told = this.#reclaimed.revision
    this.#reclaimed = { ...this.#reclaimed, bytes: 0 }
    right.#reclaimed = this.#reclaimed
    return right
  }

  /** `allowedBy`: the fence that travels with the command; null: authentication was off where it came in. */
  isOutdated(command: ShardCommand, allowedBy: number | null): boolean {
    if (OWN.has(command.kind)) return false
    return allowedBy === null ? this.#fence.enabled : allowedBy < this.#fence.revision
  }

  isWithoutRoom(command: ShardCommand): boolean {
    const { noSpace, corrupt, quota } = this.#guard
    if (OWN.has(command.kind)) return false
    if (corrupt) return true
    const wanted =
      command.kind === 'write' ? wantedBy(command.op) : command.kind === 'leaseGrant' ? LEASE_BYTES : 0
    if (wanted === 0) return false
    return noSpace || (quota > 0 && this.#bytes + wanted > quota)
  }

  /** Of what members say among themselves. */
  take(command: ShardCommand, truth: Truth): void {
    if (command.kind === 'authFence') {
      if (command.fence.revision > this.#fence.revision) this.#fence = command.fence
    } else if (command.kind === 'guard') {
      if (command.guard.version >= this.#guard.version) this.#guard = command.guard
    } else if (command.kind === 'reclaim' && command.revision > this.#reclaimed.revision) {
      const { revision, bytes } = command
      const freed = freedBy(truth, this.#told + 1, revision)
      if (freed !== bytes) throw new Failure('a compaction freed something else', { revision, bytes, freed })
      this.#bytes = Math.max(0, this.#bytes - (bytes - this.#reclaimed.bytes))
      this.#reclaimed = { revision, bytes }
    }
  }

  wrote({ events }: RevisionEvents): void {
    for (const { kv } of events) this.#bytes += charge(kv)
  }
}

const OWN: ReadonlySet<ShardCommand['kind']> = new Set([
  'guard',
  'reclaim',
  'authFence',
  'publish',
  'endDense',
])

/** A deletion has a key and no value. */
const charge = ({ key, value }: { readonly key: Uint8Array; readonly value: Uint8Array }): number =>
  VERSION_BYTES + key.length + value.length

/** In the branch that takes more. */
function wantedBy(op: Op): number {
  if (op.kind === 'put') return charge(op)
  if (op.kind !== 'txn') return 0
  const [then, otherwise] = [op.success, op.failure].map(ops =>
    ops.reduce((sum, nested) => sum + wantedBy(nested), 0),
  )
  return Math.max(then!, otherwise!)
}

/** All that compactions up to `to` end: versions replaced or deleted from `from` on, and the deletions. */
function freedBy(truth: Truth, from: number, to: number): number {
  let freed = 0
  for (const { events } of truth.between(from, to)) {
    for (const { kind, kv, prev } of events) {
      if (prev !== null) freed += charge(prev)
      if (kind === 'delete') freed += charge(kv)
    }
  }
  return freed
}
