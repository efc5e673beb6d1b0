import t from 'tap'
import {
  checkBank,
  checkListAppend,
  checkLongFork,
  Random,
  type ListHistory,
  type ListOp,
  type ListResult,
  type ListTxn,
  type Operation,
} from '@kvorum/sim'
import { hasSerialOrder } from './bruteForce.js'
import { generate, mutate } from './generate.js'
import { lists } from './notation.js'

/** The smallest history of each anomaly, and legal ones beside them. `kinds` are all that is found. */
const HISTORIES: readonly (readonly [name: string, kinds: readonly string[], history: string])[] = [
  ['nothing', [], ''],
  ['one after the other', [], '0 0-1 x+1\n0 2-3 x=1 x+2\n1 4-5 x=1,2'],
  ['concurrent, any order', [], '0 0-9 x+1\n1 0-9 x+2\n2 10-11 x=2,1'],
  ['own appends are seen inside', [], '0 0-1 x+1 x=1 x+2 x=1,2'],
  ['own appends are missed inside', ['internal'], '0 0-1 x+1 x=-'],
  ['a transaction reads its own future', ['internal'], '0 0-1 x=1 x+1'],
  ['own appends in reverse', ['G1b', 'append order'], '0 0-1 x+1 x+2\n1 2-3 x=2,1'],
  ['an append left out', ['append order', 'G-single'], '0 0-1 x+1 x+2\n1 2-3 x=2'],
  ['two reads of one transaction differ', ['internal', 'G-single'], '0 0-9 x=- x=1\n1 0-9 x+1'],
  ['duplicate elements', ['duplicate elements', 'append order'], '0 0-1 x+1\n1 2-3 x=1,1'],
  ['value from nowhere', ['value from nowhere'], '0 0-1 x=9'],
  ['value used twice', ['value used twice'], '0 0-1 x+1\n1 2-3 x+1'],
  ['incompatible orders', ['incompatible order'], '0 0-9 x+1\n1 0-9 x+2\n2 0-9 x=1,2\n3 0-9 x=2,1'],
  ['G0: two writers interleave', ['G0'], '0 0-9 x+1 y+1\n1 0-9 x+2 y+2\n2 10-11 x=1,2 y=2,1'],
  ['G1a: aborted read', ['G1a'], '0 0-1! x+1\n1 2-3 x=1'],
  ['an unknown append may be read', [], '0 0-? x+1\n1 2-3 x=1'],
  ['an unknown append may be absent', [], '0 0-? x+1\n1 2-3 x=-'],
  ['G1b: intermediate read', ['G1b', 'G-single'], '0 0-9 x+1 x+2\n1 0-9 x=1\n2 10-11 x=1,2'],
  ['G1c: each reads the other', ['G1c'], '0 0-9 x+1 y=2\n1 0-9 y+2 x=1'],
  ['G-single: read skew', ['G-single'], '0 0-9 x+1 y+1\n1 0-9 x=- y=1'],
  ['G-single: lost update', ['G-single'], '0 0-9 x=- x+1\n1 0-9 x=- x+2\n2 10-11 x=1,2'],
  ['lost update that nobody reads', ['G2'], '0 0-9 x=- x+1\n1 0-9 x=- x+2'],
  ['G2: write skew', ['G2'], '0 0-9 x=- y+1\n1 0-9 y=- x+1'],
  ['G2: long fork', ['G2'], '0 0-9 x+1\n1 0-9 y+1\n2 0-9 x=1 y=-\n3 0-9 x=- y=1'],
  ['a client misses its own write', ['G-single-process'], '0 0-1 x+1\n0 2-3 x=-'],
  ['a client goes back', ['G-single-process'], '0 0-20 x+1\n1 1-2 x=1\n1 3-4 x=-'],
  ['stale read in real time', ['G-single-realtime'], '0 0-1 x+1\n1 2-3 x=-'],
  ['the same, overlapping', [], '0 0-2 x+1\n1 2-3 x=-'],
  ['writes against real time', ['G0-realtime'], '0 0-1 x+1\n1 2-3 x+2\n2 10-11 x=2,1'],
  ['a read of the future', ['G1c-realtime'], '0 0-1 x=1\n1 2-3 x+1'],
  ['acknowledged and lost', ['G0-realtime'], '0 0-1 x+1\n1 2-3 x+2\n2 4-5 x=2'],
  ['realtime across keys', ['G-single-realtime'], '0 0-1 x+1\n1 2-3 y+1\n2 0-9 y=1 x=-'],
]

void t.test('hand-written histories', async t => {
  for (const [name, kinds, text] of HISTORIES) {
    const history = lists(text)
    const found = checkListAppend(history).map(anomaly => anomaly.kind)
    t.same(found, kinds, name)
    if (name !== 'value used twice')
      t.equal(hasSerialOrder(history), kinds.length === 0, `${name}, by definition`)
  }
})

void t.test('an anomaly says who and why', async t => {
  const [cycle] = checkListAppend(lists('0 0-9 x=- y+1\n1 0-9 y=- x+1'))
  t.same(cycle, { kind: 'G2', operations: [0, 1], facts: 'rw -> rw' })
})

function generateLists(
  random: Random,
  operations: number,
  clients: number,
  keys = 2,
): Operation<ListTxn, ListResult>[] {
  const state = new Map<string, number[]>()
  let value = 0
  return generate<ListTxn, ListResult>(random, operations, clients, () => {
    const op = Array.from({ length: random.int(1, 3) }, (): ListOp => {
      const key = `k${random.int(1, keys)}`
      return random.chance(0.5) ? { kind: 'append', key, value: ++value } : { kind: 'read', key }
    })
    return {
      op,
      run: () =>
        op.map(one => {
          const list = state.get(one.key) ?? []
          if (one.kind === 'read') return list
          state.set(one.key, [...list, one.value])
          return null
        }),
    }
  })
}

/** Changes one read, or what `mutate` changes. */
function damage(random: Random, history: Operation<ListTxn, ListResult>[]): Operation<ListTxn, ListResult>[] {
  const at = random.int(0, history.length - 1)
  const one = history[at]!
  const place = one.op.findIndex(op => op.kind === 'read')
  if (one.result === null || place < 0 || random.chance(0.3)) {
    const after = mutate(random, history)
    const fits = after.every(({ op, result }) => result === null || sameShape(op, result))
    return fits ? after : history
  }
  const list = one.result[place]!
  const changed = random.pick([
    list.slice(0, -1),
    list.slice(1),
    list.toReversed(),
    [...list, random.int(1, 6)],
    history.flatMap(({ op }) => op.flatMap(step => (step.kind === 'append' ? [step.value] : []))).slice(0, 3),
  ])
  return history.with(at, { ...one, result: one.result.with(place, changed) })
}

const sameShape = (op: ListTxn, result: ListResult): boolean =>
  op.length === result.length && op.every((step, at) => (step.kind === 'append') === (result[at] === null))

void t.test('agrees with the definition on small histories', async t => {
  const verdicts = { legal: 0, illegal: 0 }
  for (let seed = 0; seed < 20_000; seed++) {
    const random = new Random(seed).stream('lists')
    const correct = generateLists(random, random.int(2, 6), 3)
    if (checkListAppend(correct).length > 0) return t.fail(`seed ${seed}: a correct history was rejected`)
    let history = correct
    for (let i = random.int(1, 2); i > 0; i--) history = damage(random, history)
    const legal = hasSerialOrder(history)
    verdicts[legal ? 'legal' : 'illegal']++
    const found = checkListAppend(history)
    if ((found.length === 0) !== legal) {
      return t.fail(`seed ${seed}: legal is ${legal}`, { history, found })
    }
  }
  t.ok(verdicts.legal > 2000 && verdicts.illegal > 2000, JSON.stringify(verdicts))
})

void t.test('verdicts do not depend on names, clocks or listing order', async t => {
  for (let seed = 0; seed < 2000; seed++) {
    const random = new Random(seed).stream('metamorphic')
    const history = damage(random, generateLists(random, 6, 3))
    const legal = checkListAppend(history).length === 0
    const moved: ListHistory = history
      .map(one => ({
        ...one,
        client: one.client + 50,
        call: one.call * 2 - 9,
        return: one.return * 2 - 9,
        op: one.op.map(op => ({ ...op, key: `m${op.key}` })),
      }))
      .toReversed()
    if ((checkListAppend(moved).length === 0) !== legal) t.fail(`seed ${seed}: moved`)
    const longer = history.map(one => ({ ...one, call: one.call - 2, return: one.return + 2 }))
    // Longer intervals of one client would overlap, which no client does; give each operation its own.
    const apart = longer.map((one, at) => ({ ...one, client: at }))
    if (legal && checkListAppend(apart).length > 0) t.fail(`seed ${seed}: longer`)
  }
  t.pass('2000 histories')
})

void t.test('a long history is checked in linear time', async t => {
  const random = new Random(1)
  const history = generateListsOverManyKeys(random, 20_000)
  t.same(checkListAppend(history), [])
  const last = history.findLastIndex(one => one.outcome === 'ok' && one.op[0]?.kind === 'read')
  const broken = history.with(last, { ...history[last]!, result: history[last]!.op.map(() => []) })
  t.ok(checkListAppend(broken).length > 0)
})

/** Keys are retired after a while, as a workload must do for its lists to stay short. */
function generateListsOverManyKeys(random: Random, operations: number): Operation<ListTxn, ListResult>[] {
  const state = new Map<string, number[]>()
  let value = 0
  return generate<ListTxn, ListResult>(random, operations, 10, serial => {
    const op = Array.from({ length: random.int(1, 4) }, (_, at): ListOp => {
      const key = `k${Math.floor(serial / 200) * 4 + random.int(0, 3)}`
      return at > 0 && random.chance(0.5) ? { kind: 'append', key, value: ++value } : { kind: 'read', key }
    })
    return {
      op,
      run: () =>
        op.map(one => {
          const list = state.get(one.key) ?? []
          if (one.kind === 'read') return list
          state.set(one.key, [...list, one.value])
          return null
        }),
    }
  })
}

void t.test('bank and long fork probes', async t => {
  const reads = <Result>(...results: (Result | null)[]): Operation<unknown, Result>[] =>
    results.map((result, id) => ({ client: 0, id, call: id, return: id, op: null, outcome: 'ok', result }))
  const bank = { total: 10, overdraft: false }
  t.same(checkBank(reads<readonly number[]>([5, 5], null, [3, 7]), bank), [])
  t.same(
    checkBank(reads<readonly number[]>([5, 4], [12, -2]), bank).map(found => found.kind),
    ['wrong total', 'overdraft'],
  )
  t.same(checkLongFork(reads<readonly boolean[]>([true, false], [false, false], [true, true])), [])
  const [fork] = checkLongFork(reads<readonly boolean[]>([true, false], [true, true], [false, true]))
  t.same(fork, { kind: 'long fork', operations: [0, 2], facts: '10 and 01' })
})
