import {
  compareBytes,
  isPoint,
  NO_LEASE,
  toKeyString,
  type Compare,
  type DeleteOp,
  type KeyRange,
  type KeyValue,
  type Op,
  type OpReply,
  type PutOp,
  type Revision,
  type TxnOp,
  type WatchEvent,
} from '@kvorum/model'
import { boundsOf, byKeyBytes, deletedKey, inBounds, rangeReply, type KvView } from './kvView.js'

/**
 * What one operation answers and changes, written from the API's rules and from nothing else, so that the
 * replicated machine has a second opinion. Clear, not fast.
 */
export interface Effect {
  readonly reply: OpReply
  /** In the order of the operations; empty when nothing changed, and then no revision is used up. */
  readonly events: readonly WatchEvent[]
}

/**
 * `revision` is the one the operation gets if it changes anything. Null: the operation asks for a past revision
 * that the view cannot show, or puts `ignoreValue` on a key that is not there (which the server refuses).
 */
export function evaluate(view: KvView, op: Op, revision: Revision): Effect | null {
  const overlay = new Overlay(view, revision)
  const reply = run(overlay, view, op)
  return reply === null ? null : { reply, events: overlay.events }
}

/** The writes of one transaction over the state before it. */
class Overlay implements KvView {
  readonly events: WatchEvent[] = []
  readonly base: KvView
  readonly #written = new Map<string, KeyValue | null>()
  readonly #next: Revision

  constructor(base: KvView, next: Revision) {
    this.base = base
    this.#next = next
  }

  get revision(): Revision {
    return this.events.length > 0 ? this.#next : this.base.revision
  }

  get(key: string): KeyValue | null {
    const written = this.#written.get(key)
    return written === undefined ? this.base.get(key) : written
  }

  scan(range: KeyRange): readonly KeyValue[] {
    if (this.#written.size === 0) return this.base.scan(range)
    const bounds = boundsOf(range)
    const kept = this.base.scan(range).filter(kv => !this.#written.has(toKeyString(kv.key)))
    const own = [...this.#written].flatMap(([key, kv]) => (kv !== null && inBounds(bounds, key) ? [kv] : []))
    return [...kept, ...own].sort(byKeyBytes)
  }

  at(revision: Revision): KvView | null {
    return this.base.at(revision)
  }

  put(op: PutOp): KeyValue | null | undefined {
    const name = toKeyString(op.key)
    const prev = this.get(name)
    if (prev === null && (op.ignoreValue || op.ignoreLease)) return undefined
    const kv: KeyValue = {
      key: op.key,
      create: prev?.create ?? this.#next,
      mod: this.#next,
      version: (prev?.version ?? 0) + 1,
      value: op.ignoreValue ? prev!.value : op.value,
      lease: op.ignoreLease ? prev!.lease : op.lease,
    }
    this.#written.set(name, kv)
    this.events.push({ kind: 'put', kv, prev })
    return prev
  }

  delete(range: KeyRange): readonly KeyValue[] {
    const gone = this.scan(range)
    for (const prev of gone) {
      this.#written.set(toKeyString(prev.key), null)
      this.events.push({ kind: 'delete', kv: deletedKey(prev.key, this.#next), prev })
    }
    return gone
  }
}

function run(overlay: Overlay, before: KvView, op: Op): OpReply | null {
  switch (op.kind) {
    case 'put': {
      const prev = overlay.put(op)
      return prev === undefined ? null : { kind: 'put', prev: op.prevKv ? prev : null }
    }
    case 'delete':
      return deleteReply(op, overlay.delete(op.range))
    case 'range': {
      if (op.revision === 0) return rangeReply(overlay, op)
      const past = overlay.at(op.revision)
      return past === null ? null : rangeReply(past, op)
    }
    case 'txn':
      return runTxn(overlay, before, op)
  }
}

const deleteReply = (op: DeleteOp, gone: readonly KeyValue[]): OpReply => ({
  kind: 'delete',
  deleted: gone.length,
  prevs: op.prevKv ? gone : [],
})

/** Nested transactions choose their branch on the state before the outermost one, too. */
function runTxn(overlay: Overlay, before: KvView, op: TxnOp): OpReply | null {
  const succeeded = op.compares.every(compare => holds(before, compare))
  const responses: OpReply[] = []
  for (const nested of succeeded ? op.success : op.failure) {
    const reply = run(overlay, before, nested)
    if (reply === null) return null
    responses.push(reply)
  }
  return { kind: 'txn', succeeded, revision: overlay.revision, before: overlay.base.revision, responses }
}

function holds(view: KvView, compare: Compare): boolean {
  const found = view.scan(compare.range)
  if (found.length > 0) return found.every(kv => compareOne(kv, compare))
  // A key that is not there counts as zero; no comparison of its value holds.
  return (
    compare.target !== 'value' &&
    compareOne({ ...deletedKey(compare.range.start, 0), lease: NO_LEASE }, compare)
  )
}

function compareOne(kv: KeyValue, compare: Compare): boolean {
  const sign = difference(kv, compare)
  switch (compare.result) {
    case 'equal':
      return sign === 0
    case 'notEqual':
      return sign !== 0
    case 'greater':
      return sign > 0
    case 'less':
      return sign < 0
  }
}

function difference(kv: KeyValue, compare: Compare): number {
  switch (compare.target) {
    case 'value':
      return compareBytes(kv.value, compare.operand)
    case 'lease':
      return kv.lease < compare.operand ? -1 : kv.lease > compare.operand ? 1 : 0
    default:
      return kv[compare.target] - compare.operand
  }
}

/** Applies events to a plain map of keys; a new map, the given one stays as it is. */
export function applyEvents(
  keys: ReadonlyMap<string, KeyValue>,
  events: readonly WatchEvent[],
): Map<string, KeyValue> {
  const after = new Map(keys)
  for (const { kind, kv } of events) {
    if (kind === 'put') after.set(toKeyString(kv.key), kv)
    else after.delete(toKeyString(kv.key))
  }
  return after
}

/** Whether an answer came from a single key, so that a history of such operations falls apart by key. */
export function singleKey(op: Op): string | null {
  switch (op.kind) {
    case 'put':
      return toKeyString(op.key)
    case 'delete':
    case 'range':
      return isPoint(op.range) ? toKeyString(op.range.start) : null
    case 'txn':
      return null
  }
}
