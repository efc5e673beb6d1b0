import { EMPTY, ok, refuse, type Result } from '@kvorum/model'
import type { Edge } from '../edge/edge.js'
import { ask } from './ask.js'
import type { Call, Unary } from './handler.js'
import { leave, takePlace, waitTurn, type Header, type Place } from './queue.js'

/** The lock is the caller's from the answer until its key or its lease is gone. */
export const lock: Unary<'v3lockpb.Lock/Lock'> = async (edge, { name, lease }, call) => {
  const taken = await takePlace(edge, { name, lease, value: EMPTY }, call)
  if (!taken.ok) return taken
  const place = taken.value
  const held = await hold(edge, place, call)
  if (held.ok && !call.signal.aborted) return ok({ header: held.value, key: place.key })
  await leave(edge, place, call)
  return held.ok ? refuse('canceled') : held
}

/** Who has waited looks whether his own key still is there: its lease may have ended meanwhile. */
async function hold(edge: Edge, place: Place, call: Call): Promise<Result<Header>> {
  const waited = await waitTurn(edge, place, call)
  if (!waited.ok) return waited
  if (!waited.value) return ok(place.header)
  const own = await ask(edge, 'etcdserverpb.KV/Range', { key: place.key }, call)
  if (!own.ok) return own
  const { kvs = [], header } = own.value
  return kvs[0]?.create_revision === place.created ? ok(header) : refuse('sessionExpired')
}

export const unlock: Unary<'v3lockpb.Lock/Unlock'> = async (edge, { key }, call) => {
  const deleted = await ask(edge, 'etcdserverpb.KV/DeleteRange', { key }, call)
  return deleted.ok ? ok({ header: deleted.value.header }) : deleted
}
