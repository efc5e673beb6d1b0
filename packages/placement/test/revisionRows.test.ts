import fc from 'fast-check'
import t from 'tap'
import { groupId, incarnation, MalformedError, pointRange, toHex, utf8 } from '@kvorum/model'
import {
  decodeRevisions,
  DENSE,
  encodeRevisions,
  NO_TRANSACTIONS,
  PLAIN_REVISIONS,
  type ShardRevisions,
} from '@kvorum/placement'

const position = fc.oneof(fc.constantFrom(0, 127, 128, 2 ** 32), fc.maxSafeNat())
const coordinator = fc.bigInt(0n, 2n ** 64n - 1n).map(incarnation)
const id = fc.record({ coordinator, sequence: position })
const group = position.map(groupId)
const groups = fc.array(group, { maxLength: 3 })
const range = fc.record({
  start: fc.uint8Array({ maxLength: 4 }),
  end: fc.option(fc.uint8Array({ maxLength: 4 })),
})
const revisions: fc.Arbitrary<ShardRevisions> = fc.record({
  mode: fc.oneof(
    fc.constant(DENSE),
    fc.record({ kind: fc.constant('oracle' as const), denseUpTo: position }),
  ),
  transactions: fc.record({
    prepared: fc.array(
      fc.record({
        id,
        age: fc.record({ since: position, coordinator, sequence: position }),
        primary: group,
        participants: groups,
        locks: fc.array(range, { maxLength: 3 }),
        work: fc.uint8Array({ maxLength: 4 }),
        after: position,
        heirs: groups,
      }),
      { maxLength: 3 },
    ),
    records: fc.array(
      fc.record({
        id,
        outcome: fc.oneof(
          fc.constant({ kind: 'abort' as const }),
          fc.record({
            kind: fc.constant('commit' as const),
            revision: position,
            branches: fc.array(fc.boolean(), { maxLength: 3 }),
          }),
        ),
        participants: groups,
        heirs: groups,
      }),
      { maxLength: 3 },
    ),
    ended: fc.array(
      fc.record({
        coordinator,
        below: position,
        ended: fc.array(fc.record({ sequence: position, heirs: groups }), { maxLength: 3 }),
      }),
      { maxLength: 3 },
    ),
  }),
})

const plain = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === 'bigint') return `${each}n`
    const { type, data } = (each ?? {}) as { type?: unknown; data?: number[] }
    if (type === 'Buffer' && data !== undefined) return toHex(Uint8Array.from(data))
    return each instanceof Uint8Array ? toHex(each) : each
  })

t.test('what a shard remembers of revisions comes back as it was', async t => {
  fc.assert(
    fc.property(revisions, one => plain(decodeRevisions(encodeRevisions(one))) === plain(one)),
    { numRuns: 300 },
  )
  t.equal(encodeRevisions(PLAIN_REVISIONS).length, 0, 'a single shard writes nothing')
  t.equal(decodeRevisions(new Uint8Array(0)), PLAIN_REVISIONS)
})

t.test('bytes of format 1', async t => {
  const prepared = {
    id: { coordinator: incarnation(1n), sequence: 5 },
    age: { since: 300, coordinator: incarnation(2n), sequence: 4 },
    primary: groupId(7),
    participants: [groupId(7), groupId(9)],
    work: utf8('w'),
    locks: [pointRange(utf8('k'))],
    after: 9,
    heirs: [groupId(8)],
  }
  const one: ShardRevisions = {
    mode: { kind: 'oracle', denseUpTo: 300 },
    transactions: { ...NO_TRANSACTIONS, prepared: [prepared] },
  }
  t.equal(
    toHex(encodeRevisions(one)),
    '0101ac0201000000000000000105ac020000000000000002040702070901016b01026b0001770901080000',
  )
})

t.test('hostile bytes', async t => {
  t.throws(() => decodeRevisions(Uint8Array.of(2)), MalformedError)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), bytes => {
      try {
        decodeRevisions(bytes)
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error
      }
    }),
    { numRuns: 300 },
  )
})
