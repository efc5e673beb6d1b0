import t from 'tap'
import {
  applyRequest,
  checkLinearizable,
  checkRevisionOrder,
  evaluate,
  kvModel,
  kvValueModel,
  Random,
  Truth,
  type KvHistory,
  type KvOperation,
  type KvRequest,
  type KvResult,
  type KvState,
} from '@kvorum/sim'
import {
  leaseId,
  NO_LEASE,
  pointRange,
  prefixRange,
  utf8,
  type KeyRange,
  type PutOp,
  type RangeOp,
  type TxnOp,
} from '@kvorum/model'
import { hasLegalOrder } from './bruteForce.js'
import { generate, mutate } from './generate.js'

const put = (key: string, value: string, more: Partial<PutOp> = {}): PutOp => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  lease: NO_LEASE,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
  ...more,
})

const range = (over: KeyRange, more: Partial<RangeOp> = {}): RangeOp => ({
  kind: 'range',
  range: over,
  limit: 0,
  revision: 0,
  order: 'none',
  target: 'key',
  keysOnly: false,
  countOnly: false,
  minMod: 0,
  maxMod: 0,
  minCreate: 0,
  maxCreate: 0,
  ...more,
})

const key = (name: string): KeyRange => pointRange(utf8(name))
const write = (op: PutOp | TxnOp): KvRequest => ({ kind: 'write', op })
const remove = (name: string): KvRequest => ({
  kind: 'write',
  op: { kind: 'delete', range: key(name), prevKv: true },
})
const read = (op: RangeOp, serializable = false): KvRequest => ({ kind: 'read', op, serializable })
const swap = (name: string, from: string, to: string): TxnOp => ({
  kind: 'txn',
  compares: [{ range: key(name), result: 'equal', target: 'value', operand: utf8(from) }],
  success: [put(name, to), range(key(name))],
  failure: [range(key(name))],
})

/** A correct store that also keeps the truth. */
function store(): { run: (request: KvRequest) => KvResult; truth: Truth; state: () => KvState } {
  let state: KvState = { keys: new Map(), revision: 1 }
  const truth = new Truth()
  return {
    truth,
    state: () => state,
    run(request) {
      if (request.kind === 'read') {
        const effect = evaluate(truth.view(state.revision), request.op, state.revision)!
        return { revision: state.revision, reply: effect.reply }
      }
      const done = applyRequest(state, request)
      if (done === null) throw new Error('refused')
      state = done.state
      if (done.events.length > 0) truth.append({ revision: state.revision, events: done.events })
      return done.result
    },
  }
}

/** Runs the requests one after the other; the history can then be bent. */
function sequence(...requests: KvRequest[]): { history: KvOperation[]; truth: Truth } {
  const { run, truth } = store()
  const history = requests.map((op, id): KvOperation => {
    const result = run(op)
    return { client: 0, id, call: id * 10, return: id * 10 + 5, op, outcome: 'ok', result }
  })
  return { history, truth }
}

const kinds = (history: KvHistory, truth: Truth): string[] =>
  checkRevisionOrder(history, truth, { monotonicReads: true }).map(anomaly => anomaly.kind)

void t.test('a sequential run is in order', async t => {
  const { history, truth } = sequence(
    read(range(key('a'))),
    write(put('a', '1')),
    write(put('b', '2', { prevKv: true, lease: leaseId(7n) })),
    write(swap('a', '1', '3')),
    write(swap('a', '1', '4')),
    read(range(prefixRange(utf8('')), { limit: 1 })),
    read(range(key('a'), { revision: 2 })),
    remove('a'),
    remove('a'),
    { kind: 'leaseRevoke', lease: leaseId(7n) },
    read(range(prefixRange(utf8('')), { countOnly: true })),
  )
  t.same(kinds(history, truth), [])
  t.equal(truth.revision, 6)
  const dense = history.filter(
    ({ op }) => op.kind !== 'read' || op.op.kind !== 'range' || op.op.revision === 0,
  )
  t.equal(checkLinearizable(kvModel, dense).kind, 'legal')
  t.same(truth.view(2).get('a')?.value, utf8('1'))
  t.equal(truth.view(5).get('a'), null)
})

void t.test('what a stale read has shown was not written by who asked later', async t => {
  const { history, truth } = sequence(write(put('a', '1')), remove('a'), read(range(key('a')), true))
  const [first, removed, stale] = history as [KvOperation, KvOperation, KvOperation]
  const lost = { ...removed, outcome: 'unknown', return: Infinity, result: null } as const
  // Either of two removals may have done it, but for their calls.
  t.same(kinds([first, { ...lost, id: 8, call: 100 }, stale, lost], truth), [])
})

void t.test('each way to be wrong has its name', async t => {
  const made = sequence(
    write(put('a', '1')),
    write(put('a', '2')),
    read(range(key('a'))),
    read(range(key('a')), true),
  )
  const { truth } = made
  const [first, second, fresh, lazy] = made.history as [KvOperation, KvOperation, KvOperation, KvOperation]
  const stale = {
    revision: 2,
    reply: sequence(write(put('a', '1')), read(range(key('a')))).history[1]!.result!.reply,
  }
  t.same(kinds([first, second, { ...fresh, result: stale }], truth), ['real-time order', 'client went back'])
  t.same(kinds([first, second, { ...fresh, call: 11, client: 1, result: stale }], truth), [], 'concurrent')
  t.same(
    kinds([first, second, { ...lazy, client: 1, result: stale }], truth),
    [],
    'serializable may be stale',
  )
  t.same(kinds([first, second, { ...lazy, result: stale }], truth), ['client went back'])
  t.same(kinds([first, second, { ...lazy, client: 1, call: 1, return: 2 }], truth), ['read of the future'])
  const empty = { revision: 3, reply: { kind: 'range', kvs: [], more: false, count: 0 } as const }
  t.same(kinds([first, second, { ...fresh, result: empty }], truth), ['wrong answer'])
  t.same(kinds([first, second, { ...lazy, result: empty }], truth), ['wrong answer'], 'no state at any time')
  t.same(kinds([first, { ...second, outcome: 'fail', result: null }, fresh], truth), [
    'refused yet applied',
    'write from nowhere',
  ])
  t.same(kinds([first, { ...second, outcome: 'unknown', return: Infinity, result: null }, fresh], truth), [])
  t.same(kinds([first, fresh], truth), ['write from nowhere'])
  t.same(kinds([first, { ...second, result: { ...second.result!, revision: 2 } }, fresh], truth), [
    'revision used twice',
    'write from nowhere',
    'real-time order',
    'read of the future',
  ])
  const lost = { ...second, id: 9, op: write(put('b', '9')), result: { ...second.result!, revision: 3 } }
  t.ok(kinds([first, lost], truth).includes('lost write'))
  t.same(kinds([first, second, { ...fresh, result: { ...fresh.result!, revision: 9 } }], truth).slice(0, 1), [
    'future revision',
  ])
  const early = { ...second, outcome: 'unknown', return: Infinity, result: null, call: 100 } as const
  t.same(kinds([first, early, fresh], truth), ['write before its call', 'read of the future'].slice(0, 1))
  const swapped = [
    { ...first, call: 20, return: 25 },
    { ...second, call: 0, return: 5 },
  ]
  t.ok(kinds(swapped, truth).includes('real-time order'), 'revisions against real time')
})

void t.test('keys that go with a lease need no client', async t => {
  const made = sequence(write(put('a', '1', { lease: leaseId(5n) })), {
    kind: 'leaseRevoke',
    lease: leaseId(5n),
  })
  t.same(kinds(made.history.slice(0, 1), made.truth), [])
})

function generateKv(
  random: Random,
  operations: number,
  clients: number,
): { history: KvOperation[]; truth: Truth } {
  const { run, truth } = store()
  const history = generate<KvRequest, KvResult>(random, operations, clients, serial => {
    const name = random.pick(['a', 'b'])
    const op = random.pick<() => KvRequest>([
      () => write(put(name, `${serial}`, { prevKv: random.chance(0.5) })),
      () => remove(name),
      () => read(range(key(name))),
      () => read(range(prefixRange(utf8('')))),
      () => write(swap(name, `${random.int(0, serial)}`, `${serial}`)),
    ])()
    return { op, run: () => run(op) }
  })
  return { history, truth }
}

/** Writes keep their answers, because the truth already says what they did. */
const keepsWrites = (before: KvHistory, after: KvHistory): boolean =>
  after.every(
    (one, at) =>
      one.op.kind === 'read' || (one.result === before[at]!.result && one.outcome === before[at]!.outcome),
  )

void t.test('revision order, search and definition agree on small histories', async t => {
  const verdicts = { legal: 0, illegal: 0, skipped: 0 }
  for (let seed = 0; seed < 6000; seed++) {
    const random = new Random(seed).stream('kv')
    const { history: correct, truth } = generateKv(random, random.int(3, 7), 3)
    if (checkRevisionOrder(correct, truth).length > 0) {
      return t.fail(`seed ${seed}: a correct history was rejected`, {
        found: checkRevisionOrder(correct, truth),
        correct,
      })
    }
    if (checkLinearizable(kvModel, correct).kind !== 'legal')
      return t.fail(`seed ${seed}: rejected by the search`)
    let history = correct
    for (let i = random.int(1, 3); i > 0; i--) history = mutate(random, history)
    const legal = hasLegalOrder(kvModel, history)
    verdicts[legal ? 'legal' : 'illegal']++
    if ((checkLinearizable(kvModel, history).kind === 'legal') !== legal)
      return t.fail(`seed ${seed}: search`, { history })
    const inOrder = checkRevisionOrder(history, truth).length === 0
    // What the truth shows of writes with unknown ends may convict where the clients' view alone cannot.
    if (inOrder && !legal) return t.fail(`seed ${seed}: revision order is too lenient`, { history })
    const known = correct.every(one => one.outcome === 'ok') && keepsWrites(correct, history)
    if (!known) verdicts.skipped++
    else if (inOrder !== legal) {
      return t.fail(`seed ${seed}: revision order is too strict`, {
        history,
        found: checkRevisionOrder(history, truth),
      })
    }
  }
  t.ok(verdicts.illegal > 600 && verdicts.legal > 600 && verdicts.skipped < 5500, JSON.stringify(verdicts))
})

void t.test('single-key histories fall apart by key', async t => {
  const { run } = store()
  const random = new Random(3)
  const history = generate<KvRequest, KvResult>(random, 1500, 6, serial => {
    const name = `k${random.int(1, 12)}`
    const op = random.chance(0.5) ? write(put(name, `${serial}`)) : read(range(key(name)))
    return { op, run: () => run(op) }
  })
  t.equal(kvValueModel.partition!(history).length, 12)
  t.equal(checkLinearizable(kvValueModel, history).kind, 'legal')
  const last = history.findLastIndex(one => one.op.kind === 'read' && one.result !== null)
  const empty = { revision: 0, reply: { kind: 'range', kvs: [], more: false, count: 0 } as const }
  t.equal(
    checkLinearizable(kvValueModel, history.with(last, { ...history[last]!, result: empty })).kind,
    'illegal',
  )
})

void t.test('the reference sorts, filters and cuts as the API says', async t => {
  const { run } = store()
  for (const [name, value] of [
    ['a', '3'],
    ['b', '1'],
    ['c', '2'],
    ['b', '5'],
  ] as const)
    run(write(put(name, value)))
  const keys = (more: Partial<RangeOp>): string => {
    const { reply } = run(read(range(prefixRange(utf8('')), more)))
    if (reply?.kind !== 'range') throw new Error('not a range')
    return `${reply.kvs.map(kv => Buffer.from(kv.key).toString()).join('')} ${reply.count} ${reply.more}`
  }
  t.equal(keys({}), 'abc 3 false')
  t.equal(keys({ limit: 2 }), 'ab 3 true')
  t.equal(keys({ order: 'descend', limit: 2 }), 'cb 3 true')
  t.equal(keys({ order: 'ascend', target: 'value' }), 'cab 3 false')
  t.equal(keys({ target: 'value', limit: 1 }), 'a 3 true', 'cut to two in key order, then sorted, then cut')
  t.equal(keys({ target: 'value', limit: 1, minMod: 1 }), 'c 3 true')
  t.equal(keys({ minMod: 4 }), 'bc 3 false', 'filters do not change the count')
  t.equal(keys({ maxCreate: 2 }), 'a 3 false')
  t.equal(keys({ countOnly: true, limit: 1 }), ' 3 false')
})
