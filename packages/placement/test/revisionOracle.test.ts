import t from 'tap'
import {
  electOracle,
  openOracle,
  oracleAsked,
  oracleCeilingApplied,
  oracleRoundStarts,
  oracleRoundSucceeds,
  settleOracle,
  type Oracle,
  type OracleRequest,
} from '@kvorum/placement'

const alloc = (from: string, count = 1): OracleRequest<string> => ({ kind: 'alloc', from, count })
const current = (from: string): OracleRequest<string> => ({ kind: 'current', from })

const oracleAt = (term: number, ceiling: number): Oracle<string> =>
  openOracle(electOracle<string>(term, ceiling, 3))
const proven = (oracle: Oracle<string>, ...requests: readonly OracleRequest<string>[]): Oracle<string> =>
  oracleRoundSucceeds(oracleRoundStarts(requests.reduce(oracleAsked, oracle), 7), 7)

t.test(
  'it hands out what lies below the ceiling, each number once, in the order of the questions',
  async t => {
    const start = oracleCeilingApplied(oracleAt(1, 10), 20, 1)
    const { oracle, answers, raiseTo } = settleOracle(
      proven(start, current('r1'), alloc('w1', 2), current('r2'), alloc('w2')),
    )
    t.strictSame(answers, [
      { kind: 'current', to: 'r1', revision: 10 },
      { kind: 'block', to: 'w1', first: 11, count: 2 },
      { kind: 'current', to: 'r2', revision: 12 },
      { kind: 'block', to: 'w2', first: 13, count: 1 },
    ])
    t.equal(raiseTo, null)
    t.strictSame(settleOracle(oracle).answers, [], 'and forgets the questions')
  },
)

t.test('an answer waits for a round that began after the question', async t => {
  const early = oracleRoundStarts(oracleAsked(oracleAt(1, 10), current('early')), 1)
  const late = oracleAsked(early, current('late'))
  t.strictSame(settleOracle(late).answers, [])
  t.strictSame(settleOracle(oracleRoundSucceeds(late, 2)).answers, [], 'another round proves nothing')
  const { oracle, answers } = settleOracle(oracleRoundSucceeds(late, 1))
  t.strictSame(answers, [{ kind: 'current', to: 'early', revision: 10 }])
  t.equal(oracle.waiting.length, 1)
})

t.test('above the ceiling it waits until a higher one is committed, and proposes one at a time', async t => {
  const first = settleOracle(proven(oracleAt(1, 10), alloc('w1')))
  t.match(first, { answers: [], raiseTo: 14 })
  t.equal(settleOracle(proven(first.oracle, alloc('w2'))).raiseTo, null)
  const raised = settleOracle(oracleCeilingApplied(first.oracle, 14, 1))
  t.strictSame(raised.answers, [{ kind: 'block', to: 'w1', first: 11, count: 1 }])
  t.equal(oracleCeilingApplied(raised.oracle, 5, 1).ceiling, 14, 'a ceiling never falls')
})

t.test('a new oracle starts above everything its predecessors could hand out, and not before', async t => {
  const elected = electOracle<string>(2, 10, 3)
  t.strictSame(
    settleOracle(proven(elected, current('r'))).answers,
    [],
    'closed until an entry of its term is applied',
  )
  const open = openOracle(oracleCeilingApplied(proven(elected, current('r')), 30, 1))
  t.strictSame(settleOracle(open).answers, [{ kind: 'current', to: 'r', revision: 30 }])
  t.equal(openOracle(electOracle<string>(1, null, 3)).handedOut, null, 'closed in dense mode')
})

t.test(
  'a deposed oracle with a proven question does not serve below the ceiling of its successor',
  async t => {
    const waits = settleOracle(proven(oracleAt(1, 10), alloc('w')))
    t.strictSame(waits.answers, [])
    t.match(settleOracle(oracleCeilingApplied(waits.oracle, 20, 2)), { answers: [], raiseTo: null })
  },
)
