import t from 'tap'
import {
  ALL_KEYS,
  EMPTY,
  encodeWork,
  groupId,
  incarnation,
  InvariantError,
  leaseId,
  pointRange,
  utf8,
  type KeyRange,
  type TransactionPrepare,
} from '@kvorum/model'
import {
  acknowledgeEnds,
  applyDecision,
  applyOutcome,
  applyPrepare,
  beginTransaction,
  compareAges,
  DENSE,
  endArrived,
  endDenseMode,
  forgetRecord,
  hasEnded,
  isLeaseEnding,
  locksOn,
  locksOnLease,
  NO_TRANSACTIONS,
  orphanAsks,
  recordArrived,
  recordOf,
  revisionArrived,
  revisionAtApply,
  servesDenseReads,
  splitTransactions,
  voteArrived,
  type Coordinator,
  type Transactions,
} from '@kvorum/placement'

const A = groupId(1)
const B = groupId(2)
const HEIR = groupId(3)
const LEFT: KeyRange = { start: utf8(''), end: utf8('m') }
const RIGHT: KeyRange = { start: utf8('m'), end: null }
const id = (sequence: number) => ({ coordinator: incarnation(9n), sequence })
const prepare = (sequence: number, since: number, ...keys: readonly string[]): TransactionPrepare => ({
  id: id(sequence),
  age: { ...id(sequence), since },
  primary: A,
  participants: [A, B],
  work: EMPTY,
  locks: keys.map(key => pointRange(utf8(key))),
})
const prepared = (state: Transactions, what: TransactionPrepare, after = 0): Transactions =>
  applyPrepare(state, what, after, ALL_KEYS).state
const commit = { kind: 'commit', revision: 7, branches: [] } as const
const abort = { kind: 'abort' } as const

t.test('a prepare locks once, and not after the end', async t => {
  const first = applyPrepare(NO_TRANSACTIONS, prepare(1, 0, 'a'), 4, ALL_KEYS)
  t.strictSame(first.vote, { kind: 'prepared', after: 4 })
  t.equal(locksOn(first.state, [pointRange(utf8('a'))]).length, 1)
  t.equal(locksOn(first.state, [pointRange(utf8('b'))]).length, 0)
  t.strictSame(applyPrepare(first.state, prepare(1, 0, 'a'), 6, ALL_KEYS), { ...first, vote: first.vote })
  const over = applyOutcome(first.state, id(1), commit).state
  t.strictSame(applyPrepare(over, prepare(1, 0, 'a'), 8, ALL_KEYS), { state: over, vote: { kind: 'over' } })
  t.equal(applyPrepare(NO_TRANSACTIONS, prepare(1, 0, 'x'), 0, LEFT).vote.kind, 'moved')
})

t.test('a copy of a prepare behind a split does not vote for both halves', async t => {
  const held = prepared(NO_TRANSACTIONS, prepare(1, 0, 'a', 'x'))
  const copy = applyPrepare(held, prepare(1, 0, 'a', 'x'), 0, LEFT)
  t.strictSame(copy, { state: held, vote: { kind: 'moved' } }, 'the first one holds on until the end')
  const alone = prepared(NO_TRANSACTIONS, prepare(1, 0, 'a'))
  t.equal(applyPrepare(alone, prepare(1, 0, 'a'), 0, LEFT).vote.kind, 'prepared', 'all of it is here still')
})

t.test('the older waits, the younger dies', async t => {
  const held = prepared(NO_TRANSACTIONS, prepare(5, 10, 'a'))
  t.equal(applyPrepare(held, prepare(6, 9, 'a'), 0, ALL_KEYS).vote.kind, 'wait')
  t.equal(applyPrepare(held, prepare(6, 10, 'a'), 0, ALL_KEYS).vote.kind, 'die')
  t.equal(applyPrepare(held, prepare(6, 10, 'b'), 0, ALL_KEYS).vote.kind, 'prepared')
  const other = { ...id(5), coordinator: incarnation(8n), since: 10 }
  t.ok(compareAges(other, { ...id(5), since: 10 }) < 0)
  t.ok(compareAges({ ...id(5), since: 10 }, other) > 0)
})

t.test('the first record stands', async t => {
  const held = prepared(NO_TRANSACTIONS, prepare(1, 0, 'a'))
  const decided = applyDecision(held, id(1), commit)
  t.match(decided, { outcome: commit, released: { id: id(1) }, state: { prepared: [] } })
  t.match(applyDecision(decided.state, id(1), orphanAsks()), { outcome: commit, released: null })
  t.strictSame(recordOf(decided.state, id(1))?.outcome, commit)
  const forgotten = forgetRecord(decided.state, id(1))
  t.match(applyDecision(forgotten, id(1), abort), { outcome: null, released: null })
  const unheard = applyDecision(NO_TRANSACTIONS, id(1), abort)
  t.equal(
    applyPrepare(unheard.state, prepare(1, 0, 'a'), 0, ALL_KEYS).vote.kind,
    'over',
    'an abort before its prepare',
  )
  t.throws(() => applyDecision(NO_TRANSACTIONS, id(1), commit), InvariantError)
  t.throws(() => applyOutcome(NO_TRANSACTIONS, id(1), commit), InvariantError)
})

t.test('ends are remembered until no copy can come', async t => {
  const two = applyOutcome(applyOutcome(NO_TRANSACTIONS, id(1), abort).state, id(2), abort).state
  t.match(applyOutcome(two, id(1), abort), { released: null, heirs: [] })
  const acknowledged = acknowledgeEnds(two, incarnation(9n), 2)
  t.strictSame(acknowledged.ended, [
    { coordinator: incarnation(9n), below: 2, ended: [{ sequence: 2, heirs: [] }] },
  ])
  t.ok(hasEnded(acknowledged, id(1)))
  t.ok(hasEnded(acknowledgeEnds(NO_TRANSACTIONS, incarnation(9n), 5), id(4)))
  t.notOk(hasEnded(acknowledged, id(3)))
})

t.test('an end with heirs is remembered longer: they have to be told as well', async t => {
  const { left } = splitTransactions(prepared(NO_TRANSACTIONS, prepare(1, 0, 'a', 'x')), LEFT, RIGHT, HEIR)
  const ended = applyOutcome(left, id(1), commit).state
  const acknowledged = acknowledgeEnds(ended, incarnation(9n), 5)
  t.strictSame(applyOutcome(acknowledged, id(1), commit).heirs, [HEIR], 'to whoever asks again')
  t.ok(hasEnded(acknowledged, id(1)))
  t.ok(hasEnded(acknowledged, id(4)))
})

t.test('a split hands locks on, and names the heir until the end', async t => {
  const held = prepared(prepared(NO_TRANSACTIONS, prepare(1, 0, 'a', 'x'), 4), prepare(2, 0, 'b'))
  const { left, right } = splitTransactions(held, LEFT, RIGHT, HEIR)
  t.match(left.prepared, [{ heirs: [HEIR] }, { heirs: [] }])
  t.equal(left.prepared[0]?.locks.length, 1)
  t.match(right.prepared, [{ id: id(1), after: 4, heirs: [] }])
  t.equal(right.prepared.length, 1)
  const ended = applyOutcome(left, id(1), commit)
  t.strictSame(ended.heirs, [HEIR])
  t.strictSame(applyOutcome(ended.state, id(1), commit).heirs, [HEIR], 'in every answer')
  t.match(applyDecision(left, id(1), commit).heirs, [HEIR])
})

const begun = () => beginTransaction(id(1), { ...id(1), since: 0 }, [A, B])
const vote = { kind: 'prepared', after: 4 } as const
const voted = (): Coordinator => {
  const first = voteArrived(begun().coordinator, A, vote)
  t.strictSame(first.orders, [])
  const again = voteArrived(first.coordinator, A, vote)
  t.equal(again.coordinator, first.coordinator)
  const last = voteArrived(first.coordinator, B, { kind: 'prepared', after: 5 })
  t.strictSame(last.orders, [{ kind: 'askRevision' }])
  return last.coordinator
}

t.test('a coordinator asks its revision after the last vote, and decides in the primary', async t => {
  t.strictSame(begun().orders, [
    { kind: 'prepare', group: A },
    { kind: 'prepare', group: B },
  ])
  const asked = voted()
  t.throws(() => revisionArrived(asked, 5), InvariantError)
  const decided = revisionArrived(asked, 7)
  t.strictSame(decided.orders, [{ kind: 'decide', group: A, outcome: commit }])
  t.equal(revisionArrived(decided.coordinator, 8).coordinator, decided.coordinator)
  const ending = recordArrived(decided.coordinator, commit, [])
  t.strictSame(ending.orders, [
    { kind: 'answer', outcome: commit },
    { kind: 'end', group: B, outcome: commit },
  ])
  t.strictSame(recordArrived(ending.coordinator, commit, []).orders, [])
  const heir = endArrived(ending.coordinator, B, [HEIR])
  t.strictSame(heir.orders, [{ kind: 'end', group: HEIR, outcome: commit }])
  t.strictSame(endArrived(heir.coordinator, B, [HEIR]).orders, [], 'a copy')
  t.strictSame(endArrived(heir.coordinator, HEIR, []).orders, [{ kind: 'forget', group: A }])
})

t.test('a coordinator gives way, and takes an orphan’s record for its own', async t => {
  t.strictSame(voteArrived(begun().coordinator, B, { kind: 'wait', behind: [] }).orders, [])
  for (const kind of ['die', 'over', 'moved'] as const)
    t.strictSame(voteArrived(begun().coordinator, B, { kind }).orders, [
      { kind: 'decide', group: A, outcome: abort },
    ])
  const late = revisionArrived(voted(), 7).coordinator
  t.match(recordArrived(late, abort, []).orders, [{ kind: 'answer', outcome: abort }, { kind: 'end' }])
  t.match(recordArrived(late, null, []), { coordinator: { phase: { kind: 'over' } }, orders: [] })
})

t.test('leases are attached to together, and ended alone', async t => {
  const lease = leaseId(7n)
  const op = { kind: 'delete', range: RIGHT, prevKv: false } as const
  const attaching = encodeWork({ kind: 'attach', op, leases: [lease], ranges: [] })
  const ending = encodeWork({ kind: 'revoke', lease, ranges: [] })
  const other = encodeWork({ kind: 'revoke', lease: leaseId(8n), ranges: [] })
  const voteOf = (state: Transactions, sequence: number, work: Uint8Array) =>
    applyPrepare(state, { ...prepare(sequence, sequence), work }, 4, ALL_KEYS)
  const one = voteOf(NO_TRANSACTIONS, 2, attaching)
  const two = voteOf(one.state, 3, attaching)
  t.equal(two.vote.kind, 'prepared', 'no keys in common')
  t.equal(voteOf(two.state, 4, other).vote.kind, 'prepared')
  t.equal(voteOf(two.state, 4, ending).vote.kind, 'die')
  t.equal(voteOf(two.state, 1, ending).vote.kind, 'wait')
  t.notOk(isLeaseEnding(two.state, lease))
  const alone = voteOf(NO_TRANSACTIONS, 2, ending)
  t.ok(isLeaseEnding(alone.state, lease))
  t.equal(voteOf(alone.state, 3, attaching).vote.kind, 'die')
  t.equal(voteOf(alone.state, 3, ending).vote.kind, 'die')
  t.equal(locksOnLease(two.state, lease).length, 2)
  t.equal(locksOnLease(two.state, leaseId(8n)).length, 0)
  const split = { ...prepare(5, 5, 'z'), work: attaching }
  const { state } = applyPrepare(NO_TRANSACTIONS, split, 4, ALL_KEYS)
  const halves = splitTransactions(state, LEFT, RIGHT, HEIR)
  for (const half of [halves.left, halves.right])
    t.equal(locksOnLease(half, lease).length, 1, 'in both halves')
})

t.test('dense mode ends once', async t => {
  t.equal(revisionAtApply(DENSE, 4, null), 5)
  t.throws(() => revisionAtApply(DENSE, 4, 9), InvariantError)
  const ended = endDenseMode(DENSE, 4)
  t.strictSame(endDenseMode(ended, 9), { kind: 'oracle', denseUpTo: 4 })
  t.equal(revisionAtApply(ended, 4, null), 'again')
  t.equal(revisionAtApply(ended, 4, 9), 9)
  t.ok(servesDenseReads(DENSE))
  t.notOk(servesDenseReads(ended))
})
