import type { Anomaly } from './anomaly.js'
import { classify, EDGE } from './dependencyCycles.js'
import { Graph } from './graph.js'
import type { History, Operation } from './history.js'

/**
 * Strict serializability of transactions over append-only lists, by dependency graphs (Adya; Kingsbury and
 * Alvaro, Elle). Appended numbers are unique per key, so a read tells the order of all writes it saw:
 *
 *   ww  whoever appended an element precedes whoever appended the next one
 *   wr  whoever appended the last element that a read saw precedes the reader
 *   rw  a reader precedes whoever appended what it did not see
 *
 * and time adds `process` (one client, one after the other) and `realtime` (returned before the other's call).
 * Linear in the history but for sorting.
 */
export type ListOp =
  | { readonly kind: 'append'; readonly key: string; readonly value: number }
  | { readonly kind: 'read'; readonly key: string }

/** For each operation of the transaction: what a read saw, null for an append. */
export type ListResult = readonly (readonly number[] | null)[]

export type ListTxn = readonly ListOp[]
export type ListHistory = History<ListTxn, ListResult>
type Txn = Operation<ListTxn, ListResult>

export function checkListAppend(history: ListHistory): Anomaly[] {
  const writers = collectWriters(history)
  const found = [...writers.anomalies]
  for (const txn of history) {
    if (txn.outcome === 'ok') found.push(...checkReads(txn, writers))
  }
  const orders = versionOrders(history, found)
  found.push(...checkAppendOrder(writers, orders))
  const seen = new Set([...orders].flatMap(([key, order]) => order.map(value => element(key, value))))
  const taken = history.filter(txn => txn.outcome === 'ok' || isSeen(txn, seen))
  const node = new Map(taken.map((txn, at) => [txn.id, at]))
  const graph = new Graph(taken.length)
  addDependencies(graph, taken, node, writers, orders)
  addProcess(graph, taken)
  addRealTime(graph, taken)
  for (const cycle of classify(graph)) {
    found.push({ ...cycle, operations: cycle.operations.map(at => taken[at]!.id) })
  }
  return found
}

interface Write {
  readonly txn: Txn
  /** The last append of its transaction to this key: what others may see as the end of a list. */
  readonly final: boolean
}

interface Writers {
  readonly of: ReadonlyMap<string, Write>
  readonly anomalies: readonly Anomaly[]
}

const element = (key: string, value: number): string => `${value} ${key}`

function collectWriters(history: ListHistory): Writers {
  const of = new Map<string, Write>()
  const anomalies: Anomaly[] = []
  for (const txn of history) {
    for (const [at, op] of txn.op.entries()) {
      if (op.kind === 'read') continue
      const name = element(op.key, op.value)
      const other = of.get(name)
      if (other !== undefined) {
        anomalies.push({ kind: 'value used twice', operations: [other.txn.id, txn.id], facts: name })
      }
      const lastAppend = txn.op.findLastIndex(one => one.kind === 'append' && one.key === op.key)
      of.set(name, { txn, final: lastAppend === at })
    }
  }
  return { of, anomalies }
}

function checkReads(txn: Txn, writers: Writers): Anomaly[] {
  const found: Anomaly[] = []
  const expected = new Map<string, readonly number[]>()
  const own = new Map<string, number[]>()
  const add = (kind: string, facts: string, other?: Txn): void => {
    found.push({ kind, operations: other === undefined ? [txn.id] : [other.id, txn.id], facts })
  }
  for (const [at, op] of txn.op.entries()) {
    if (op.kind === 'append') {
      own.set(op.key, [...(own.get(op.key) ?? []), op.value])
      const known = expected.get(op.key)
      if (known !== undefined) expected.set(op.key, [...known, op.value])
      continue
    }
    const list = txn.result?.[at] ?? []
    const facts = `${op.key}: ${list.join(' ')}`
    if (new Set(list).size < list.length) add('duplicate elements', facts)
    const known = expected.get(op.key)
    const mine = own.get(op.key) ?? []
    if (known !== undefined ? !sameList(known, list) : !endsWith(list, mine)) add('internal', facts)
    expected.set(op.key, list)
    const end = list.length - (endsWith(list, mine) ? mine.length : 0) - 1
    for (const [place, value] of list.entries()) {
      const write = writers.of.get(element(op.key, value))
      if (write === undefined) add('value from nowhere', facts)
      else if (write.txn === txn && !mine.includes(value)) add('internal', `its own future in ${facts}`)
      else if (write.txn.outcome === 'fail') add('G1a', `aborted read of ${facts}`, write.txn)
      else if (place === end && !write.final && write.txn !== txn) {
        add('G1b', `intermediate read of ${facts}`, write.txn)
      }
    }
  }
  return found
}

const sameList = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((value, at) => value === b[at])
const endsWith = (list: readonly number[], end: readonly number[]): boolean =>
  end.length <= list.length && sameList(list.slice(list.length - end.length), end)
const startsWith = (list: readonly number[], start: readonly number[]): boolean =>
  start.length <= list.length && start.every((value, at) => value === list[at])

/** Every read of a key, with what the reader itself had appended before cut off. */
function* reads(txn: Txn): Generator<{ readonly key: string; readonly list: readonly number[] }> {
  if (txn.outcome !== 'ok') return
  const own = new Map<string, number>()
  for (const [at, op] of txn.op.entries()) {
    const before = own.get(op.key) ?? 0
    if (op.kind === 'append') own.set(op.key, before + 1)
    else {
      const list = txn.result?.[at] ?? []
      yield { key: op.key, list: before === 0 ? list : list.slice(0, Math.max(0, list.length - before)) }
    }
  }
}

/** The longest list anybody saw, per key; reads that are no beginning of it are incompatible orders. */
function versionOrders(history: ListHistory, found: Anomaly[]): Map<string, readonly number[]> {
  const longest = new Map<string, { readonly list: readonly number[]; readonly txn: Txn }>()
  const whole = (txn: Txn): { key: string; list: readonly number[] }[] =>
    txn.outcome !== 'ok'
      ? []
      : txn.op.flatMap((op, at) =>
          op.kind === 'read' ? [{ key: op.key, list: txn.result?.[at] ?? [] }] : [],
        )
  for (const txn of history) {
    for (const { key, list } of whole(txn)) {
      if (list.length > (longest.get(key)?.list.length ?? -1)) longest.set(key, { list, txn })
    }
  }
  for (const txn of history) {
    for (const { key, list } of whole(txn)) {
      const best = longest.get(key)!
      if (startsWith(best.list, list)) continue
      const facts = `${key}: ${best.list.join(' ')} and ${list.join(' ')}`
      found.push({ kind: 'incompatible order', operations: [best.txn.id, txn.id], facts })
    }
  }
  return new Map([...longest].map(([key, { list }]) => [key, list]))
}

/** The appends of one transaction to one key show in the order in which it made them, none left out before another. */
function checkAppendOrder(writers: Writers, orders: ReadonlyMap<string, readonly number[]>): Anomaly[] {
  const found: Anomaly[] = []
  for (const [key, order] of orders) {
    const shown = new Map<Txn, number>()
    for (const value of order) {
      const txn = writers.of.get(element(key, value))?.txn
      if (txn === undefined) continue
      const place = shown.get(txn) ?? 0
      shown.set(txn, place + 1)
      const appends = txn.op.filter(op => op.kind === 'append' && op.key === key) as {
        readonly value: number
      }[]
      if (appends[place]?.value === value) continue
      found.push({ kind: 'append order', operations: [txn.id], facts: `${key}: ${order.join(' ')}` })
      break
    }
  }
  return found
}

/** Of a transaction with unknown outcome: whether anybody saw that it happened. */
function isSeen(txn: Txn, seen: ReadonlySet<string>): boolean {
  if (txn.outcome === 'fail') return false
  return txn.op.some(op => op.kind === 'append' && seen.has(element(op.key, op.value)))
}

function addDependencies(
  graph: Graph,
  taken: readonly Txn[],
  node: ReadonlyMap<number, number>,
  writers: Writers,
  orders: ReadonlyMap<string, readonly number[]>,
): void {
  const nodeOf = (key: string, value: number | undefined): number | undefined => {
    const write = value === undefined ? undefined : writers.of.get(element(key, value))
    return write === undefined ? undefined : node.get(write.txn.id)
  }
  const link = (from: number | undefined, to: number | undefined, kind: number): void => {
    if (from !== undefined && to !== undefined) graph.add(from, to, kind)
  }
  const unseen = unseenWriters(taken, node, orders)
  for (const [key, order] of orders) {
    for (let i = 1; i < order.length; i++) {
      link(nodeOf(key, order[i - 1]), nodeOf(key, order[i]), EDGE.ww)
    }
    for (const late of unseen.get(key) ?? []) link(nodeOf(key, order.at(-1)), late, EDGE.ww)
  }
  for (const [at, txn] of taken.entries()) {
    for (const { key, list } of reads(txn)) {
      link(nodeOf(key, list.at(-1)), at, EDGE.wr)
      const order = orders.get(key)!
      // Elements may follow that are the reader's own; the next foreign one is what it did not see.
      const next = firstForeign(order, list.length, value => nodeOf(key, value) === at)
      if (next !== undefined) link(at, nodeOf(key, next), EDGE.rw)
      else for (const late of unseen.get(key) ?? []) link(at, late, EDGE.rw)
    }
  }
}

function firstForeign(
  order: readonly number[],
  from: number,
  isOwn: (value: number) => boolean,
): number | undefined {
  for (let place = from; place < order.length; place++) {
    if (!isOwn(order[place]!)) return order[place]
  }
  return undefined
}

/** By key: transactions whose successful append to it appears in no read, so that they follow every read. */
function unseenWriters(
  taken: readonly Txn[],
  node: ReadonlyMap<number, number>,
  orders: ReadonlyMap<string, readonly number[]>,
): Map<string, number[]> {
  const seen = new Map([...orders].map(([key, order]) => [key, new Set(order)]))
  const unseen = new Map<string, number[]>()
  for (const txn of taken) {
    for (const op of txn.op) {
      if (op.kind === 'read' || seen.get(op.key)?.has(op.value)) continue
      const list = unseen.get(op.key)
      if (list === undefined) unseen.set(op.key, [node.get(txn.id)!])
      else list.push(node.get(txn.id)!)
    }
  }
  return unseen
}

function addProcess(graph: Graph, taken: readonly Txn[]): void {
  const last = new Map<number, number>()
  for (const at of inOrderOfCalls(taken)) {
    const { client, outcome } = taken[at]!
    const before = last.get(client)
    if (before !== undefined) graph.add(before, at, EDGE.process)
    if (outcome === 'ok') last.set(client, at)
  }
}

/**
 * Returned-before edges without the implied ones: a transaction gets an edge from everything that had returned
 * at its call, except what is already before something else that had returned.
 */
function addRealTime(graph: Graph, taken: readonly Txn[]): void {
  const calls = inOrderOfCalls(taken)
  const returns = calls
    .filter(at => taken[at]!.outcome === 'ok')
    .sort((a, b) => taken[a]!.return - taken[b]!.return)
  const frontier = new Set<number>()
  const before = new Map<number, number[]>()
  let next = 0
  for (const at of calls) {
    while (next < returns.length && taken[returns[next]!]!.return < taken[at]!.call) {
      const ended = returns[next++]!
      for (const earlier of before.get(ended) ?? []) frontier.delete(earlier)
      frontier.add(ended)
    }
    before.set(at, [...frontier])
    for (const earlier of frontier) graph.add(earlier, at, EDGE.realtime)
  }
}

const inOrderOfCalls = (taken: readonly Txn[]): number[] =>
  [...taken.keys()].sort((a, b) => taken[a]!.call - taken[b]!.call)
