import {
  type Compare,
  compareBytes,
  type ErrorCode,
  type KeyValue,
  type Op,
  type OpReply,
  rangeContains,
  type RangeOp,
  type ShardCommand,
  toKeyString,
  type TxnOp,
  type WatchEvent,
} from '@kvorum/model'

/**
 * The semantics once more, written for being obviously right: every state there ever was is kept as a list of
 * pairs, and every answer is computed from such a list.
 */
export interface Reference {
  /** By revision: the pairs that exist, in key order. Index 0 is unused. */
  readonly states: KeyValue[][]
  /** By revision: its changes in order. */
  readonly changes: WatchEvent[][]
  compacted: number
  readonly leases: Map<bigint, number>
}

export const createReference = (): Reference => ({
  states: [[], []],
  changes: [[], []],
  compacted: 0,
  leases: new Map(),
})

export const latest = (reference: Reference): number => reference.states.length - 1

export type Answer =
  { readonly ok: true; readonly op: OpReply | null } | { readonly ok: false; readonly code: ErrorCode }

const refused = (code: ErrorCode): Answer => ({ ok: false, code })
const DONE: Answer = { ok: true, op: null }

export function run(reference: Reference, command: ShardCommand): Answer {
  switch (command.kind) {
    case 'write':
      return runWrite(reference, command.op)
    case 'compact':
      if (command.revision > latest(reference)) return refused('futureRevision')
      if (command.revision <= reference.compacted) return refused('compacted')
      reference.compacted = command.revision
      return DONE
    case 'publish':
    case 'split':
      return DONE
    case 'leaseGrant':
      if (reference.leases.has(command.id)) return refused('leaseExists')
      reference.leases.set(command.id, command.ttl)
      return DONE
    case 'authFence':
      return DONE
    case 'leaseRevoke': {
      if (!reference.leases.has(command.id)) return refused('leaseNotFound')
      reference.leases.delete(command.id)
      const before = reference.states[latest(reference)]!
      const attached = before.filter(kv => kv.lease === command.id)
      const kept = before.filter(kv => kv.lease !== command.id)
      commit(
        reference,
        kept,
        attached.map(kv => deletion(kv, latest(reference) + 1)),
      )
      return DONE
    }
    case 'sessionOpen':
      return reference.leases.has(command.lease) ? DONE : refused('leaseNotFound')
    case 'guard':
    case 'reclaim':
    case 'endDense':
      return DONE
    default:
      throw new Error(`a ${command.kind} is of several shards`)
  }
}

const deletion = (prev: KeyValue, mod: number): WatchEvent => ({
  kind: 'delete',
  kv: {
    key: prev.key,
    create: 0,
    mod,
    version: 0,
    value: new Uint8Array(0),
    lease: prev.lease & 0n,
  } as KeyValue,
  prev,
})

function commit(reference: Reference, state: KeyValue[], changes: WatchEvent[]): void {
  if (changes.length === 0) return
  reference.states.push(state)
  reference.changes.push(changes)
}

interface Attempt {
  readonly reference: Reference
  state: KeyValue[]
  readonly changes: WatchEvent[]
}

class Refusal extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode) {
    super(code)
    this.code = code
  }
}

function runWrite(reference: Reference, op: Op): Answer {
  const attempt: Attempt = { reference, state: [...reference.states[latest(reference)]!], changes: [] }
  try {
    checkPuts(attempt, op, op.kind === 'put')
    checkRanges(attempt, op)
    const reply = runOp(attempt, op)
    commit(reference, attempt.state, attempt.changes)
    return { ok: true, op: reply }
  } catch (error) {
    if (error instanceof Refusal) return refused(error.code)
    throw error
  }
}

const chosen = (state: readonly KeyValue[], op: TxnOp): readonly Op[] =>
  op.compares.every(compare => holds(state, compare)) ? op.success : op.failure

/** Of several faults the first of a put is told; where the put stands alone, that of its lease comes first. */
function checkPuts({ reference, state }: Attempt, op: Op, alone: boolean): void {
  if (op.kind === 'txn')
    for (const part of chosen(state, op)) checkPuts({ reference, state, changes: [] }, part, alone)
  if (op.kind !== 'put') return
  const isThere = state.some(kv => compareBytes(kv.key, op.key) === 0)
  const faults: ErrorCode[] = []
  if (!isThere && (op.ignoreValue || op.ignoreLease)) faults.push('keyNotFound')
  if (op.lease !== 0n && !reference.leases.has(op.lease)) faults.push('leaseNotFound')
  const fault = alone ? faults.at(-1) : faults[0]
  if (fault !== undefined) throw new Refusal(fault)
}

function checkRanges(attempt: Attempt, op: Op): void {
  if (op.kind === 'range') rangeOf(attempt.reference, attempt.state, op)
  if (op.kind === 'txn') for (const part of chosen(attempt.state, op)) checkRanges(attempt, part)
}

function runOp(attempt: Attempt, op: Op): OpReply {
  const { reference } = attempt
  const before = reference.states[latest(reference)]!
  const mod = latest(reference) + 1
  switch (op.kind) {
    case 'put': {
      const old = before.find(kv => compareBytes(kv.key, op.key) === 0) ?? null
      const kv = {
        key: op.key,
        create: old?.create ?? mod,
        mod,
        version: (old?.version ?? 0) + 1,
        value: op.ignoreValue ? old!.value : op.value,
        lease: op.ignoreLease ? old!.lease : op.lease,
      }
      attempt.state = attempt.state.filter(other => compareBytes(other.key, op.key) !== 0)
      attempt.state.push(kv)
      attempt.state.sort((a, b) => compareBytes(a.key, b.key))
      attempt.changes.push({ kind: 'put', kv, prev: old })
      return { kind: 'put', prev: op.prevKv ? old : null }
    }
    case 'delete': {
      const gone = attempt.state.filter(kv => rangeContains(op.range, kv.key))
      attempt.state = attempt.state.filter(kv => !rangeContains(op.range, kv.key))
      for (const kv of gone) attempt.changes.push(deletion(kv, mod))
      return { kind: 'delete', deleted: gone.length, prevs: op.prevKv ? gone : [] }
    }
    case 'range':
      return rangeOf(reference, attempt.state, op)
    case 'txn': {
      const succeeded = op.compares.every(compare => holds(before, compare))
      const branch = succeeded ? op.success : op.failure
      const responses = branch.map(nested => runOp(attempt, nested))
      const revision = attempt.changes.length > 0 ? mod : latest(reference)
      return { kind: 'txn', succeeded, revision, before: latest(reference), responses }
    }
  }
}

/** A transaction that reads, or a range, on the latest state. */
export function query(reference: Reference, op: RangeOp | TxnOp): Answer {
  const attempt = { reference, state: reference.states[latest(reference)]!, changes: [] }
  try {
    return { ok: true, op: runOp(attempt, op) }
  } catch (error) {
    if (error instanceof Refusal) return refused(error.code)
    throw error
  }
}

function rangeOf(reference: Reference, now: readonly KeyValue[], op: RangeOp): OpReply {
  if (op.revision > latest(reference)) throw new Refusal('futureRevision')
  if (op.revision > 0 && op.revision < reference.compacted) throw new Refusal('compacted')
  const state = op.revision > 0 ? reference.states[op.revision]! : now
  const all = state.filter(kv => rangeContains(op.range, kv.key))
  if (op.countOnly) return { kind: 'range', kvs: [], more: false, count: all.length }
  const filters = [op.minMod, op.maxMod, op.minCreate, op.maxCreate].some(bound => bound !== 0)
  let kvs = all
  if (op.order === 'none' && !filters && op.limit > 0) kvs = kvs.slice(0, op.limit + 1)
  if (op.minMod > 0) kvs = kvs.filter(kv => kv.mod >= op.minMod)
  if (op.maxMod > 0) kvs = kvs.filter(kv => kv.mod <= op.maxMod)
  if (op.minCreate > 0) kvs = kvs.filter(kv => kv.create >= op.minCreate)
  if (op.maxCreate > 0) kvs = kvs.filter(kv => kv.create <= op.maxCreate)
  const sign = op.order === 'descend' ? -1 : 1
  kvs = [...kvs].sort((a, b) => sign * by(op, a, b) || compareBytes(a.key, b.key))
  const more = op.limit > 0 && kvs.length > op.limit
  if (more) kvs = kvs.slice(0, op.limit)
  if (op.keysOnly) kvs = kvs.map(kv => ({ ...kv, value: new Uint8Array(0) }))
  return { kind: 'range', kvs, more, count: all.length }
}

function by(op: RangeOp, a: KeyValue, b: KeyValue): number {
  if (op.target === 'key') return compareBytes(a.key, b.key)
  if (op.target === 'value') return compareBytes(a.value, b.value)
  return a[op.target] - b[op.target]
}

function holds(state: readonly KeyValue[], compare: Compare): boolean {
  const found = state.filter(kv => rangeContains(compare.range, kv.key))
  if (found.length > 0) return found.every(kv => matches(compare, field(compare, kv)))
  return compare.target !== 'value' && matches(compare, 0n)
}

const field = (compare: Compare, kv: KeyValue): bigint | string =>
  compare.target === 'value' ? toKeyString(kv.value) : BigInt(kv[compare.target])

function matches(compare: Compare, actual: bigint | string): boolean {
  const operand = compare.target === 'value' ? toKeyString(compare.operand) : BigInt(compare.operand)
  switch (compare.result) {
    case 'equal':
      return actual === operand
    case 'notEqual':
      return actual !== operand
    case 'greater':
      return actual > operand
    case 'less':
      return actual < operand
  }
}
