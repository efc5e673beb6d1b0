import fc, { type Arbitrary } from 'fast-check'
import {
  clusterId,
  groupId,
  incarnation,
  leaseId,
  LIMITS,
  nodeId,
  replicaId,
  type AlarmKind,
  type BootIdentity,
  type ClientRequest,
  type ClientResult,
  type Entry,
  type ErrorCode,
  type GroupConfig,
  type KeyRange,
  type RangeOp,
} from '@kvorum/model'
import type { Message, MessageKind } from '@kvorum/raft'
import type { Parcel } from '@kvorum/peer'

/** Positions, with the borders where an integer changes its encoding. */
export const position = fc.oneof(
  fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1),
  fc.nat(),
  fc.maxSafeNat(),
  fc.constant(Number.MAX_SAFE_INTEGER),
)
const unsigned = fc.oneof(
  fc.constantFrom(0n, 1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n),
  fc.bigInt(0n, 2n ** 64n - 1n),
)
const signed = fc.oneof(
  fc.constantFrom(0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
)
const bytes = fc.oneof(
  fc.constant(new Uint8Array(0)),
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 250, maxLength: 300 }),
)
const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const flag = fc.boolean()
const group = position.map(groupId)
const replica = position.map(replicaId)
const node = unsigned.map(nodeId)
const lease = signed.map(leaseId)
const range: Arbitrary<KeyRange> = fc.record({ start: bytes, end: fc.option(bytes) })

const ids = fc.array(replica, { maxLength: 4 })
const config: Arbitrary<GroupConfig> = fc.record({
  voters: ids,
  outgoing: ids,
  learners: ids,
  learnersNext: ids,
  replicas: fc.array(fc.record({ id: replica, node }), { maxLength: 5 }),
})

const entry: Arbitrary<Omit<Entry, 'index'>> = fc.record({
  term: position,
  kind: fc.constantFrom('normal', 'noop', 'config'),
  time: position,
  data: bytes,
})
/** Entries follow their predecessor, and the last of them is a position too. */
const prevIndex = position.map(index => Math.min(index, Number.MAX_SAFE_INTEGER - 10))
const entriesAfter = (prev: number, entries: readonly Omit<Entry, 'index'>[]): Entry[] =>
  entries.map((each, i) => ({ ...each, index: prev + 1 + i }))

const kind = <Kind extends string>(name: Kind): Arbitrary<Kind> => fc.constant(name)
const head = { from: replica, to: replica, term: position }

/** One arbitrary for every kind: a kind without one does not compile. */
export const MESSAGES: { readonly [Kind in MessageKind]: Arbitrary<Extract<Message, { kind: Kind }>> } = {
  preVote: fc.record({ ...head, kind: kind('preVote'), lastIndex: position, lastTerm: position }),
  preVoteReply: fc.record({ ...head, kind: kind('preVoteReply'), granted: flag }),
  vote: fc.record({ ...head, kind: kind('vote'), lastIndex: position, lastTerm: position, transfer: flag }),
  voteReply: fc.record({ ...head, kind: kind('voteReply'), granted: flag }),
  append: fc
    .record({
      ...head,
      kind: kind('append'),
      prevIndex,
      prevTerm: position,
      commit: position,
      entries: fc.array(entry, { maxLength: 6 }),
    })
    .map(append => ({ ...append, entries: entriesAfter(append.prevIndex, append.entries) })),
  appendReply: fc.oneof(
    fc.record({
      ...head,
      kind: kind('appendReply'),
      prevIndex: position,
      rejected: fc.constant(false),
      match: position,
    }),
    fc.record({
      ...head,
      kind: kind('appendReply'),
      prevIndex: position,
      rejected: fc.constant(true),
      hintIndex: position,
      hintTerm: position,
      needSnapshot: flag,
    }),
  ) as Arbitrary<Extract<Message, { kind: 'appendReply' }>>,
  heartbeat: fc.record({ ...head, kind: kind('heartbeat'), commit: position, round: position }),
  heartbeatReply: fc.record({ ...head, kind: kind('heartbeatReply'), round: position, needSnapshot: flag }),
  snapshot: fc.record({ ...head, kind: kind('snapshot'), index: position, snapshotTerm: position, config }),
  readIndex: fc.record({ ...head, kind: kind('readIndex'), context: position }),
  readIndexReply: fc.record({
    ...head,
    kind: kind('readIndexReply'),
    context: position,
    index: fc.option(position),
  }),
  timeoutNow: fc.record({ ...head, kind: kind('timeoutNow') }),
}

const readRange: Arbitrary<RangeOp> = fc.record({
  kind: kind('range'),
  range,
  limit: position,
  revision: position,
  order: fc.constantFrom('none', 'ascend', 'descend'),
  target: fc.constantFrom('key', 'version', 'create', 'mod', 'value'),
  keysOnly: flag,
  countOnly: flag,
  minMod: position,
  maxMod: position,
  minCreate: position,
  maxCreate: position,
})

export const REQUESTS: {
  readonly [Kind in ClientRequest['kind']]: Arbitrary<Extract<ClientRequest, { kind: Kind }>>
} = {
  write: fc.record({ kind: kind('write'), ranges: fc.array(range, { maxLength: 3 }), command: bytes }),
  read: fc.record(
    {
      kind: kind('read'),
      op: fc.oneof(
        readRange,
        fc.record({
          kind: kind('txn'),
          compares: fc.array(
            fc.record({
              range,
              result: fc.constantFrom('equal', 'greater', 'less', 'notEqual'),
              target: fc.constant('lease' as const),
              operand: lease,
            }),
            { maxLength: 2 },
          ),
          success: fc.array(readRange, { maxLength: 2 }),
          failure: fc.array(readRange, { maxLength: 2 }),
        }),
      ),
      serializable: flag,
      pageBytes: position,
      at: fc.record({ revision: position, index: position }),
    },
    { requiredKeys: ['kind', 'op', 'serializable'] },
  ),
  compact: fc.record(
    { kind: kind('compact'), revision: position, physical: flag, resolved: fc.constant(true) },
    { requiredKeys: ['kind', 'revision', 'physical'] },
  ),
  leaseGrant: fc.record({ kind: kind('leaseGrant'), id: lease, ttl: position }),
  leaseRevoke: fc.record({ kind: kind('leaseRevoke'), id: lease }),
  sessionOpen: fc.record({ kind: kind('sessionOpen'), lease }),
  leaseKeepAlive: fc.record({ kind: kind('leaseKeepAlive'), id: lease }),
  leaseTimeToLive: fc.record(
    {
      kind: kind('leaseTimeToLive'),
      id: lease,
      keys: flag,
      part: fc.record({ group: position.map(groupId), ranges: fc.array(range, { maxLength: 3 }) }),
    },
    { requiredKeys: ['kind', 'id', 'keys'] },
  ),
  leaseList: fc.record({ kind: kind('leaseList') }),
  meta: fc.record({ kind: kind('meta'), command: bytes }),
  barrier: fc.record({
    kind: kind('barrier'),
    authority: fc.record({ fence: position, writable: fc.option(fc.array(range, { maxLength: 2 })) }),
  }),
  authFence: fc.record({
    kind: kind('authFence'),
    group: position.map(groupId),
    fence: fc.record({ revision: position, enabled: flag }),
  }),
  moveLeader: fc.oneof(
    fc.record({ kind: kind('moveLeader'), to: node }),
    fc.record({ kind: kind('moveLeader'), to: node, group }),
  ),
  alarm: fc.record({
    kind: kind('alarm'),
    change: fc.constantFrom<'raise' | 'clear'>('raise', 'clear'),
    member: unsigned.map(nodeId),
    alarm: fc.constantFrom<AlarmKind>('noSpace', 'corrupt'),
  }),
  hashKv: fc.record({ kind: kind('hashKv'), revision: position }),
  oracle: fc.record({
    kind: kind('oracle'),
    ask: fc.oneof(
      fc.record({ kind: fc.constant('alloc' as const), count: fc.integer({ min: 1 }) }),
      fc.record({ kind: fc.constant('current' as const) }),
    ),
  }),
  transaction: fc.record({ kind: kind('transaction'), group: position.map(groupId), command: bytes }),
  transactionRead: fc.record({
    kind: kind('transactionRead'),
    group: position.map(groupId),
    index: position,
    revision: position,
    branches: fc.array(flag, { maxLength: 3 }),
    work: bytes,
    ranges: fc.array(range, { maxLength: 3 }),
  }),
  resolve: fc.record({
    kind: kind('resolve'),
    group: position.map(groupId),
    revision: position,
    ranges: fc.array(range, { maxLength: 3 }),
  }),
  follow: fc.record({ kind: kind('follow'), group: position.map(groupId), range, after: position }),
  history: fc.record({
    kind: kind('history'),
    group: position.map(groupId),
    range,
    index: position,
    from: position,
    to: position,
    prev: flag,
    bytesMax: position,
  }),
  rows: fc.record({
    kind: kind('rows'),
    group: position.map(groupId),
    range,
    index: position,
    need: fc.record({
      gets: fc.array(bytes, { maxLength: 2 }),
      scans: fc.array(
        fc.record({
          gte: bytes,
          lt: bytes,
          reverse: fc.constant(false),
          values: flag,
          rowsMax: position,
          bytesMax: position,
        }),
        { maxLength: 2 },
      ),
    }),
  }),
}

const code: Arbitrary<ErrorCode> = fc.constantFrom(
  'emptyKey',
  'compacted',
  'leaseNotFound',
  'notLeader',
  'noSpace',
  'staleRoute',
  'internal',
)
const result: Arbitrary<ClientResult> = fc.oneof(
  fc.record({
    ok: fc.constant(true as const),
    value: fc.record({ header: fc.record({ revision: position, term: position }), body: bytes }),
  }),
  fc.record({
    ok: fc.constant(false as const),
    error: fc.record(
      {
        code,
        outcome: fc.constantFrom('notApplied', 'applied', 'unknown'),
        detail: text,
        compactRevision: position,
        route: fc.record({ group, range, epoch: position }),
      },
      { requiredKeys: ['code', 'outcome'] },
    ),
  }),
)

const identity: Arbitrary<BootIdentity> = fc.record({
  incarnation: unsigned.map(incarnation),
  boot: position,
  nonce: unsigned,
})

export const PARCELS: {
  readonly [Kind in Parcel['kind']]: Arbitrary<Extract<Parcel, { kind: Kind }>>
} = {
  raft: fc.record({
    kind: kind('raft'),
    group,
    message: fc.oneof(...Object.values<Arbitrary<Message>>(MESSAGES)),
  }),
  heartbeats: fc.record({
    kind: kind('heartbeats'),
    beats: fc.array(
      fc.record({
        group,
        message: fc.oneof<Arbitrary<Message>[]>(MESSAGES.heartbeat, MESSAGES.heartbeatReply),
      }),
      { maxLength: 20 },
    ),
  }),
  hello: fc.record({
    kind: kind('hello'),
    cluster: unsigned.map(clusterId),
    node,
    identity,
    peerUrls: fc.array(fc.string({ maxLength: 20 }), { maxLength: LIMITS.peerUrlsSaidMax }),
  }),
  welcome: fc.record({ kind: kind('welcome'), identity }),
  refused: fc.record({
    kind: kind('refused'),
    reason: fc.constantFrom(
      'otherCluster',
      'unknownMember',
      'otherDirectory',
      'olderDirectory',
      'copiedDirectory',
      'removedMember',
    ),
    identity,
  }),
  loads: fc.record({
    kind: kind('loads'),
    loads: fc.array(
      fc.record({
        group: position.map(groupId),
        epoch: position,
        bytes: position,
        bytesMiddle: fc.option(bytes),
        requests: position,
        requestsMiddle: fc.option(bytes),
      }),
      { maxLength: 3 },
    ),
  }),
  roster: fc.record({
    kind: kind('roster'),
    roster: fc.record({
      index: position,
      members: fc.array(
        fc.record({
          node,
          peerUrls: fc.array(text, { maxLength: 3 }),
          incarnation: unsigned.map(incarnation),
          founder: flag,
        }),
        { maxLength: 3 },
      ),
      removed: fc.array(node, { maxLength: 3 }),
    }),
  }),
  request: fc.record({
    kind: kind('request'),
    id: position,
    group,
    request: fc.oneof(...Object.values<Arbitrary<ClientRequest>>(REQUESTS)),
  }),
  reply: fc.record({ kind: kind('reply'), id: position, result }),
  snapshotPull: fc.record({
    kind: kind('snapshotPull'),
    group,
    pull: position,
    stream: position,
    chunk: position,
  }),
  snapshotChunk: fc.record({
    kind: kind('snapshotChunk'),
    pull: position,
    stream: position,
    chunk: position,
    meta: fc.option(fc.record({ group, index: position, term: position, config })),
    rows: fc.array(fc.record({ key: bytes, value: bytes }), { maxLength: 4 }),
    done: flag,
  }),
}

export const parcel: Arbitrary<Parcel> = fc.oneof(...Object.values<Arbitrary<Parcel>>(PARCELS))
export const parcels = fc.array(parcel, { maxLength: 5 })

/** A value in a form that can be compared whatever class its bytes have. */
export const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`
  if (typeof value === 'bigint') return `${value}n`
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
  return value
}
