import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  ALL_KEYS,
  assert,
  commandHeader,
  decodeReply,
  decodeShardCommand,
  encodeReply,
  encodeShardCommand,
  encodeWork,
  groupId,
  incarnation,
  InvariantError,
  leaseId,
  NO_LEASE,
  nodeId,
  ok,
  pointRange,
  position,
  prefixRange,
  refuse,
  sessionId,
  toHex,
  unreachable,
  utf8,
} from '@kvorum/model'
import type { CommandHeader, KeyValue, PutOp, RangeOp, Reply, ShardCommand } from '@kvorum/model'
import { plain } from './arbitraries.js'

/**
 * Bytes that earlier versions wrote and every later version must read the same way. Rows are added, with new
 * names, when a format grows; a row that fails is a format broken, and the row is never what is wrong.
 */
const GOLDEN = new Map(
  readFileSync(new URL('../../test/golden/formats.txt', import.meta.url), 'utf8')
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => line.split(' ') as [string, string]),
)

const put: PutOp = {
  kind: 'put',
  key: utf8('k'),
  value: utf8('value'),
  lease: NO_LEASE,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
}
const read: RangeOp = {
  kind: 'range',
  range: ALL_KEYS,
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
}

const COMMANDS: Record<string, ShardCommand> = {
  'command.put': { kind: 'write', op: put },
  'command.put.flags': {
    kind: 'write',
    op: { ...put, value: new Uint8Array(0), lease: leaseId(-2n), prevKv: true, ignoreValue: true },
  },
  'command.put.ignoreLease': { kind: 'write', op: { ...put, ignoreLease: true } },
  'command.delete.point': {
    kind: 'write',
    op: { kind: 'delete', range: pointRange(utf8('k')), prevKv: true },
  },
  'command.delete.fromKey': { kind: 'write', op: { kind: 'delete', range: ALL_KEYS, prevKv: false } },
  'command.txn': {
    kind: 'write',
    op: {
      kind: 'txn',
      compares: [
        { range: pointRange(utf8('a')), result: 'equal', target: 'version', operand: 0 },
        { range: pointRange(utf8('a')), result: 'greater', target: 'create', operand: 5 },
        { range: prefixRange(utf8('a')), result: 'less', target: 'mod', operand: -1 },
        { range: pointRange(utf8('a')), result: 'notEqual', target: 'value', operand: utf8('v') },
        { range: pointRange(utf8('a')), result: 'equal', target: 'lease', operand: leaseId(7n) },
      ],
      success: [
        put,
        { ...read, limit: 10, revision: 300, order: 'descend', target: 'mod', keysOnly: true, minMod: 2 },
      ],
      failure: [
        { kind: 'txn', compares: [], success: [], failure: [] },
        { ...read, order: 'ascend', target: 'value', countOnly: true, maxMod: 9, minCreate: 1, maxCreate: 8 },
      ],
    },
  },
  'command.compact': { kind: 'compact', revision: Number.MAX_SAFE_INTEGER },
  'command.leaseGrant': { kind: 'leaseGrant', id: leaseId(0x7fffffffffffffffn), ttl: 60 },
  'command.leaseRevoke': { kind: 'leaseRevoke', id: leaseId(1n) },
  'command.sessionOpen': { kind: 'sessionOpen', lease: leaseId(7n) },
  'command.authFence': { kind: 'authFence', fence: { revision: 300, enabled: true } },
  'command.publish': { kind: 'publish', index: 300 },
  'command.guard': {
    kind: 'guard',
    guard: { version: 300, quota: 2 ** 31, noSpace: true, corrupt: false },
  },
  'command.split': { kind: 'split', at: utf8('m'), right: groupId(300), epoch: 2 },
  'command.reclaim': { kind: 'reclaim', revision: 70, bytes: 2 ** 40 },
  'command.endDense': { kind: 'endDense' },
  'command.prepare': {
    kind: 'prepare',
    after: 300,
    endedBelow: 4,
    prepare: {
      id: { coordinator: incarnation(7n), sequence: 5 },
      age: { since: 200, coordinator: incarnation(7n), sequence: 3 },
      primary: groupId(1),
      participants: [groupId(1), groupId(2)],
      locks: [pointRange(utf8('k'))],
      work: encodeWork({ kind: 'op', op: { kind: 'delete', range: ALL_KEYS, prevKv: false } }),
    },
  },
  'command.prepare.attach': {
    kind: 'prepare',
    after: 300,
    endedBelow: 4,
    prepare: {
      id: { coordinator: incarnation(7n), sequence: 5 },
      age: { since: 200, coordinator: incarnation(7n), sequence: 5 },
      primary: groupId(1),
      participants: [groupId(1), groupId(2)],
      locks: [],
      work: encodeWork({
        kind: 'attach',
        op: { kind: 'delete', range: ALL_KEYS, prevKv: false },
        leases: [leaseId(7n), leaseId(-1n)],
        ranges: [{ start: utf8('m'), end: null }],
      }),
    },
  },
  'command.prepare.session': {
    kind: 'prepare',
    after: 300,
    endedBelow: 4,
    prepare: {
      id: { coordinator: incarnation(7n), sequence: 5 },
      age: { since: 200, coordinator: incarnation(7n), sequence: 5 },
      primary: groupId(1),
      participants: [groupId(1), groupId(2)],
      locks: [],
      work: encodeWork({
        kind: 'op',
        op: { kind: 'delete', range: ALL_KEYS, prevKv: false },
        session: {
          tag: { session: sessionId(9n), sequence: 6, acknowledgedBelow: 3 },
          lease: leaseId(7n),
        },
      }),
    },
  },
  'command.prepare.revoke': {
    kind: 'prepare',
    after: 300,
    endedBelow: 4,
    prepare: {
      id: { coordinator: incarnation(7n), sequence: 5 },
      age: { since: 200, coordinator: incarnation(7n), sequence: 5 },
      primary: groupId(1),
      participants: [groupId(1), groupId(2)],
      locks: [{ start: utf8('m'), end: null }],
      work: encodeWork({
        kind: 'revoke',
        lease: leaseId(7n),
        ranges: [{ start: utf8('m'), end: utf8('z') }],
      }),
    },
  },
  'command.decide': {
    kind: 'decide',
    id: { coordinator: incarnation(7n), sequence: 5 },
    outcome: { kind: 'commit', revision: 301, branches: [true, false] },
  },
  'command.decide.answer': {
    kind: 'decide',
    id: { coordinator: incarnation(7n), sequence: 5 },
    outcome: { kind: 'commit', revision: 301, branches: [] },
    answer: { revision: 301, result: ok(encodeReply({ kind: 'done' })) },
  },
  'command.decide.refusal': {
    kind: 'decide',
    id: { coordinator: incarnation(7n), sequence: 5 },
    outcome: { kind: 'abort' },
    answer: { revision: 0, result: refuse('keyNotFound') },
  },
  'command.end': {
    kind: 'end',
    id: { coordinator: incarnation(7n), sequence: 5 },
    outcome: { kind: 'abort' },
  },
  'command.forget': { kind: 'forget', id: { coordinator: incarnation(7n), sequence: 5 } },
}

const kv: KeyValue = {
  key: utf8('k'),
  create: 2,
  mod: 130,
  version: 3,
  value: utf8('value'),
  lease: leaseId(9n),
}

const REPLIES: Record<string, Reply> = {
  'reply.put': { kind: 'op', op: { kind: 'put', prev: null } },
  'reply.put.prev': { kind: 'op', op: { kind: 'put', prev: kv } },
  'reply.delete': { kind: 'op', op: { kind: 'delete', deleted: 200, prevs: [kv] } },
  'reply.range': { kind: 'op', op: { kind: 'range', kvs: [kv, kv], more: true, count: 1000 } },
  'reply.txn': {
    kind: 'op',
    op: {
      kind: 'txn',
      succeeded: true,
      revision: 131,
      before: 131,
      responses: [
        { kind: 'put', prev: null },
        { kind: 'txn', succeeded: false, revision: 131, before: 131, responses: [] },
      ],
    },
  },
  'reply.txn.before': {
    kind: 'op',
    op: {
      kind: 'txn',
      succeeded: true,
      revision: 131,
      before: 130,
      responses: [{ kind: 'put', prev: null }],
    },
  },
  'reply.done': { kind: 'done' },
  'reply.leaseGranted': { kind: 'leaseGranted', id: leaseId(5n), ttl: 60 },
  'reply.leaseRenewed': { kind: 'leaseRenewed', id: leaseId(5n), ttl: 0 },
  'reply.leaseTimeToLive': {
    kind: 'leaseTimeToLive',
    id: leaseId(5n),
    remaining: -1,
    granted: 0,
    keys: [utf8('k'), utf8('l')],
  },
  'reply.leases': { kind: 'leases', ids: [leaseId(1n), leaseId(-1n)] },
  'reply.splitBegun': { kind: 'splitBegun', right: groupId(300) },
  'reply.sessionOpened': { kind: 'sessionOpened', id: sessionId(9n) },
  'reply.tokenIssued': { kind: 'tokenIssued', index: 300 },
  'reply.members': {
    kind: 'members',
    member: nodeId(7n),
    members: [
      { id: nodeId(7n), name: 'n', peerUrls: ['http://a'], clientUrls: [], learner: true },
      { id: nodeId(2n ** 63n), name: '', peerUrls: [], clientUrls: ['http://b', ''], learner: false },
    ],
  },
  'reply.alarms': {
    kind: 'alarms',
    alarms: [
      { member: nodeId(1n), alarm: 'noSpace' },
      { member: nodeId(-1n), alarm: 'corrupt' },
    ],
  },
  'reply.hashed': {
    kind: 'hashed',
    hash: 0xfedcba98,
    revision: 300,
    compactRevision: 7,
    applied: 400,
    digest: 5,
    epoch: 3,
  },
  'reply.block': { kind: 'block', first: 300, count: 5 },
  'reply.resolved': { kind: 'resolved', index: 400 },
  'reply.followed': {
    kind: 'followed',
    index: 400,
    compactRevision: 7,
    fence: { revision: 3, enabled: true },
  },
  'reply.history': {
    kind: 'history',
    events: [
      {
        revision: 300,
        positions: [0, 2],
        events: [
          { kind: 'put', kv, prev: null },
          { kind: 'delete', kv, prev: kv },
        ],
      },
    ],
    next: 301,
  },
  'reply.rows': {
    kind: 'rows',
    compactRevision: 7,
    values: [null, utf8('row')],
    pages: [
      { rows: [{ key: utf8('k'), value: utf8('v') }], next: utf8('k2') },
      { rows: [], next: null },
    ],
  },
  'reply.voted.prepared': {
    kind: 'voted',
    vote: {
      kind: 'prepared',
      after: 300,
      index: 12,
      judgement: {
        compares: ['none', 'holds', 'fails'],
        puts: [null, { keyExists: true, leaseExists: false }],
        compactRevision: 9,
      },
    },
  },
  'reply.voted.answered': {
    kind: 'voted',
    vote: {
      kind: 'answered',
      reply: {
        revision: 301,
        result: refuse('compacted', { outcome: 'unknown', detail: 'why', compactRevision: 9 }),
      },
    },
  },
  'reply.voted.die': { kind: 'voted', vote: { kind: 'die' } },
  'reply.ended': {
    kind: 'ended',
    outcome: { kind: 'commit', revision: 301, branches: [true] },
    heirs: [groupId(3)],
  },
  'reply.ended.forgotten': { kind: 'ended', outcome: null, heirs: [] },
  'reply.part': { kind: 'part', answers: [null, { kind: 'put', prev: null }] },
}

/** Written by earlier versions only. */
const READ_ONLY: ReadonlySet<string> = new Set(['reply.txn'])

t.test('commands have the bytes they always had', async t => {
  for (const [name, command] of Object.entries(COMMANDS)) {
    const bytes = GOLDEN.get(name) ?? ''
    t.equal(toHex(encodeShardCommand(command)), bytes, name)
    t.strictSame(plain(decodeShardCommand(Buffer.from(bytes, 'hex'))), plain(command), name)
  }
})

t.test('headers have the bytes they always had', async t => {
  const command: ShardCommand = { kind: 'compact', revision: 7 }
  const A_TO_B = { start: utf8('a'), end: utf8('b') }
  const session = { session: sessionId(0x0102030405060708n), sequence: 300, acknowledgedBelow: 2 }
  const headers: [string, CommandHeader][] = [
    ['01020007', { authRevision: null, session: null }],
    ['010201ac0207', { authRevision: 300, session: null }],
    ['0102020102030405060708ac020207', { authRevision: null, session }],
    ['010203050102030405060708ac020207', { authRevision: 5, session }],
    ['0102050501016101016207', { authRevision: 5, session: null, writable: [A_TO_B] }],
    ['010208ac0207', { authRevision: null, session: null, stamp: 300 }],
    ['01020d050101610101620907', { authRevision: 5, session: null, writable: [A_TO_B], stamp: 9 }],
  ]
  for (const [bytes, header] of headers) {
    t.equal(toHex(encodeShardCommand(command, header)), bytes)
    t.strictSame(plain(commandHeader(Buffer.from(bytes, 'hex'))), plain(header))
  }
})

t.test('replies have the bytes they always had', async t => {
  for (const [name, reply] of Object.entries(REPLIES)) {
    const bytes = GOLDEN.get(name) ?? ''
    if (!READ_ONLY.has(name)) t.equal(toHex(encodeReply(reply)), bytes, name)
    t.strictSame(plain(decodeReply(Buffer.from(bytes, 'hex'))), plain(reply), name)
  }
})

t.test('no golden row is without its value', async t => {
  t.strictSame([...GOLDEN.keys()].sort(), [...Object.keys(COMMANDS), ...Object.keys(REPLIES)].sort())
})

t.test('ids keep 64 bits, positions refuse what is none', async t => {
  t.equal(nodeId(-1n), 2n ** 64n - 1n)
  t.equal(leaseId(2n ** 63n), -(2n ** 63n))
  t.equal(groupId(0), 0)
  t.equal(position(Number.MAX_SAFE_INTEGER, 'index'), Number.MAX_SAFE_INTEGER)
  for (const bad of [-1, 0.5, NaN, 2 ** 53])
    t.throws(() => position(bad, 'revision'), new RangeError(`revision ${bad} is not a position`))
})

t.test('a broken invariant throws, and its text is made only then', async t => {
  let made = 0
  const message = (): string => `made ${++made}`
  assert(made === 0, message)
  t.equal(made, 0)
  t.throws(() => assert(made === 1, message), new InvariantError('made 1'))
  t.throws(() => unreachable({ kind: 'new', id: 1n } as never), {
    name: 'InvariantError',
    message: 'unexpected {"kind":"new","id":"1"}',
  })
})
