import t from 'tap'
import { ALL_KEYS, EMPTY, groupId, incarnation, pointRange, utf8 } from '@kvorum/model'
import {
  applyPrepare,
  askDrain,
  askResolve,
  askRevisions,
  commitProposed,
  electLeader,
  leaderRoundStarts,
  leaderRoundSucceeds,
  losePatience,
  NO_TRANSACTIONS,
  openLeader,
  prepareAfter,
  queueWrite,
  retire,
  revisionApplied,
  settleDrains,
  settleResolves,
  splitApplied,
  splitProposed,
  takeBlock,
  writeMoved,
  writeRefused,
  type LeaderRevisions,
} from '@kvorum/placement'

const on = (key: string) => [pointRange(utf8(key))]
const leaderAt = (floor: number): LeaderRevisions => openLeader(electLeader(4), floor)
const proven = (leader: LeaderRevisions): LeaderRevisions =>
  leaderRoundSucceeds(leaderRoundStarts(leader, 1), 1)

/** Write `write` of `key` arrives and asks. */
const asking = (leader: LeaderRevisions, write: number, key: string): LeaderRevisions =>
  askRevisions(queueWrite(leader, { write, ranges: on(key) }), NO_TRANSACTIONS).leader

const given = (leader: LeaderRevisions, ask: number, first: number): LeaderRevisions =>
  takeBlock(leader, { term: 4, ask, first, count: 1 }).leader

const resolving = (leader: LeaderRevisions, revision: number, key?: string): LeaderRevisions =>
  proven(
    askResolve(leader, {
      id: revision,
      revision,
      ranges: key === undefined ? [ALL_KEYS] : on(key),
      patient: false,
    }),
  )

const id = { coordinator: incarnation(9n), sequence: 1 }
const prepare = {
  id,
  age: { ...id, since: 0 },
  primary: groupId(1),
  participants: [groupId(1)],
  locks: on('t'),
  work: EMPTY,
}
const locked = (after: number) => applyPrepare(NO_TRANSACTIONS, prepare, after, ALL_KEYS).state

t.test('writes get the revisions that were asked for them', async t => {
  const two = queueWrite(queueWrite(leaderAt(3), { write: 1, ranges: on('a') }), {
    write: 2,
    ranges: on('b'),
  })
  const { leader, ask } = askRevisions(two, NO_TRANSACTIONS)
  t.strictSame(ask, { term: 4, ask: 1, count: 2 })
  t.equal(askRevisions(leader, NO_TRANSACTIONS).ask, null, 'nothing is asked ahead')
  const { leader: after, propose } = takeBlock(leader, { term: 4, ask: 1, first: 7, count: 2 })
  t.match(propose, [
    { write: 1, revision: 7 },
    { write: 2, revision: 8 },
  ])
  t.equal(after.floor, 8)
  t.equal(revisionApplied(after, 7).pending.length, 1)
  t.equal(
    askRevisions(queueWrite(electLeader(4), { write: 1, ranges: [] }), NO_TRANSACTIONS).ask,
    null,
    'not yet open',
  )
})

t.test('a block that is not above the floor is thrown away, and asked for again', async t => {
  const raced = given(asking(asking(leaderAt(0), 1, 'a'), 2, 'a'), 2, 2)
  const { leader, propose } = takeBlock(raced, { term: 4, ask: 1, first: 1, count: 1 })
  t.strictSame(propose, [])
  t.match(askRevisions(leader, NO_TRANSACTIONS).ask, { ask: 3, count: 1 })
  const committed = commitProposed(asking(leaderAt(0), 1, 'a'), 2)
  t.strictSame(
    takeBlock(committed, { term: 4, ask: 1, first: 1, count: 1 }).propose,
    [],
    'nor below a transaction',
  )
})

t.test('an answer of another term is dropped, though its number fits', async t => {
  const again = asking(leaderAt(0), 1, 'a')
  t.equal(takeBlock(again, { term: 2, ask: 1, first: 1, count: 1 }).leader, again)
  t.strictSame(
    retire(queueWrite(again, { write: 2, ranges: [] })).map(({ write }) => write),
    [1, 2],
    'what was not proposed goes back',
  )
})

t.test('a refused entry loses its revision; one whose keys have moved goes back', async t => {
  const pending = given(asking(leaderAt(0), 1, 't'), 1, 1)
  const refused = writeRefused(pending, 1)
  t.match(refused, { pending: [], queued: [{ write: 1 }] })
  t.equal(askRevisions(refused, locked(0)).ask, null, 'it waits for the locks')
  t.match(askRevisions(refused, NO_TRANSACTIONS).ask, { ask: 2 })
  t.match(writeMoved(pending, 1), { pending: [], queued: [] })
  t.equal(writeRefused(pending, 5), pending)
})

t.test('a promise waits for its proof, the no-op, stamped writes and prepared transactions', async t => {
  const settle = (leader: LeaderRevisions, transactions = NO_TRANSACTIONS) =>
    settleResolves(leader, transactions, 12).resolved
  const yes = [{ id: 5, revision: 5, index: 12 }]
  t.strictSame(settle(resolving(leaderAt(0), 5)), yes)
  const unproven = askResolve(leaderAt(0), { id: 5, revision: 5, ranges: [ALL_KEYS], patient: false })
  t.strictSame(settle(unproven), [])
  const late = leaderRoundSucceeds(
    askResolve(leaderRoundStarts(leaderAt(0), 1), { ...unproven.resolves[0]!, patient: false }),
    1,
  )
  t.strictSame(settle(late), [], 'a round that began earlier proves nothing')
  t.strictSame(settle(resolving(electLeader(4), 5)), [])
  t.strictSame(settle(resolving(splitProposed(leaderAt(0)), 5)), [])
  const split = resolving(splitProposed(leaderAt(0)), 5)
  t.strictSame(settle(splitApplied(split, 4)), yes)
  t.strictSame(settle(splitApplied(split, 3)), [], 'the entry of an earlier term')
  t.strictSame(settle(splitApplied(splitProposed(split), 4)), [], 'a copy, and another split behind it')
  t.throws(() => splitApplied(leaderAt(0), 4), /not proposed/)
  const pending = given(asking(leaderAt(0), 1, 'a'), 1, 4)
  t.strictSame(settle(resolving(pending, 5)), [])
  t.strictSame(settle(resolving(pending, 5, 'b')), yes, 'other keys')
  t.strictSame(settle(revisionApplied(resolving(pending, 5), 4)), yes)
  t.strictSame(settle(resolving(leaderAt(0), 5), locked(4)), [], 'it may commit at 5')
  t.strictSame(settle(resolving(leaderAt(0), 5), locked(5)), yes, 'it commits above 5')
})

t.test('a promise raises the floor over revisions that are on their way', async t => {
  const patient = askResolve(asking(leaderAt(0), 1, 'a'), {
    id: 5,
    revision: 5,
    ranges: [ALL_KEYS],
    patient: true,
  })
  t.strictSame(settleResolves(proven(patient), NO_TRANSACTIONS, 1).resolved, [], 'waits for the write')
  const first = askResolve(leaderAt(0), { id: 5, revision: 5, ranges: [ALL_KEYS], patient: true })
  const later = settleResolves(proven(asking(first, 1, 'a')), NO_TRANSACTIONS, 1)
  t.equal(later.resolved.length, 1, 'what asks after it gets more than that')
  const { leader, resolved } = settleResolves(proven(losePatience(patient, 5)), NO_TRANSACTIONS, 1)
  t.equal(resolved.length, 1)
  t.equal(prepareAfter(leader), 5)
  t.strictSame(takeBlock(leader, { term: 4, ask: 1, first: 4, count: 1 }).propose, [], 'and then not for it')
})

t.test('a drain read waits for writes that asked before it, and for locks', async t => {
  const drain = (leader: LeaderRevisions, key = 'a', seen = 0): LeaderRevisions =>
    proven(askDrain(leader, { id: 1, ranges: on(key), seen }))
  const settle = (leader: LeaderRevisions, transactions = NO_TRANSACTIONS) =>
    settleDrains(leader, transactions, { index: 12, revision: 3 })
  t.strictSame(settle(drain(leaderAt(3))).drained, [{ id: 1, revision: 3, index: 12 }])
  t.match(settle(drain(leaderAt(3), 'a', 8)), { leader: { floor: 8 }, drained: [{ revision: 8 }] })
  const before = drain(asking(leaderAt(3), 1, 'a'))
  t.strictSame(settle(before).drained, [])
  t.strictSame(settle(given(before, 1, 9)).drained, [], 'nor while it is not applied')
  t.equal(settle(revisionApplied(given(before, 1, 9), 9)).drained.length, 1)
  t.equal(settle(asking(drain(leaderAt(3)), 1, 'a')).drained.length, 1, 'what asks later is not waited for')
  t.equal(settle(drain(asking(leaderAt(3), 1, 'a'), 'b')).drained.length, 1, 'nor are other keys')
  t.strictSame(settle(drain(leaderAt(3), 't'), locked(0)).drained, [])
  t.strictSame(
    settle(askDrain(leaderAt(3), { id: 1, ranges: on('a'), seen: 0 })).drained,
    [],
    'without proof',
  )
})
