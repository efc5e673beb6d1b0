import t from 'tap'
import { incarnation, sessionId, type TransactionId } from '@kvorum/model'
import { createOutcomes, TransactionEnds } from '#src/invariants/transactionEnds.js'

const ID: TransactionId = { coordinator: incarnation(5n), sequence: 1 }
const COMMIT = { kind: 'commit', revision: 7, branches: [] } as const
const ABORT = { kind: 'abort' } as const

t.test('locks go with one outcome in all groups', async t => {
  const outcomes = createOutcomes()
  const [one, other, third] = [1, 2, 3].map(() => new TransactionEnds(outcomes))
  one!.ended(ID, COMMIT, true)
  other!.ended(ID, COMMIT, true)
  // Who holds none is told what is left to be told.
  third!.ended(ID, ABORT, false)
  t.throws(() => third!.ended(ID, ABORT, true), /I46: .* here abort, elsewhere commit at 7/)
  t.throws(
    () => third!.ended(ID, { ...COMMIT, revision: 8 }, true),
    /here commit at 8, elsewhere commit at 7/,
  )
})

t.test('what has ended holds no locks again, nor in what is split off', async t => {
  const left = new TransactionEnds(createOutcomes())
  left.prepared(ID)
  left.ended(ID, ABORT, true)
  const right = left.split([])
  left.prepared({ ...ID, sequence: 2 })
  t.throws(() => left.prepared(ID), /I46: .* after its end/)
  t.throws(() => right.prepared(ID), /I46: .* after its end/)
  right.ended({ ...ID, sequence: 2 }, ABORT, true)
  left.prepared({ ...ID, sequence: 2 })
})

t.test('one write of a session is not under way twice in its home', async t => {
  const ends = new TransactionEnds(createOutcomes())
  const write = { session: sessionId(3n), sequence: 1, acknowledgedBelow: 1 }
  ends.underWay([write, { ...write, sequence: 2 }])
  t.throws(() => ends.underWay([write, { ...write, acknowledgedBelow: 2 }]), /I41: writes 3\/1 3\/1/)
})

t.test('a record is forgotten when nobody holds locks any more, heirs included', async t => {
  const outcomes = createOutcomes()
  const [primary, left] = [1, 2].map(() => new TransactionEnds(outcomes))
  for (const ends of [primary!, left!]) ends.prepared(ID)
  left!.prepared(ID)
  const right = left!.split([ID])
  for (const ends of [primary!, left!]) ends.ended(ID, COMMIT, true)
  t.throws(() => primary!.forgotten(ID), /I46: .* forgotten with locks, holders 1/)
  right.ended(ID, COMMIT, true)
  primary!.forgotten(ID)
})
