import {
  encodeReply,
  toHex,
  type DeleteOp,
  type KeyValue,
  type LeaseId,
  type OpReply,
  type PutOp,
  type RangeOp,
  type Revision,
  type TxnOp,
  type WatchEvent,
} from '@kvorum/model'
import type { History, Operation } from '../history.js'
import { applyEvents, evaluate, singleKey } from '../kvReference.js'
import { deletedKey, mapView } from '../kvView.js'
import type { SequentialModel } from '../model.js'

/** What a client of the store asks; the operations are the API's own. */
export type KvRequest =
  | { readonly kind: 'write'; readonly op: PutOp | DeleteOp | TxnOp }
  | { readonly kind: 'read'; readonly op: RangeOp | TxnOp; readonly serializable: boolean }
  | { readonly kind: 'leaseRevoke'; readonly lease: LeaseId }

export interface KvResult {
  /** Of the answer's header. */
  readonly revision: Revision
  /** Null for a revoked lease. */
  readonly reply: OpReply | null
}

export type KvHistory = History<KvRequest, KvResult>
export type KvOperation = Operation<KvRequest, KvResult>

export interface KvState {
  readonly keys: ReadonlyMap<string, KeyValue>
  readonly revision: Revision
}

/**
 * The whole store as one object, revisions and all: for histories of a store whose revisions are dense. Leave
 * serializable reads out of the history (they may be stale).
 */
export const kvModel: SequentialModel<KvState, KvRequest, KvResult> = {
  initial: { keys: new Map(), revision: 1 },
  step: (state, request, result) => stepKv(state, request, result, true),
  stateKey: state => `${state.revision} ${keysText(state.keys, true)}`,
}

/**
 * The same without revisions, which lets a history of single-key operations fall apart by key. Histories in
 * which any operation touches several keys stay whole.
 */
export const kvValueModel: SequentialModel<KvState, KvRequest, KvResult> = {
  initial: { keys: new Map(), revision: 1 },
  step: (state, request, result) => stepKv(state, request, result, false),
  stateKey: state => keysText(state.keys, false),
  partition: partitionByKey,
}

export function applyRequest(
  state: KvState,
  request: KvRequest,
): { state: KvState; result: KvResult; events: readonly WatchEvent[] } | null {
  const next = state.revision + 1
  if (request.kind === 'leaseRevoke') {
    const gone = [...state.keys.values()].filter(kv => kv.lease === request.lease)
    const events = gone.map((prev): WatchEvent => ({ kind: 'delete', kv: deletedKey(prev.key, next), prev }))
    return settle(state, null, events)
  }
  const effect = evaluate(mapView(state.keys, state.revision), request.op, next)
  return effect === null ? null : settle(state, effect.reply, effect.events)
}

function settle(
  state: KvState,
  reply: OpReply | null,
  events: readonly WatchEvent[],
): { state: KvState; result: KvResult; events: readonly WatchEvent[] } {
  const after =
    events.length === 0 ? state : { keys: applyEvents(state.keys, events), revision: state.revision + 1 }
  return { state: after, result: { revision: after.revision, reply }, events }
}

function stepKv(
  state: KvState,
  request: KvRequest,
  result: KvResult | null,
  revisions: boolean,
): KvState | undefined {
  const done = applyRequest(state, request)
  // A request the reference cannot carry out was refused; if nobody saw its answer, it changed nothing.
  if (done === null) return result === null ? state : undefined
  if (result === null) return done.state
  if (revisions && result.revision !== done.result.revision) return undefined
  return sameReply(result.reply, done.result.reply, revisions) ? done.state : undefined
}

export function sameReply(a: OpReply | null, b: OpReply | null, revisions = true): boolean {
  if (a === null || b === null) return a === b
  const text = (reply: OpReply): string =>
    toHex(encodeReply({ kind: 'op', op: revisions ? reply : withoutRevisions(reply) }))
  return text(a) === text(b)
}

function withoutRevisions(reply: OpReply): OpReply {
  const bare = (kv: KeyValue): KeyValue => ({ ...kv, create: 0, mod: 0 })
  switch (reply.kind) {
    case 'put':
      return { ...reply, prev: reply.prev === null ? null : bare(reply.prev) }
    case 'delete':
      return { ...reply, prevs: reply.prevs.map(bare) }
    case 'range':
      return { ...reply, kvs: reply.kvs.map(bare) }
    case 'txn':
      return { ...reply, revision: 0, responses: reply.responses.map(withoutRevisions) }
  }
}

function keysText(keys: ReadonlyMap<string, KeyValue>, revisions: boolean): string {
  const lines = [...keys].map(([key, kv]) => {
    const positions = revisions ? `${kv.create} ${kv.mod} ` : ''
    return JSON.stringify([key, `${positions}${kv.version} ${kv.lease} ${toHex(kv.value)}`])
  })
  return lines.sort().join()
}

function partitionByKey(history: KvHistory): KvHistory[] {
  const parts = new Map<string, KvOperation[]>()
  for (const operation of history) {
    const key = operation.op.kind === 'leaseRevoke' ? null : singleKey(operation.op.op)
    if (key === null) return [history]
    const part = parts.get(key)
    if (part === undefined) parts.set(key, [operation])
    else part.push(operation)
  }
  return [...parts.values()]
}
