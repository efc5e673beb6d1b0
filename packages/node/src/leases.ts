import { encodeReply, LIMITS, TRUSTED, type ClientRequest, type LeaseId, type Millis } from '@kvorum/model'
import { isHome } from '@kvorum/machine'
import { isLeaseEnding } from '@kvorum/placement'
import { answerCall, openCall, type Call } from './calls.js'
import { isUnchecked } from './checking.js'
import { shardOfGroup } from './groupMachine.js'
import { nextDueOf, popDue, pushHeap, type Heap } from './heap.js'
import { leads, termOf } from './membership.js'
import { awaitLeader } from './stages.js'
import type { Group, Turn } from './state.js'
import { revokeLease } from './transactions/revoke.js'

/**
 * Deadlines of leases, on the leader's monotonic clock. A new leader gives every lease its full time again: it
 * cannot know when its predecessor last renewed one. Expiry is a proposal in the leader's own term, so a leader
 * that was deposed while it slept revokes nothing.
 */
export interface LeaseClock {
  /** Deadlines are kept: this node leads and has applied an entry of its own term. */
  armed: boolean
  readonly deadlines: Map<LeaseId, Millis>
  readonly heap: Heap<{ readonly due: Millis; readonly id: LeaseId }>
  /** Revocation proposed; a renewal comes too late. */
  readonly revoking: Set<LeaseId>
}

export const createLeaseClock = (): LeaseClock => ({
  armed: false,
  deadlines: new Map(),
  heap: [],
  revoking: new Set(),
})

export function disarmLeases(clock: LeaseClock): void {
  clock.armed = false
  clock.deadlines.clear()
  clock.revoking.clear()
  clock.heap.length = 0
}

/** Called with every applied entry of the leader's own term; arms once. */
export function armLeases(turn: Turn, group: Group): void {
  const { leases } = group
  const shard = shardOfGroup(group)
  if (leases === null || shard === null || leases.armed || !isHome(shard)) return
  leases.armed = true
  for (const { id, ttl } of shard.leases.values()) setDeadline(leases, id, turn.now + ttl * 1000)
}

/** The state machine granted or removed a lease. */
export function leaseApplied(turn: Turn, group: Group, id: LeaseId): void {
  const { leases } = group
  const shard = shardOfGroup(group)
  if (leases === null || shard === null || !leases.armed) return
  const lease = shard.leases.get(id)
  if (lease !== undefined) {
    if (!leases.deadlines.has(id)) setDeadline(leases, id, turn.now + lease.ttl * 1000)
    return
  }
  leases.deadlines.delete(id)
  leases.revoking.delete(id)
}

function setDeadline(clock: LeaseClock, id: LeaseId, due: Millis): void {
  clock.deadlines.set(id, due)
  pushHeap(clock.heap, { due, id })
  if (clock.heap.length > 1024 + clock.deadlines.size * 4) {
    // Renewals leave old items behind; a long lease renewed often must not fill the heap.
    clock.heap.length = 0
    for (const [lease, at] of clock.deadlines) pushHeap(clock.heap, { due: at, id: lease })
  }
}

/** How many revocations one sweep may propose; sweeps are this far apart. */
const SWEEP_MS = 100
const SWEEP_MAX = (LIMITS.leaseExpiriesPerSecondMax * SWEEP_MS) / 1000
/** A revocation that was lost is proposed again after this. */
const REVOKE_RETRY_MS = 3_000

/** Proposes the end of what has expired. Leases that have not been compared with the others' yet end nothing. */
export function expireLeases(turn: Turn, group: Group): void {
  const { leases } = group
  if (leases === null || !leases.armed || isUnchecked(group) || !leads(group)) return
  for (let proposed = 0; proposed < SWEEP_MAX;) {
    const item = popDue(leases.heap, turn.now)
    if (item === null) return
    const due = leases.deadlines.get(item.id)
    if (due === undefined) continue
    // Renewed since this item was queued; a newer one is in the heap.
    if (due > turn.now) continue
    leases.revoking.add(item.id)
    setDeadline(leases, item.id, turn.now + REVOKE_RETRY_MS)
    turn.state.counters.leasesExpired++
    proposed++
    turn.touched.add(group)
    const call = openCall(turn, { kind: 'self' }, revocation(group, item.id), turn.now + REVOKE_RETRY_MS)
    if (call !== null) revokeLease(turn, group, call, item.id)
  }
}

/** Nobody's rights are asked: the time of the lease is up. */
function revocation(group: Group, id: LeaseId): ClientRequest {
  const guarded = shardOfGroup(group)?.authFence.enabled === true
  return guarded ? { kind: 'leaseRevoke', id, authority: TRUSTED } : { kind: 'leaseRevoke', id }
}

export function nextLeaseDue(group: Group): Millis {
  const { leases } = group
  return leases === null || !leases.armed || isUnchecked(group) ? Infinity : nextDueOf(leases.heap)
}

/** Leadership was confirmed after the call arrived: the lease lives at least its full time from the arrival on. */
export function renewLease(turn: Turn, group: Group, call: Call, id: LeaseId): void {
  const { leases } = group
  const shard = shardOfGroup(group)
  const lease = shard?.leases.get(id)
  // What is given now could be taken away by a decision that has been made already.
  if (lease !== undefined && isLeaseEnding(group.machine.revisions.transactions, id)) {
    awaitLeader(turn, group, call)
    return
  }
  const dead = lease === undefined || leases === null || leases.revoking.has(id)
  const ttl = dead ? 0 : lease.ttl
  if (!dead && leases.armed) {
    const due = call.arrived + ttl * 1000
    if (due > (leases.deadlines.get(id) ?? 0)) setDeadline(leases, id, due)
  }
  answerCall(
    turn,
    call,
    { revision: shard?.revision ?? 0, term: termOf(turn.state, group) },
    encodeReply({ kind: 'leaseRenewed', id, ttl }),
  )
}
