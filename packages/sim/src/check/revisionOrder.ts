import {
  compareBytes,
  encodeReply,
  toHex,
  type Op,
  type OpReply,
  type Revision,
  type RevisionEvents,
  type WatchEvent,
} from '@kvorum/model'
import type { Anomaly } from './anomaly.js'
import { evaluate } from './kvReference.js'
import { deletedKey, type Truth } from './kvView.js'
import { Matching } from './matching.js'
import { sameReply, type KvHistory, type KvOperation } from './models/kv.js'

/**
 * Strict serializability of a key-value history whose answers carry revisions, in O(n log n): the revisions
 * are the order, so it is only left to compare every answer with the state at its revision and the order of
 * revisions with real time. `truth` is every effective write the store ever made (the committed logs, or a
 * watch on everything from the first revision).
 *
 * Values of puts must be unique over the run wherever the outcome of a put is not ok: they say whose write it was.
 */
export interface RevisionOrderOptions {
  /** Serializable reads of one client never go back (promised only where a client stays on one connection). */
  readonly monotonicReads: boolean
  /** Revisions that no write has may be shown: the oracle leaves some out. */
  readonly gaps?: boolean
}

export function checkRevisionOrder(
  history: KvHistory,
  truth: Truth,
  options: RevisionOrderOptions = { monotonicReads: false },
): Anomaly[] {
  const found: Anomaly[] = []
  const owners = new Map<Revision, KvOperation>()
  for (const operation of history) {
    if (operation.outcome === 'ok')
      found.push(...checkAnswer(operation, truth, owners, options.gaps === true))
  }
  found.push(...checkRefused(history, truth))
  const bounds = returnedBefore(history.filter(operation => !isSerializable(operation)))
  found.push(...attribute(history, truth, owners, returnedBefore(history)))
  found.push(...checkRealTime(history, truth, owners, bounds))
  if (options.monotonicReads) found.push(...checkMonotonicReads(history))
  return found
}

/** Whether the answer says that something was written. */
export function changed(op: Op, reply: OpReply): boolean {
  switch (reply.kind) {
    case 'put':
      return true
    case 'delete':
      return reply.deleted > 0
    case 'range':
      return false
    case 'txn': {
      if (op.kind !== 'txn') return false
      const branch = reply.succeeded ? op.success : op.failure
      return reply.responses.some((nested, i) => branch[i] !== undefined && changed(branch[i], nested))
    }
  }
}

const isSerializable = ({ op }: KvOperation): boolean => op.kind === 'read' && op.serializable

function checkAnswer(
  operation: KvOperation,
  truth: Truth,
  owners: Map<Revision, KvOperation>,
  gaps: boolean,
): Anomaly[] {
  const { op: request, id } = operation
  const { revision, reply } = operation.result!
  const anomaly = (kind: string, facts: string): Anomaly[] => [{ kind, operations: [id], facts }]
  if (request.kind === 'leaseRevoke') return claimRevoke(operation, truth, owners)
  if (reply === null) return anomaly('wrong answer', 'no reply')
  if (!gaps && revision > truth.revision)
    return anomaly('future revision', `${revision} after ${truth.revision}`)
  const effective = changed(request.op, reply)
  const expected = evaluate(truth.view(effective ? revision - 1 : revision), request.op, revision)
  if (expected === null || !sameReply(expected.reply, reply)) {
    const facts = `at revision ${revision}: ${expected === null ? 'refused' : text(expected.reply)}, answered ${text(reply)}`
    return anomaly('wrong answer', facts)
  }
  if (!effective) return []
  const other = owners.get(revision)
  owners.set(revision, operation)
  if (other !== undefined) {
    return [{ kind: 'revision used twice', operations: [other.id, id], facts: `${revision}` }]
  }
  const happened = truth.events(revision)?.events ?? []
  return (gaps ? sameChanges(expected.events, happened) : sameEvents(expected.events, happened))
    ? []
    : anomaly('lost write', `revision ${revision} holds something else or nothing`)
}

function claimRevoke(operation: KvOperation, truth: Truth, owners: Map<Revision, KvOperation>): Anomaly[] {
  const { revision } = operation.result!
  const change = truth.events(revision)
  // A revoke that found no keys writes nothing; then its header is some other write's revision.
  const mine = change !== null && leaseOf(change.events) === lease(operation)
  if (mine && !owners.has(revision)) owners.set(revision, operation)
  return []
}

const lease = ({ op }: KvOperation): bigint | null => (op.kind === 'leaseRevoke' ? op.lease : null)

/** The one lease that all these events detach keys from; null if they are anything else than its end. */
function leaseOf(events: readonly WatchEvent[]): bigint | null {
  const first = events[0]?.prev?.lease ?? 0n
  const ends = events.every(event => event.kind === 'delete' && event.prev?.lease === first)
  return ends && first !== 0n ? first : null
}

/** I42: what was refused as "definitely not applied" must not show. */
function checkRefused(history: KvHistory, truth: Truth): Anomaly[] {
  const refused = new Map<string, KvOperation>()
  for (const operation of history) {
    if (operation.outcome !== 'fail' || operation.op.kind !== 'write') continue
    for (const value of putValues(operation.op.op)) refused.set(value, operation)
  }
  const found: Anomaly[] = []
  if (refused.size === 0) return found
  for (const { revision, events } of truth.between(0, truth.revision)) {
    for (const { kind, kv } of events) {
      const operation = kind === 'put' ? refused.get(putKey(kv.key, kv.value)) : undefined
      if (operation === undefined) continue
      found.push({ kind: 'refused yet applied', operations: [operation.id], facts: `at ${revision}` })
    }
  }
  return found
}

const putKey = (key: Uint8Array, value: Uint8Array): string => `${toHex(key)}=${toHex(value)}`

function putValues(op: Op): string[] {
  if (op.kind === 'put') return op.ignoreValue ? [] : [putKey(op.key, op.value)]
  return op.kind === 'txn' ? [...op.success, ...op.failure].flatMap(putValues) : []
}

/**
 * Gives every revision nobody was told of to a request whose outcome nobody knows. `bounds`: what any answer, a stale
 * one too, had shown before a request was sent is not that request's.
 */
function attribute(
  history: KvHistory,
  truth: Truth,
  owners: Map<Revision, KvOperation>,
  bounds: ReadonlyMap<number, Revision>,
): Anomaly[] {
  const open = history.filter(operation => operation.outcome === 'unknown' && operation.op.kind !== 'read')
  const byPut = new Map(
    open.flatMap(one =>
      one.op.kind === 'write' ? putValues(one.op.op).map(put => [put, one] as const) : [],
    ),
  )
  const found: Anomaly[] = []
  const orphans = [...truth.between(0, truth.revision)].filter(change => !owners.has(change.revision))
  const fitting = new Map(
    orphans.map(({ revision, events }) => {
      const put = events.find(event => event.kind === 'put')
      const named = put === undefined ? undefined : byPut.get(putKey(put.kv.key, put.kv.value))
      const candidates = put === undefined ? open : named === undefined ? [] : [named]
      return [revision, candidates.filter(operation => explains(operation, truth, revision, events))]
    }),
  )
  const matching = new Matching<Revision, KvOperation>(revision =>
    fitting.get(revision)!.filter(operation => bounds.get(operation.id)! < revision),
  )
  // The end of a lease needs no client, so it comes last.
  const ends = (change: RevisionEvents): number => Number(leaseOf(change.events) !== null)
  for (const { revision, events } of orphans.toSorted((a, b) => ends(a) - ends(b))) {
    if (matching.add(revision) || leaseOf(events) !== null) continue
    const late = fitting.get(revision)!.map(operation => operation.id)
    const kind = late.length > 0 ? 'write before its call' : 'write from nowhere'
    found.push({ kind, operations: late, facts: `revision ${revision}` })
  }
  for (const [operation, revision] of matching.pairs) owners.set(revision, operation)
  return found
}

function explains(
  operation: KvOperation,
  truth: Truth,
  revision: Revision,
  events: readonly WatchEvent[],
): boolean {
  const { op: request } = operation
  if (request.kind === 'leaseRevoke') return leaseOf(events) === request.lease
  const effect = evaluate(truth.view(revision - 1), request.op, revision)
  return effect !== null && sameChanges(effect.events, events)
}

/** By operation: the highest revision that some answer had shown before its call. */
function returnedBefore(history: KvHistory): Map<number, Revision> {
  const calls = history.toSorted((a, b) => a.call - b.call)
  const returns = history.filter(operation => operation.outcome === 'ok').sort((a, b) => a.return - b.return)
  const bounds = new Map<number, Revision>()
  let shown: Revision = 0
  let next = 0
  for (const operation of calls) {
    while (next < returns.length && returns[next]!.return < operation.call) {
      shown = Math.max(shown, returns[next++]!.result!.revision)
    }
    bounds.set(operation.id, shown)
  }
  return bounds
}

function checkRealTime(
  history: KvHistory,
  truth: Truth,
  owners: ReadonlyMap<Revision, KvOperation>,
  bounds: ReadonlyMap<number, Revision>,
): Anomaly[] {
  const found: Anomaly[] = []
  const wrote = new Set([...owners.values()].map(operation => operation.id))
  for (const operation of history) {
    if (operation.outcome !== 'ok' || isSerializable(operation)) continue
    const { revision } = operation.result!
    const bound = bounds.get(operation.id)!
    if (revision > bound || (revision === bound && !wrote.has(operation.id))) continue
    const facts = `revision ${revision}, but ${bound} was shown before its call`
    found.push({ kind: 'real-time order', operations: [operation.id], facts })
  }
  // Nothing shows a write that was not asked for yet; this holds for serializable reads as well.
  const calls = [...owners].map(([revision, operation]) => ({ revision, operation }))
  const byRevision = calls.sort((a, b) => a.revision - b.revision)
  const reads = history
    .filter(operation => operation.outcome === 'ok')
    .sort((a, b) => a.result!.revision - b.result!.revision)
  let latest: KvOperation | null = null
  let next = 0
  for (const read of reads) {
    while (next < byRevision.length && byRevision[next]!.revision <= read.result!.revision) {
      const { operation } = byRevision[next++]!
      if (latest === null || operation.call > latest.call) latest = operation
    }
    if (latest !== null && latest.call > read.return) {
      found.push({ kind: 'read of the future', operations: [read.id, latest.id], facts: `${truth.revision}` })
    }
  }
  return found
}

function checkMonotonicReads(history: KvHistory): Anomaly[] {
  const found: Anomaly[] = []
  const last = new Map<number, KvOperation>()
  for (const operation of history.toSorted((a, b) => a.call - b.call)) {
    if (operation.outcome !== 'ok') continue
    const before = last.get(operation.client)
    last.set(operation.client, operation)
    if (before === undefined || before.result!.revision <= operation.result!.revision) continue
    const facts = `${before.result!.revision}, then ${operation.result!.revision}`
    found.push({ kind: 'client went back', operations: [before.id, operation.id], facts })
  }
  return found
}

/** Whatever their order: of several groups each has its part in order, and nothing is said of the order between them. */
const sameChanges = (a: readonly WatchEvent[], b: readonly WatchEvent[]): boolean =>
  sameEvents(byKey(a), byKey(b))

const byKey = (events: readonly WatchEvent[]): WatchEvent[] =>
  [...events].sort((a, b) => compareBytes(a.kv.key, b.kv.key))

export function sameEvents(a: readonly WatchEvent[], b: readonly WatchEvent[]): boolean {
  return a.length === b.length && a.every((event, i) => eventText(event) === eventText(b[i]!))
}

/** One line per event, equal for equal events; the previous value is left out. */
export function eventText({ kind, kv }: WatchEvent): string {
  const shown = kind === 'put' ? kv : deletedKey(kv.key, kv.mod)
  const numbers = `${shown.create} ${shown.mod} ${shown.version} ${shown.lease}`
  return `${kind} ${toHex(kv.key)} ${numbers} ${toHex(shown.value)}`
}

function text(reply: OpReply): string {
  const short = toHex(encodeReply({ kind: 'op', op: reply }))
  return short.length > 400 ? `${short.slice(0, 400)}...` : short
}
