import t from 'tap'
import {
  ALL_KEYS,
  groupId,
  incarnation,
  nodeId,
  replicaId,
  toHex,
  type Reply,
  type Result,
} from '@kvorum/model'
import {
  applyMetaCommand,
  createMetaState,
  decodeMetaCommand,
  decodeMetaState,
  encodeMetaCommand,
  encodeMetaState,
  formerMember,
  seatOf,
  type MetaCommand,
  type MetaState,
  type NodeRecord,
} from '@kvorum/placement'

const node = (id: bigint, name = `n${id}`): NodeRecord => ({
  id: nodeId(id),
  name,
  peerUrls: [`http://n${id}:2380`],
  clientUrls: [],
  learner: false,
  serverVersion: '',
})

/** Three founders that have all started. */
function fresh(nodes = [node(1n), node(2n), node(3n)]): MetaState {
  const replicas = nodes.map(({ id }, at) => ({ id: replicaId(at + 1), node: id }))
  return createMetaState(nodes, [{ group: groupId(1), range: ALL_KEYS, epoch: 1, replicas }])
}

const add = (id: bigint, facts: Partial<Extract<MetaCommand, { kind: 'addMember' }>> = {}): MetaCommand => ({
  kind: 'addMember',
  node: nodeId(id),
  peerUrls: [`http://n${id}:2380`],
  learner: false,
  strict: true,
  ...facts,
})
const remove = (id: bigint, strict = true): MetaCommand => ({
  kind: 'removeMember',
  node: nodeId(id),
  strict,
})
const bind = (id: bigint, directory: bigint): MetaCommand => ({
  kind: 'bindMember',
  node: nodeId(id),
  incarnation: incarnation(directory),
})
const promote = (id: bigint): MetaCommand => ({ kind: 'promoteMember', node: nodeId(id), strict: true })
const codeOf = (result: Result<Reply>): string => (result.ok ? 'ok' : result.error.code)

t.test('a member is added with a seat of its own, and no replica id is ever given again', async t => {
  const state = fresh()
  const added = applyMetaCommand(state, add(4n))
  t.match(added, { ok: true, value: { kind: 'members', member: 4n, members: { length: 4 } } })
  t.strictSame(seatOf(state, nodeId(4n)), {
    node: 4n,
    replica: 4,
    incarnation: 0n,
    founder: false,
  })
  t.equal(codeOf(applyMetaCommand(state, remove(4n))), 'ok')
  t.strictSame(
    formerMember(state, nodeId(4n)),
    { node: 4n, replica: 4, peerUrls: ['http://n4:2380'] },
    'what is needed until every group has let it go',
  )
  t.equal(codeOf(applyMetaCommand(state, add(4n))), 'memberExists', 'the id of one who was removed')
  t.equal(codeOf(applyMetaCommand(state, add(5n))), 'ok')
  t.equal(seatOf(state, nodeId(5n))?.replica, 5)
})

t.test('what is refused', async t => {
  const cases: readonly [string, MetaState, MetaCommand][] = [
    ['memberExists', fresh(), add(3n, { peerUrls: ['http://other'] })],
    ['peerUrlExists', fresh(), add(9n, { peerUrls: ['http://n1:2380'] })],
    ['notEnoughStarted', fresh([node(1n), node(2n, '')]), add(9n)],
    ['ok', fresh([node(1n), node(2n, '')]), add(9n, { strict: false })],
    ['ok', fresh([node(1n)]), add(9n)],
    ['ok', fresh([node(1n), node(2n, '')]), add(9n, { learner: true })],
    ['tooManyLearners', fresh([node(1n), { ...node(2n), learner: true }]), add(9n, { learner: true })],
    ['memberNotFound', fresh(), remove(9n)],
    ['notEnoughStarted', fresh([node(1n)]), remove(1n)],
    ['notEnoughStarted', fresh([node(1n)]), remove(1n, false)],
    ['notEnoughStarted', fresh([node(1n), node(2n, '')]), remove(1n)],
    ['ok', fresh([node(1n), node(2n, '')]), remove(2n)],
    ['memberNotFound', fresh(), promote(9n)],
    ['notLearner', fresh(), promote(1n)],
    [
      'notEnoughStarted',
      fresh([node(1n), node(2n, ''), node(3n, ''), { ...node(4n), learner: true }]),
      promote(4n),
    ],
    ['memberNotFound', fresh(), { kind: 'updateMember', node: nodeId(9n), peerUrls: ['http://x'] }],
    ['peerUrlExists', fresh(), { kind: 'updateMember', node: nodeId(1n), peerUrls: ['http://n2:2380'] }],
    ['ok', fresh(), { kind: 'updateMember', node: nodeId(1n), peerUrls: ['http://n1:2380', 'http://x'] }],
  ]
  for (const [at, [code, state, command]] of cases.entries()) {
    const before = toHex(encodeMetaState(state))
    t.equal(codeOf(applyMetaCommand(state, command)), code, `${at}: ${command.kind}`)
    if (code !== 'ok') t.equal(toHex(encodeMetaState(state)), before, 'and nothing has changed')
  }
})

t.test('the first directory has the seat for ever', async t => {
  const state = fresh()
  applyMetaCommand(state, add(4n))
  applyMetaCommand(state, bind(4n, 7n))
  applyMetaCommand(state, bind(4n, 8n))
  t.equal(seatOf(state, nodeId(4n))?.incarnation, 7n)
  applyMetaCommand(state, bind(9n, 8n))
  t.equal(seatOf(state, nodeId(9n)), undefined, 'nobody is bound who is no member')
})

t.test('a learner becomes a voter, and addresses change', async t => {
  const state = fresh()
  applyMetaCommand(state, add(4n, { learner: true }))
  applyMetaCommand(state, { kind: 'updateMember', node: nodeId(4n), peerUrls: ['http://n4:1'] })
  t.equal(state.nodes.find(({ id }) => id === 4n)?.learner, true, 'an update leaves it a learner')
  t.equal(codeOf(applyMetaCommand(state, promote(4n))), 'ok')
  t.equal(state.nodes.find(({ id }) => id === 4n)?.learner, false)
  applyMetaCommand(state, { kind: 'updateMember', node: nodeId(4n), peerUrls: ['http://moved'] })
  t.strictSame(state.nodes.find(({ id }) => id === 4n)?.peerUrls, ['http://moved'])
})

t.test('bytes', async t => {
  const state = fresh([node(1n)])
  const founding = toHex(encodeMetaState(state))
  applyMetaCommand(state, bind(1n, 0xabn))
  applyMetaCommand(state, add(2n))
  applyMetaCommand(state, remove(2n))
  const bytes = toHex(encodeMetaState(state))
  t.equal(
    bytes,
    `${founding.slice(0, -2)}01012f02030100000000000000010100000000000000ab01010000000000000002` +
      '02010e687474703a2f2f6e323a32333830',
    'the membership is part 1; without a change there is none',
  )
  const before = `${founding.slice(0, -2)}01011e01030100000000000000010100000000000000ab01010000000000000002`
  t.strictSame(
    decodeMetaState(Buffer.from(before, 'hex'), []).membership,
    { ...state.membership, removed: [{ node: 2n, replica: 0, peerUrls: [] }] },
    'format 1 held less',
  )
  t.strictSame(decodeMetaState(Buffer.from(bytes, 'hex'), []).membership, state.membership)
  const commands: readonly [MetaCommand, string][] = [
    [add(2n), '01100000000000000000020001010e687474703a2f2f6e323a32333830'],
    [remove(2n, false), '011100000000000000000200'],
    [
      { kind: 'updateMember', node: nodeId(2n), peerUrls: ['http://b'] },
      '0112000000000000000002010868747470' + '3a2f2f62',
    ],
    [promote(2n), '011300000000000000000201'],
    [bind(2n, 0xabn), '011400000000000000000200000000000000ab'],
  ]
  for (const [command, hex] of commands) {
    t.equal(toHex(encodeMetaCommand(command)), hex, command.kind)
    t.strictSame(decodeMetaCommand(Buffer.from(hex, 'hex')), command)
  }
})
