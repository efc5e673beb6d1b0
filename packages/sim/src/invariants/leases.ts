import { toKeyString, type LeaseId, type Revision, type RevisionEvents } from '@kvorum/model'
import { SECOND, type Micros } from '../schedule.js'
import { check } from './violation.js'

interface Lease {
  /** Seconds. */
  readonly ttl: number
  /** True time: it must live until here at least. */
  liveUntil: Micros
  ended: { readonly cause: 'expired' | 'revoked'; readonly time: Micros; readonly revision: Revision } | null
}

/**
 * Leases against true time. Clients tell what they asked and were told, the log tells what happened.
 *
 * I35: a lease does not expire before its TTL has passed since the call of the last grant or keep-alive that
 *   succeeded, as long as no clock runs faster than `drift` says; also across leader changes.
 * I36: the end of a lease deletes all its keys, and nothing else, in one revision.
 * I37: no keep-alive that was called after the end was committed succeeds.
 * I38: a key hangs on at most one lease (its last put says which), and no put succeeds on a dead one.
 */
export class LeaseIntervals {
  readonly #drift: number
  readonly #leases = new Map<LeaseId, Lease>()
  readonly #attached = new Map<LeaseId, Map<string, Uint8Array>>()
  readonly #leaseOf = new Map<string, LeaseId>()

  /** `drift`: how much faster than true time a server's clock may run; 0.01 is one percent. */
  constructor(options: { readonly drift: number }) {
    this.#drift = options.drift
  }

  /** The log granted the lease. */
  granted(id: LeaseId, ttl: number): void {
    check(!this.#leases.has(id), 'I38', () => ({ lease: id, granted: 'twice' }))
    this.#leases.set(id, { ttl, liveUntil: 0, ended: null })
  }

  /** A grant or a keep-alive with a positive TTL was answered; `call` is when it was asked. */
  renewed(id: LeaseId, call: Micros): void {
    const lease = this.#leases.get(id)
    const { ended = null } = lease ?? {}
    check(lease !== undefined && (ended === null || call <= ended.time), 'I37', () => ({
      lease: id,
      call,
      ended: ended?.time ?? null,
      cause: ended?.cause ?? null,
    }))
    const live = call + (lease!.ttl * SECOND) / (1 + this.#drift)
    lease!.liveUntil = Math.max(lease!.liveUntil, live)
    this.#checkExpiry(id, lease!)
  }

  /** The log ended the lease with these changes; null if it had no keys. `time` is when that was committed. */
  ended(id: LeaseId, cause: 'expired' | 'revoked', time: Micros, change: RevisionEvents | null): void {
    const lease = this.#leases.get(id)
    check(lease?.ended === null, 'I38', () => ({ lease: id, cause, known: lease !== undefined }))
    lease!.ended = { cause, time, revision: change?.revision ?? 0 }
    this.#checkExpiry(id, lease!)
    const keys = this.#attached.get(id) ?? new Map<string, Uint8Array>()
    const gone = new Set(
      (change?.events ?? []).flatMap(({ kind, kv }) => (kind === 'delete' ? [toKeyString(kv.key)] : [])),
    )
    const exact = gone.size === (change?.events.length ?? 0) && gone.size === keys.size
    check(exact && [...keys.keys()].every(key => gone.has(key)), 'I36', () => ({
      lease: id,
      revision: change?.revision ?? null,
      attached: keys.size,
      deleted: gone.size,
      events: change?.events.length ?? 0,
    }))
    if (change !== null) this.changed(change)
  }

  /** A lease ended in this shard; `end`: it is the one whose log has the decision. */
  endedOverShards(
    id: LeaseId,
    end: { readonly cause: 'expired' | 'revoked'; readonly time: Micros } | null,
    change: RevisionEvents | null,
  ): void {
    const lease = this.#leases.get(id)
    check(lease !== undefined && (end === null) === (lease.ended !== null), 'I38', () => ({
      lease: id,
      cause: end?.cause ?? null,
      known: lease !== undefined,
    }))
    if (end !== null) {
      lease!.ended = { ...end, revision: change?.revision ?? 0 }
      this.#checkExpiry(id, lease!)
    }
    const keys = this.#attached.get(id)
    for (const { kind, kv } of change?.events ?? [])
      check(kind === 'delete' && keys?.has(toKeyString(kv.key)) === true, 'I36', () => ({
        lease: id,
        revision: change?.revision ?? null,
        kind,
      }))
    if (change !== null) this.changed(change)
  }

  /** After healing: no key may hang on a lease that ended a while ago. */
  settled(now: Micros): void {
    for (const [id, { ended }] of this.#leases) {
      const left = this.#attached.get(id)?.size ?? 0
      const isOver = ended !== null && ended.time < now - 5 * SECOND
      check(!isOver || left === 0, 'I36', () => ({ lease: id, left, revision: ended?.revision ?? 0 }))
    }
  }

  /** Every other effective write, in the order of the log. */
  changed({ revision, events }: RevisionEvents): void {
    for (const { kind, kv } of events) {
      const key = toKeyString(kv.key)
      const before = this.#leaseOf.get(key)
      if (before !== undefined) this.#attached.get(before)?.delete(key)
      this.#leaseOf.delete(key)
      if (kind === 'delete' || kv.lease === 0n) continue
      const lease = this.#leases.get(kv.lease)
      check(lease?.ended === null, 'I38', () => ({ lease: kv.lease, revision, known: lease !== undefined }))
      this.#leaseOf.set(key, kv.lease)
      const keys = this.#attached.get(kv.lease)
      if (keys === undefined) this.#attached.set(kv.lease, new Map([[key, kv.key]]))
      else keys.set(key, kv.key)
    }
  }

  /** A server listed the keys of a lease as of everything observed so far. */
  listed(id: LeaseId, keys: readonly Uint8Array[]): void {
    const attached = [...(this.#attached.get(id)?.keys() ?? [])].sort()
    const told = keys.map(toKeyString).sort()
    check(attached.join('\n') === told.join('\n'), 'I38', () => ({
      lease: id,
      attached: attached.length,
      listed: told.length,
    }))
  }

  #checkExpiry(id: LeaseId, { ended, liveUntil, ttl }: Lease): void {
    check(ended?.cause !== 'expired' || ended.time >= liveUntil, 'I35', () => ({
      lease: id,
      ttl,
      ended: ended?.time ?? null,
      liveUntil,
    }))
  }
}
