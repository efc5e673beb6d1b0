import { equalBytes, ok, refuse, type Result } from '@kvorum/model'
import { pb, type Init } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'
import { ask } from './ask.js'
import type { Call, Unary } from './handler.js'
import {
  isStill,
  leaseFor,
  leave,
  queueRange,
  takePlace,
  unhurried,
  waitTurn,
  type Header,
  type Place,
} from './queue.js'

const TXN = 'etcdserverpb.KV/Txn'

export const campaign: Unary<'v3electionpb.Election/Campaign'> = async (edge, request, call) => {
  const { name, lease, value } = request
  const taken = await takePlace(edge, { name, lease, value }, call)
  if (!taken.ok) return taken
  const place = taken.value
  const elected = await beElected(edge, place, value, call)
  if (elected.ok && !call.signal.aborted) {
    const leader = { name, key: place.key, rev: place.created, lease: place.lease }
    return ok({ header: place.header, leader })
  }
  // A candidate that is refused for another reason keeps its place, and may campaign for it again.
  if (call.signal.aborted || place.ownLease) await leave(edge, place, call)
  return elected.ok ? refuse('canceled') : elected
}

async function beElected(edge: Edge, place: Place, value: Uint8Array, call: Call): Promise<Result<unknown>> {
  if (place.found !== null && !equalBytes(place.found, value)) {
    const { key, created, lease } = place
    const changed = await change(edge, { key, rev: created, lease }, value, unhurried(call))
    if (!changed.ok) {
      await leave(edge, place, call)
      return changed
    }
  }
  return waitTurn(edge, place, call)
}

type Leadership = Pick<pb.LeaderKey, 'key' | 'rev' | 'lease'>

async function change(
  edge: Edge,
  { key, rev, lease }: Leadership,
  value: Uint8Array,
  call: Call,
): Promise<Result<Header>> {
  const txn = { compare: [isStill(key, rev)], success: [{ request_put: { key, value, lease } }] }
  const done = await ask(edge, TXN, txn, call)
  if (!done.ok) return done
  return done.value.succeeded === true ? ok(done.value.header) : refuse('electionNotLeader')
}

export const proclaim: Unary<'v3electionpb.Election/Proclaim'> = async (edge, { leader, value }, call) => {
  if (leader === null) return refuse('leaderKeyMissing')
  const lease = await leaseFor(edge, leader.lease, call)
  if (!lease.ok) return lease
  const changed = await change(edge, { ...leader, lease: lease.value }, value, call)
  return changed.ok ? ok({ header: changed.value }) : changed
}

/** Resigning from what one does not lead is no error. */
export const resign: Unary<'v3electionpb.Election/Resign'> = async (edge, { leader }, call) => {
  if (leader === null) return refuse('leaderKeyMissing')
  const { key, rev } = leader
  const txn = { compare: [isStill(key, rev)], success: [{ request_delete_range: { key } }] }
  const done = await ask(edge, TXN, txn, call)
  return done.ok ? ok({ header: done.value.header }) : done
}

export const leader: Unary<'v3electionpb.Election/Leader'> = async (edge, { name }, call) => {
  const first = await firstOf(edge, name, call)
  if (!first.ok) return first
  const { header, kv } = first.value
  return kv === null ? refuse('electionNoLeader') : ok({ header, kv })
}

export interface First {
  readonly header: Header
  readonly kv: Init<pb.KeyValue> | null
}

/** The pair of whoever leads. */
export async function firstOf(
  edge: Edge,
  name: Uint8Array,
  call: Pick<Call, 'signal'>,
): Promise<Result<First>> {
  const range = {
    ...queueRange(name),
    limit: 1,
    sort_order: pb.RangeRequestSortOrder.ASCEND,
    sort_target: pb.RangeRequestSortTarget.CREATE,
  }
  const found = await ask(edge, 'etcdserverpb.KV/Range', range, call)
  return found.ok ? ok({ header: found.value.header, kv: found.value.kvs?.[0] ?? null }) : found
}
