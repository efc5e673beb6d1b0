import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import {
  decodeShardCommand,
  LIMITS,
  clusterId,
  leaseId,
  NO_LEASE,
  nodeId,
  utf8,
  type KeyValue,
  type OpReply,
  type Reply,
  type Result,
  type ShardCommand,
  type WatchResponse,
} from '@kvorum/model'
import {
  answerEncoder,
  codec,
  opRanges,
  REQUEST_RPCS,
  rpcNamed,
  toClientRequest,
  toCompare,
  toGroupStatus,
  toHeader,
  toMember,
  toRangeOp,
  toResponse,
  toTxnOp,
  toWatchRequest,
  toWatchResponse,
  type Init,
  type pb,
  type RequestRpc,
} from '@kvorum/protocol'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const [A, B, C] = [utf8('a'), utf8('b'), utf8('c')]
const identity = { cluster: clusterId(2n ** 64n - 3n), member: nodeId(2n ** 63n + 5n) }

/** What a client sends: through bytes, so that defaults are the decoder's. */
function sent<Name extends Parameters<typeof codec>[0]>(name: Name, message: object) {
  const ours = codec(name)
  return ours.decode(ours.encode(message as never))
}
const range = (message: Init<pb.RangeRequest>) => toRangeOp(sent('etcdserverpb.RangeRequest', message))
const txn = (message: Init<pb.TxnRequest>) => toTxnOp(sent('etcdserverpb.TxnRequest', message))
const compare = (message: Init<pb.Compare>) => toCompare(sent('etcdserverpb.Compare', message))
const refusal = (result: Result<unknown>): string => (result.ok ? 'accepted' : result.error.code)
function value<Value>(result: Result<Value>): Value {
  assert(result.ok)
  return result.value
}
const request = (name: RequestRpc, message: object) =>
  toClientRequest(name, sent(rpcNamed(name).request, message) as never)
function command(name: RequestRpc, message: object): ShardCommand {
  const prepared = value(request(name, message))
  assert(prepared.request.kind === 'write')
  return decodeShardCommand(prepared.request.command)
}

t.test('ranges', async t => {
  t.equal(refusal(range({})), 'emptyKey')
  t.equal(hex(value(range({ key: A })).range.end!), '6100')
  t.equal(value(range({ key: A, range_end: Uint8Array.of(0) })).range.end, null)
  t.match(value(range({ key: A, range_end: B, limit: -1, revision: -9 })), { limit: 0, revision: 0 })
  t.equal(refusal(range({ key: A, sort_order: 3 })), 'invalidSortOption')
  t.equal(refusal(range({ key: A, sort_target: 5 })), 'invalidSortOption')
  t.equal(refusal(range({ key: A, sort_target: -1 })), 'invalidSortOption')
  const orders = [0, 1, 2].map(sort_order => value(range({ key: A, sort_order })).order)
  t.strictSame(orders, ['none', 'ascend', 'descend'])
  const targets = [0, 1, 2, 3, 4].map(sort_target => value(range({ key: A, sort_target })).target)
  t.strictSame(targets, ['key', 'version', 'create', 'mod', 'value'])
  t.match(
    value(
      range({
        key: A,
        keys_only: true,
        count_only: true,
        min_mod_revision: 1,
        max_mod_revision: 2,
        min_create_revision: 3,
        max_create_revision: 4,
      }),
    ),
    { keysOnly: true, countOnly: true, minMod: 1, maxMod: 2, minCreate: 3, maxCreate: 4 },
  )
})

t.test('puts and deletes', async t => {
  const put = (message: object): string => refusal(request('etcdserverpb.KV/Put', message))
  t.equal(put({ value: A }), 'emptyKey')
  t.equal(put({ key: A, value: B, ignore_value: true }), 'valueProvided')
  t.equal(put({ key: A, lease: 1n, ignore_lease: true }), 'leaseProvided')
  t.equal(put({ key: A, ignore_value: true, ignore_lease: true }), 'accepted')
  t.equal(refusal(request('etcdserverpb.KV/DeleteRange', {})), 'emptyKey')
  t.match(command('etcdserverpb.KV/Put', { key: A, value: B, lease: -7n, prev_kv: true }), {
    kind: 'write',
    op: { kind: 'put', lease: leaseId(-7n), prevKv: true, ignoreValue: false },
  })
  t.match(command('etcdserverpb.KV/DeleteRange', { key: A, range_end: C, prev_kv: true }), {
    op: { kind: 'delete', range: { start: A, end: C }, prevKv: true },
  })
})

t.test('compares: defaults and enums', async t => {
  t.equal(refusal(compare({})), 'emptyKey')
  t.match(value(compare({ key: A })), { result: 'equal', target: 'version', operand: 0 })
  t.match(value(compare({ key: A, target: 3 })), { target: 'value', operand: { length: 0 } })
  t.match(value(compare({ key: A, target: 4 })), { target: 'lease', operand: 0n })
  t.match(
    value(compare({ key: A, target: 2, version: 9 })),
    { target: 'mod', operand: 0 },
    'for another target',
  )
  t.match(value(compare({ key: A, target: 1, create_revision: 9, result: 1 })), {
    result: 'greater',
    target: 'create',
    operand: 9,
  })
  t.match(value(compare({ key: A, target: 4, lease: 2n ** 60n, range_end: B })), {
    range: { start: A, end: B },
    operand: 2n ** 60n,
  })
  t.strictSame(
    [0, 1, 2, 3].map(result => value(compare({ key: A, result })).result),
    ['equal', 'greater', 'less', 'notEqual'],
  )
  t.equal(refusal(compare({ key: A, result: 4 })), 'malformed')
  t.equal(refusal(compare({ key: A, target: 5 })), 'malformed')
})

function nestedTxn(depth: number): Init<pb.TxnRequest> {
  let message: Init<pb.TxnRequest> = { success: [{ request_put: { key: A } }] }
  for (let i = 1; i < depth; i++) message = { failure: [{ request_txn: message }] }
  return message
}

t.test('transactions', async t => {
  t.equal(refusal(txn({ success: [{}] })), 'keyNotFound')
  t.equal(refusal(txn({ failure: [{ request_put: {} }] })), 'emptyKey')
  t.equal(refusal(txn({ compare: [{}] })), 'emptyKey')
  t.equal(refusal(txn({ success: [{ request_txn: { success: [{ request_range: {} }] } }] })), 'emptyKey')
  t.equal(refusal(txn(nestedTxn(LIMITS.txnDepthMax))), 'accepted')
  t.equal(refusal(txn(nestedTxn(LIMITS.txnDepthMax + 1))), 'tooManyOps')
  t.match(value(txn({ compare: [{ key: A }], success: [{ request_delete_range: { key: B } }] })), {
    kind: 'txn',
    compares: [{ target: 'version' }],
    success: [{ kind: 'delete' }],
    failure: [],
  })
  t.match(command('etcdserverpb.KV/Txn', nestedTxn(LIMITS.txnDepthMax)), { op: { kind: 'txn' } })
})

t.test('which transactions are reads, and which may be stale', async t => {
  const prepared = (message: Init<pb.TxnRequest>) => value(request('etcdserverpb.KV/Txn', message)).request
  const stale = { request_range: { key: A, serializable: true } }
  const fresh = { request_range: { key: A } }
  t.match(prepared({ success: [stale], failure: [stale] }), { kind: 'read', serializable: true })
  t.match(prepared({ success: [stale], failure: [fresh] }), { kind: 'read', serializable: false })
  t.match(prepared({ success: [stale, { request_txn: { success: [fresh] } }] }), { serializable: false })
  t.match(prepared({ success: [{ request_txn: { success: [stale] } }] }), { serializable: true })
  t.match(prepared({ compare: [{ key: A }] }), { kind: 'read', serializable: false })
  t.match(prepared({ success: [fresh], failure: [{ request_put: { key: A } }] }), { kind: 'write' })
})

t.test('the ranges of a request are all it may touch', async t => {
  const op = value(
    txn({
      compare: [{ key: A, range_end: B }],
      success: [{ request_put: { key: B } }],
      failure: [
        { request_txn: { success: [{ request_delete_range: { key: C, range_end: Uint8Array.of(0) } }] } },
      ],
    }),
  )
  const ranges = opRanges(op).map(({ start, end }) => [hex(start), end === null ? null : hex(end)])
  t.strictSame(ranges, [
    ['61', '62'],
    ['62', '6200'],
    ['63', null],
  ])
})

t.test('the other requests', async t => {
  const one = (name: RequestRpc, message: object) => value(request(name, message)).request
  t.strictSame(one('etcdserverpb.KV/Range', { key: A, serializable: true }).kind, 'read')
  t.match(one('etcdserverpb.KV/Compact', { revision: 5, physical: true }), {
    kind: 'compact',
    revision: 5,
    physical: true,
  })
  t.match(one('etcdserverpb.KV/Compact', { revision: -5 }), { revision: 0 })
  t.match(one('etcdserverpb.Lease/LeaseGrant', { TTL: 10, ID: 2n ** 62n }), { ttl: 10, id: 2n ** 62n })
  t.match(one('etcdserverpb.Lease/LeaseGrant', { TTL: -10 }), { kind: 'leaseGrant', ttl: 0, id: 0n })
  t.match(one('etcdserverpb.Lease/LeaseGrant', { TTL: 9_000_000_000 }), { ttl: 9_000_000_000 })
  t.equal(refusal(request('etcdserverpb.Lease/LeaseGrant', { TTL: 9_000_000_001 })), 'leaseTtlTooLarge')
  t.match(one('etcdserverpb.Lease/LeaseRevoke', { ID: -1n }), { kind: 'leaseRevoke', id: -1n })
  t.match(one('etcdserverpb.Lease/LeaseKeepAlive', { ID: 4n }), { kind: 'leaseKeepAlive', id: 4n })
  t.match(one('etcdserverpb.Lease/LeaseTimeToLive', { ID: 4n, keys: true }), { id: 4n, keys: true })
  t.match(one('etcdserverpb.Lease/LeaseLeases', {}), { kind: 'leaseList' })
  t.match(one('kvorum.v1.Sessions/Open', { lease: 4n }), { kind: 'sessionOpen', lease: 4n })
  t.match(one('etcdserverpb.Maintenance/HashKV', { revision: 5 }), { kind: 'hashKv', revision: 5 })
  t.match(one('etcdserverpb.Maintenance/HashKV', { revision: -5 }), { kind: 'hashKv', revision: 0 })
  t.match(one('etcdserverpb.Maintenance/Hash', {}), { kind: 'hashKv', revision: 0 })
  t.equal(REQUEST_RPCS.length, 13)
})

t.test('requests of watches', async t => {
  const watch = (message: Init<pb.WatchRequest>) => toWatchRequest(sent('etcdserverpb.WatchRequest', message))
  t.match(value(watch({ create_request: {} })), {
    kind: 'create',
    create: {
      range: { start: Uint8Array.of(0), end: utf8('\0\0') },
      watchId: 0,
      noPut: false,
      noDelete: false,
    },
  })
  t.match(value(watch({ create_request: { range_end: Uint8Array.of(0) } })), {
    create: { range: { start: Uint8Array.of(0), end: null } },
  })
  t.match(
    value(
      watch({
        create_request: {
          key: A,
          range_end: B,
          start_revision: -3,
          progress_notify: true,
          filters: [1, 0, 7],
          prev_kv: true,
          watch_id: -9n,
          fragment: true,
        },
      }),
    ),
    {
      create: {
        range: { start: A, end: B },
        startRevision: -3,
        progressNotify: true,
        noPut: true,
        noDelete: true,
        prevKv: true,
        watchId: -9,
        fragment: true,
      },
    },
  )
  t.equal(refusal(watch({ create_request: { watch_id: 2n ** 53n } })), 'malformed')
  t.equal(refusal(watch({ cancel_request: { watch_id: 2n ** 60n } })), 'malformed')
  t.strictSame(value(watch({ cancel_request: { watch_id: 3n } })), { kind: 'cancel', watchId: 3 })
  t.strictSame(value(watch({ progress_request: {} })), { kind: 'progress' })
  t.equal(value(watch({})), null)
  const bytes = Buffer.from(
    codec('etcdserverpb.WatchRequest').encode({ create_request: { key: A, range_end: B } }),
  )
  const created = value(toWatchRequest(codec('etcdserverpb.WatchRequest').decode(bytes)))
  bytes.fill(0)
  assert(created?.kind === 'create')
  t.strictSame(
    [hex(created.create.range.start), hex(created.create.range.end!)],
    ['61', '62'],
    'keys are copied',
  )
})

const pair: KeyValue = { key: A, create: 2, mod: 4, version: 3, value: B, lease: leaseId(2n ** 62n) }
const header = { revision: 9, term: 4 }
const message = (reply: Reply): unknown => toResponse(toHeader(identity, header), reply)

t.test('answers', async t => {
  const fullHeader = { cluster_id: 2n ** 64n - 3n, member_id: 2n ** 63n + 5n, revision: 9, raft_term: 4 }
  const kv = { key: A, create_revision: 2, mod_revision: 4, version: 3, value: B, lease: 2n ** 62n }
  const op = (reply: OpReply): unknown => message({ kind: 'op', op: reply })
  t.strictSame(op({ kind: 'range', kvs: [pair], more: true, count: 8 }), {
    header: fullHeader,
    kvs: [kv],
    more: true,
    count: 8,
  })
  t.strictSame(op({ kind: 'put', prev: null }), { header: fullHeader, prev_kv: null })
  t.strictSame(op({ kind: 'delete', deleted: 1, prevs: [pair] }), {
    header: fullHeader,
    deleted: 1,
    prev_kvs: [kv],
  })
  const put: OpReply = { kind: 'put', prev: pair }
  const miss: OpReply = { kind: 'delete', deleted: 0, prevs: [] }
  const inner: OpReply = {
    kind: 'txn',
    succeeded: false,
    revision: 9,
    before: 8,
    responses: [miss, put, miss],
  }
  t.strictSame(
    op({ kind: 'txn', succeeded: true, revision: 9, before: 8, responses: [miss, inner, miss] }),
    {
      header: fullHeader,
      succeeded: true,
      responses: [
        { response_delete_range: { header: { revision: 8 }, deleted: 0, prev_kvs: [] } },
        {
          response_txn: {
            header: {},
            succeeded: false,
            responses: [
              { response_delete_range: { header: { revision: 8 }, deleted: 0, prev_kvs: [] } },
              { response_put: { header: { revision: 9 }, prev_kv: kv } },
              { response_delete_range: { header: { revision: 9 }, deleted: 0, prev_kvs: [] } },
            ],
          },
        },
        { response_delete_range: { header: { revision: 9 }, deleted: 0, prev_kvs: [] } },
      ],
    },
    'nested headers carry the revision as of their operation, those of nested transactions nothing',
  )
  t.strictSame(message({ kind: 'done' }), { header: fullHeader })
  t.strictSame(message({ kind: 'leaseGranted', id: leaseId(5n), ttl: 6 }), {
    header: fullHeader,
    ID: 5n,
    TTL: 6,
  })
  t.match(message({ kind: 'leaseTimeToLive', id: leaseId(5n), remaining: -1, granted: 0, keys: [] }), {
    ID: 5n,
    TTL: -1,
  })
  t.match(message({ kind: 'leases', ids: [leaseId(1n), leaseId(-2n)] }), {
    leases: [{ ID: 1n }, { ID: -2n }],
  })
})

t.test('answers of watches', async t => {
  const watch = (response: WatchResponse) =>
    codec('etcdserverpb.WatchResponse').toJson(toWatchResponse(identity, response))
  const about = { header: { revision: 0, term: 0 }, watchId: 7 }
  const common = {
    header: { cluster_id: '18446744073709551613', member_id: '9223372036854775813' },
    watch_id: '7',
  }
  t.strictSame(watch({ ...about, kind: 'created' }), { ...common, created: true })
  t.strictSame(watch({ ...about, kind: 'progress' }), common)
  t.strictSame(watch({ ...about, kind: 'canceled', reason: '', compactRevision: 5 }), {
    ...common,
    canceled: true,
    compact_revision: '5',
  })
  t.strictSame(
    watch({ ...about, watchId: -1, kind: 'refused', code: 'malformed', reason: 'no', compactRevision: 0 }),
    {
      ...common,
      watch_id: '-1',
      created: true,
      canceled: true,
      cancel_reason: 'no',
    },
  )
  const gone: KeyValue = { key: A, create: 0, mod: 5, version: 0, value: new Uint8Array(0), lease: NO_LEASE }
  t.strictSame(
    watch({ ...about, kind: 'events', fragment: true, events: [{ kind: 'delete', kv: gone, prev: null }] }),
    { ...common, fragment: true, events: [{ type: 'DELETE', kv: { key: 'YQ==', mod_revision: '5' } }] },
  )
})

const bytes = fc.uint8Array({ maxLength: 200 })
const count = fc.oneof(fc.nat(), fc.maxSafeNat())
const arbitraryPair: fc.Arbitrary<KeyValue> = fc.record({
  key: bytes,
  create: count,
  mod: count,
  version: count,
  value: bytes,
  lease: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(leaseId),
})
const arbitraryOp: fc.Arbitrary<OpReply> = fc.letrec<{ op: OpReply }>(tie => ({
  op: fc.oneof(
    { maxDepth: 3 },
    fc.record({ kind: fc.constant('put' as const), prev: fc.option(arbitraryPair) }),
    fc.record({ kind: fc.constant('delete' as const), deleted: count, prevs: fc.array(arbitraryPair) }),
    fc.record({
      kind: fc.constant('range' as const),
      kvs: fc.array(arbitraryPair),
      more: fc.boolean(),
      count,
    }),
    fc.record({
      kind: fc.constant('txn' as const),
      succeeded: fc.boolean(),
      revision: count,
      before: count,
      responses: fc.array(tie('op'), { maxLength: 4 }),
    }),
  ),
})).op
const RESPONSES = {
  put: 'etcdserverpb.PutResponse',
  delete: 'etcdserverpb.DeleteRangeResponse',
  range: 'etcdserverpb.RangeResponse',
  txn: 'etcdserverpb.TxnResponse',
} as const

t.test('the fast encoder makes the bytes of the messages', async t => {
  const encoder = answerEncoder(identity)
  const arbitraryHeader = fc.record({ revision: count, term: count })
  fc.assert(
    fc.property(arbitraryHeader, arbitraryOp, (head, op) => {
      const reply: Reply = { kind: 'op', op }
      const slow = codec(RESPONSES[op.kind]).encode(toResponse(toHeader(identity, head), reply) as never)
      assert.equal(hex(encoder.response(head, reply)), hex(slow))
    }),
    { numRuns: 300 },
  )
  const event = fc.record({
    kind: fc.constantFrom('put' as const, 'delete' as const),
    kv: arbitraryPair,
    prev: fc.option(arbitraryPair),
  })
  fc.assert(
    fc.property(
      arbitraryHeader,
      fc.array(event),
      fc.maxSafeInteger(),
      fc.boolean(),
      (head, events, watchId, fragment) => {
        const response: WatchResponse = { kind: 'events', header: head, watchId, events, fragment }
        const slow = codec('etcdserverpb.WatchResponse').encode(toWatchResponse(identity, response))
        assert.equal(hex(encoder.watch(response)), hex(slow))
      },
    ),
  )
  const others: [RequestRpc, Reply][] = [
    ['etcdserverpb.KV/Compact', { kind: 'done' }],
    ['etcdserverpb.Lease/LeaseRevoke', { kind: 'done' }],
    ['etcdserverpb.Lease/LeaseGrant', { kind: 'leaseGranted', id: leaseId(-5n), ttl: 60 }],
    ['etcdserverpb.Lease/LeaseKeepAlive', { kind: 'leaseRenewed', id: leaseId(5n), ttl: 0 }],
    [
      'etcdserverpb.Lease/LeaseTimeToLive',
      { kind: 'leaseTimeToLive', id: leaseId(5n), remaining: 3, granted: 9, keys: [A, B] },
    ],
    ['etcdserverpb.Lease/LeaseLeases', { kind: 'leases', ids: [leaseId(1n), leaseId(2n)] }],
  ]
  for (const [name, reply] of others) {
    const slow = codec(rpcNamed(name).response).encode(message(reply) as never)
    t.equal(hex(encoder.response(header, reply)), hex(slow), name)
  }
  const created: WatchResponse = { kind: 'created', header, watchId: 3 }
  t.equal(
    hex(encoder.watch(created)),
    hex(codec('etcdserverpb.WatchResponse').encode(toWatchResponse(identity, created))),
  )
})

t.test('members and groups', async t => {
  const member = toMember({ id: nodeId(9n), name: 'n', peerUrls: ['p'], clientUrls: [], learner: true })
  t.strictSame(codec('etcdserverpb.Member').toJson(member), {
    ID: '9',
    name: 'n',
    peerURLs: ['p'],
    isLearner: true,
  })
  const group = toGroupStatus({
    group: 1,
    term: 2,
    leaderNode: 3n,
    committed: 7,
    applied: 6,
    lastIndex: 8,
    purged: 5,
    revision: 9,
    compactRevision: 4,
    isLeader: true,
    learner: false,
    quarantined: true,
    logicalBytes: 10,
  })
  t.strictSame(codec('kvorum.v1.GroupStatus').toJson(group), {
    group: '1',
    term: '2',
    leader_id: '3',
    committed: '7',
    applied: '6',
    last_index: '8',
    purged: '5',
    revision: '9',
    compact_revision: '4',
    is_leader: true,
    quarantined: true,
    logical_bytes: '10',
  })
})
