import { LIMITS, NO_LEASE, ok, pointRange, refuse } from '@kvorum/model'
import type { KvError, Result, Revision } from '@kvorum/model'
import { pb } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'
import { ask } from './ask.js'
import type { Call, ResponseOf } from './handler.js'
import { watchKeys } from './keyWatch.js'
import { completeGrant } from './lease.js'

/**
 * The queue that locks and elections are: keys `<name>/<lease in hexadecimal>` that live as long as their
 * leases, in the order of their create revisions. Who has nobody before him holds the lock or leads.
 */
export interface Contender {
  readonly name: Uint8Array
  /** 0: the server makes a lease that nobody renews. */
  readonly lease: bigint
  readonly value: Uint8Array
}

export interface Place {
  readonly name: Uint8Array
  readonly key: Uint8Array
  readonly lease: bigint
  readonly ownLease: boolean
  /** Create revision of the key. */
  readonly created: Revision
  /** The value of the key where it was there before; null where this call made it. */
  readonly found: Uint8Array | null
  readonly header: Header
}

export type Header = ResponseOf<'etcdserverpb.KV/Range'>['header']
type Caller = Pick<Call, 'signal'>

const RANGE = 'etcdserverpb.KV/Range'
const TXN = 'etcdserverpb.KV/Txn'
const OWN_LEASE_SECONDS = 60

/** What a call goes on with when its client has gone: the effects must be known to be undone. */
export const unhurried = <Given extends Caller>(call: Given): Given => ({ ...call, signal: NEVER })
const NEVER = new AbortController().signal

/** All keys of the queue: '0' is the byte after '/'. */
export const queueRange = (name: Uint8Array) => ({
  key: Buffer.concat([name, Buffer.from('/')]),
  range_end: Buffer.concat([name, Buffer.from('0')]),
})

/** The key is the first of its queue; the create revision proves that nobody has replaced it. */
export const isStill = (key: Uint8Array, created: Revision) => ({
  key,
  target: pb.CompareCompareTarget.CREATE,
  result: pb.CompareCompareResult.EQUAL,
  create_revision: created,
})

export async function leaseFor(edge: Edge, lease: bigint, call: Caller): Promise<Result<bigint>> {
  if (lease !== NO_LEASE) return ok(lease)
  const grant = { TTL: OWN_LEASE_SECONDS }
  const granted = await ask(edge, 'etcdserverpb.Lease/LeaseGrant', grant, call, completeGrant)
  return granted.ok ? ok(granted.value.ID ?? NO_LEASE) : granted
}

/** Joins the queue, or finds the place that the lease has in it already. */
export async function takePlace(
  edge: Edge,
  { name, lease: given, value }: Contender,
  call: Caller,
): Promise<Result<Place>> {
  const patient = unhurried(call)
  const granted = await leaseFor(edge, given, patient)
  if (!granted.ok) return granted
  const lease = granted.value
  const key = Buffer.concat([name, Buffer.from(`/${lease.toString(16)}`)])
  const txn = {
    compare: [isStill(key, 0)],
    success: [{ request_put: { key, value, lease } }],
    failure: [{ request_range: { key } }],
  }
  const taken = await ask(edge, TXN, txn, patient)
  if (!taken.ok) return taken
  const { header, succeeded = false, responses = [] } = taken.value
  const before = succeeded ? undefined : responses[0]?.response_range?.kvs?.[0]
  return ok({
    name,
    key,
    lease,
    ownLease: given === NO_LEASE,
    created: before?.create_revision ?? header?.revision ?? 0,
    found: succeeded ? null : (before?.value ?? null),
    header,
  })
}

/** Leaves the queue, whatever has become of the client. Best effort: what stays goes with its lease. */
export async function leave(edge: Edge, place: Place, call: Caller): Promise<void> {
  const patient = unhurried(call)
  if (place.ownLease) await ask(edge, 'etcdserverpb.Lease/LeaseRevoke', { ID: place.lease }, patient)
  else
    await ask(
      edge,
      TXN,
      {
        compare: [isStill(place.key, place.created)],
        success: [{ request_delete_range: { key: place.key } }],
      },
      patient,
    )
}

/** Waits until nobody is in front. The answer says whether there was anything to wait for. */
export async function waitTurn(edge: Edge, place: Place, call: Caller): Promise<Result<boolean>> {
  for (let waited = false; ; waited = true) {
    if (call.signal.aborted) return refuse('canceled')
    const before = await ask(
      edge,
      RANGE,
      {
        ...queueRange(place.name),
        limit: 1,
        sort_order: pb.RangeRequestSortOrder.DESCEND,
        sort_target: pb.RangeRequestSortTarget.CREATE,
        max_create_revision: place.created - 1,
        keys_only: true,
      },
      call,
    )
    if (!before.ok) return before
    const { kvs = [], header } = before.value
    const next = kvs[0]?.key
    if (next === undefined) return ok(waited)
    const problem = await untilDeleted(edge, next, (header?.revision ?? 0) + 1, call)
    if (problem !== null) return { ok: false, error: problem }
  }
}

/** While it waits a call is not counted as under way: it costs a watch, and has a bound of its own. */
async function untilDeleted(
  edge: Edge,
  key: Uint8Array,
  from: Revision,
  call: Caller,
): Promise<KvError | null> {
  const { state } = edge
  if (state.waiting >= LIMITS.waitingCallsMax) return refuse('tooManyRequests').error
  const watch = watchKeys(edge, { range: pointRange(key), from, noPut: true }, call.signal)
  state.waiting++
  state.pending--
  const seen = await watch.next()
  state.pending++
  state.waiting--
  watch.close()
  return seen.ok ? null : seen.error
}
