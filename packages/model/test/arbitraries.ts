import fc from 'fast-check'
import type { Test } from 'tap'
import { groupId, incarnation, leaseId, nodeId, NO_LEASE, ok, refuse, sessionId } from '@kvorum/model'
import type {
  AlarmKind,
  Compare,
  DeleteOp,
  ErrorCode,
  KeptReply,
  KeyRange,
  KeyValue,
  PlacedEvents,
  Op,
  OpReply,
  PutOp,
  RangeOp,
  Reply,
  ShardCommand,
  TransactionOutcome,
  TransactionVote,
} from '@kvorum/model'

/** Few distinct bytes, the extreme ones among them, so that keys meet, nest and end in 0x00 and 0xff. */
export const key: fc.Arbitrary<Uint8Array> = fc
  .array(fc.constantFrom(0x00, 0x01, 0x61, 0x62, 0xfe, 0xff), { maxLength: 5 })
  .map(bytes => Uint8Array.from(bytes))

export const value = fc.uint8Array({ maxLength: 300 })

export const range: fc.Arbitrary<KeyRange> = fc.record({ start: key, end: fc.option(key) })

const revision = fc.oneof(fc.constant(0), fc.nat(), fc.maxSafeNat())
const signed = fc.oneof(revision, fc.maxSafeInteger())
const lease = fc.oneof(fc.constant(NO_LEASE), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(leaseId))

const put: fc.Arbitrary<PutOp> = fc.record({
  kind: fc.constant('put'),
  key,
  value,
  lease,
  prevKv: fc.boolean(),
  ignoreValue: fc.boolean(),
  ignoreLease: fc.boolean(),
})

const remove: fc.Arbitrary<DeleteOp> = fc.record({ kind: fc.constant('delete'), range, prevKv: fc.boolean() })

const read: fc.Arbitrary<RangeOp> = fc.record({
  kind: fc.constant('range'),
  range,
  limit: revision,
  revision,
  order: fc.constantFrom('none', 'ascend', 'descend'),
  target: fc.constantFrom('key', 'version', 'create', 'mod', 'value'),
  keysOnly: fc.boolean(),
  countOnly: fc.boolean(),
  minMod: signed,
  maxMod: signed,
  minCreate: signed,
  maxCreate: signed,
})

const result = fc.constantFrom('equal', 'greater', 'less', 'notEqual')
const compare: fc.Arbitrary<Compare> = fc.oneof(
  fc.record({ range, result, target: fc.constantFrom('version', 'create', 'mod'), operand: signed }),
  fc.record({ range, result, target: fc.constant('lease'), operand: lease }),
  fc.record({ range, result, target: fc.constant('value'), operand: value }),
)

export const op: fc.Arbitrary<Op> = fc.letrec<{ op: Op }>(tie => ({
  op: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    put,
    remove,
    read,
    fc.record({
      kind: fc.constant('txn'),
      compares: fc.array(compare, { maxLength: 3 }),
      success: fc.array(tie('op'), { maxLength: 3 }),
      failure: fc.array(tie('op'), { maxLength: 3 }),
    }),
  ),
})).op

const coordinator = fc.bigInt(0n, 2n ** 64n - 1n).map(incarnation)
const transactionId = fc.record({ coordinator, sequence: revision })
const group = revision.map(groupId)
const outcome: fc.Arbitrary<TransactionOutcome> = fc.oneof(
  fc.constant({ kind: 'abort' as const }),
  fc.record({
    kind: fc.constant('commit' as const),
    revision,
    branches: fc.array(fc.boolean(), { maxLength: 4 }),
  }),
)

const keptReply: fc.Arbitrary<KeptReply> = fc.record({
  revision,
  result: fc.oneof(
    value.map(ok),
    fc
      .record({
        code: fc.constantFrom<ErrorCode>('keyNotFound', 'compacted'),
        outcome: fc.constantFrom('notApplied', 'applied', 'unknown'),
        compactRevision: fc.integer({ min: 1 }),
      })
      .map(({ code, ...facts }) => refuse(code, facts)),
  ),
})

export const command: fc.Arbitrary<ShardCommand> = fc.oneof(
  fc.record({ kind: fc.constant('write'), op }),
  fc.record({ kind: fc.constant('compact'), revision }),
  fc.record({ kind: fc.constant('leaseGrant'), id: lease, ttl: fc.nat() }),
  fc.record({ kind: fc.constant('leaseRevoke'), id: lease }),
  fc.record({ kind: fc.constant('sessionOpen'), lease }),
  fc.record({
    kind: fc.constant('authFence'),
    fence: fc.record({ revision: fc.maxSafeNat(), enabled: fc.boolean() }),
  }),
  fc.record({ kind: fc.constant('publish'), index: fc.nat() }),
  fc.record({
    kind: fc.constant('guard'),
    guard: fc.record({ version: revision, quota: revision, noSpace: fc.boolean(), corrupt: fc.boolean() }),
  }),
  fc.record({ kind: fc.constant('reclaim'), revision, bytes: revision }),
  fc.record({ kind: fc.constant('endDense') }),
  fc.record({
    kind: fc.constant('split'),
    at: key,
    right: fc.integer({ min: 1, max: 2 ** 31 }).map(groupId),
    epoch: revision,
  }),
  fc.record({
    kind: fc.constant('prepare'),
    after: revision,
    endedBelow: revision,
    prepare: fc.record({
      id: transactionId,
      age: fc.record({ since: revision, coordinator, sequence: revision }),
      primary: group,
      participants: fc.array(group, { maxLength: 3 }),
      locks: fc.array(range, { maxLength: 3 }),
      work: value,
    }),
  }),
  fc.record({ kind: fc.constantFrom('decide', 'end'), id: transactionId, outcome }),
  fc.record({ kind: fc.constant('decide'), id: transactionId, outcome, answer: keptReply }),
  fc.record({ kind: fc.constant('forget'), id: transactionId }),
)

const keyValue: fc.Arbitrary<KeyValue> = fc.record({
  key,
  create: revision,
  mod: revision,
  version: revision,
  value,
  lease,
})

const opReply: fc.Arbitrary<OpReply> = fc.letrec<{ reply: OpReply }>(tie => ({
  reply: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({ kind: fc.constant('put'), prev: fc.option(keyValue) }),
    fc.record({
      kind: fc.constant('delete'),
      deleted: revision,
      prevs: fc.array(keyValue, { maxLength: 3 }),
    }),
    fc.record({
      kind: fc.constant('range'),
      kvs: fc.array(keyValue, { maxLength: 3 }),
      more: fc.boolean(),
      count: revision,
    }),
    fc.record({
      kind: fc.constant('txn'),
      succeeded: fc.boolean(),
      revision,
      before: revision,
      responses: fc.array(tie('reply'), { maxLength: 3 }),
    }),
  ),
})).reply

const vote: fc.Arbitrary<TransactionVote> = fc.oneof(
  fc.record({ kind: fc.constantFrom('die', 'over', 'moved') }),
  fc.record({ kind: fc.constant('answered'), reply: keptReply }),
  fc.record({
    kind: fc.constant('prepared' as const),
    after: revision,
    index: revision,
    judgement: fc.record({
      compares: fc.array(fc.constantFrom('none', 'holds', 'fails'), { maxLength: 4 }),
      puts: fc.array(fc.option(fc.record({ keyExists: fc.boolean(), leaseExists: fc.boolean() })), {
        maxLength: 4,
      }),
      compactRevision: revision,
    }),
  }),
)

const placedEvents: fc.Arbitrary<PlacedEvents> = fc
  .record({
    revision,
    placed: fc.array(
      fc.record({
        position: revision,
        event: fc.record({
          kind: fc.constantFrom<'put' | 'delete'>('put', 'delete'),
          kv: keyValue,
          prev: fc.option(keyValue),
        }),
      }),
      { maxLength: 3 },
    ),
  })
  .map(({ revision: at, placed }) => ({
    revision: at,
    events: placed.map(({ event }) => event),
    positions: placed.map(({ position }) => position),
  }))

export const reply: fc.Arbitrary<Reply> = fc.oneof(
  fc.record({ kind: fc.constant('op'), op: opReply }),
  fc.record({ kind: fc.constant('done') }),
  fc.record({ kind: fc.constant('block'), first: revision, count: revision }),
  fc.record({ kind: fc.constant('resolved'), index: revision }),
  fc.record({
    kind: fc.constant('followed'),
    index: revision,
    compactRevision: revision,
    fence: fc.record({ revision, enabled: fc.boolean() }),
  }),
  fc.record({
    kind: fc.constant('history'),
    events: fc.array(placedEvents, { maxLength: 3 }),
    next: revision,
  }),
  fc.record({
    kind: fc.constant('rows'),
    compactRevision: revision,
    values: fc.array(fc.option(value), { maxLength: 3 }),
    pages: fc.array(
      fc.record({
        rows: fc.array(fc.record({ key, value }), { maxLength: 2 }),
        next: fc.option(key),
      }),
      { maxLength: 2 },
    ),
  }),
  fc.record({ kind: fc.constant('voted'), vote }),
  fc.record({
    kind: fc.constant('ended'),
    outcome: fc.option(outcome),
    heirs: fc.array(group, { maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('part'), answers: fc.array(fc.option(opReply), { maxLength: 3 }) }),
  fc.record({ kind: fc.constant('leaseGranted'), id: lease, ttl: fc.nat() }),
  fc.record({ kind: fc.constant('leaseRenewed'), id: lease, ttl: fc.nat() }),
  fc.record({
    kind: fc.constant('leaseTimeToLive'),
    id: lease,
    remaining: fc.integer({ min: -1 }),
    granted: fc.nat(),
    keys: fc.array(key, { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('leases'), ids: fc.array(lease, { maxLength: 4 }) }),
  fc.record({ kind: fc.constant('splitBegun'), right: fc.integer({ min: 1, max: 2 ** 31 }).map(groupId) }),
  fc.record({ kind: fc.constant('sessionOpened'), id: fc.bigInt(0n, 2n ** 64n - 1n).map(sessionId) }),
  fc.record({ kind: fc.constant('tokenIssued'), index: fc.maxSafeNat() }),
  fc.record({
    kind: fc.constant('alarms'),
    alarms: fc.array(
      fc.record({
        member: fc.bigInt(0n, 2n ** 64n - 1n).map(nodeId),
        alarm: fc.constantFrom<AlarmKind>('noSpace', 'corrupt'),
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({
    kind: fc.constant('members'),
    member: fc.bigInt(0n, 2n ** 64n - 1n).map(nodeId),
    members: fc.array(
      fc.record({
        id: fc.bigInt(0n, 2n ** 64n - 1n).map(nodeId),
        name: fc.string(),
        learner: fc.boolean(),
        peerUrls: fc.array(fc.string(), { maxLength: 2 }),
        clientUrls: fc.array(fc.string(), { maxLength: 2 }),
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({
    kind: fc.constant('hashed'),
    hash: fc.nat(),
    revision,
    compactRevision: revision,
    applied: revision,
    digest: fc.nat(),
    epoch: revision,
  }),
)

/**
 * A value in a form that can be compared whatever class its bytes have: byte strings as hex, bigints as text.
 */
export const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`
  if (typeof value === 'bigint') return `${value}n`
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
  return value
}

/** Runs a property whose body asserts by throwing; the run counts as one assertion of `t`. */
export function check<Values>(t: Test, property: fc.IProperty<Values>, runs = 1000): void {
  fc.assert(property, { numRuns: runs })
  t.pass(`${runs} runs`)
}
