import fc from 'fast-check'
import t from 'tap'
import {
  ALL_KEYS,
  compareBytes,
  groupId,
  incarnation,
  MalformedError,
  InvariantError,
  LIMITS,
  nodeId,
  replicaId,
  toHex,
  utf8,
  type AlarmKind,
  type KeyRange,
} from '@kvorum/model'
import {
  applyMetaCommand,
  clusterVersionOf,
  compareVersions,
  createMetaState,
  EMPTY_AUTH,
  decodeMetaCommand,
  decodeMetaRow,
  decodeMetaState,
  encodeMetaCommand,
  encodeMetaState,
  NO_ALARMS,
  rangesBetween,
  type MetaCommand,
  type MetaState,
  type NodeRecord,
} from '@kvorum/placement'

const position = fc.oneof(fc.constantFrom(0, 127, 128, 2 ** 32), fc.maxSafeNat())
const id = fc.oneof(fc.constantFrom(0n, 2n ** 63n, 2n ** 64n - 1n), fc.bigInt(0n, 2n ** 64n - 1n)).map(nodeId)
const text = fc.string({ unit: 'grapheme', maxLength: 12 })
const texts = fc.array(text, { maxLength: 3 })
const node: fc.Arbitrary<NodeRecord> = fc.record({
  id,
  name: text,
  peerUrls: texts,
  clientUrls: texts,
  learner: fc.boolean(),
  serverVersion: text,
})
const ranges: fc.Arbitrary<KeyRange[]> = fc
  .uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 4 }), { maxLength: 4, selector: toHex })
  .map(keys => rangesBetween(keys.sort(compareBytes)))
/** Counted up by one at a time, so that the end of the numbers is out of reach: behind each there is room for more. */
const replica = fc.oneof(fc.constantFrom(0, 127, 128), fc.integer({ min: 0, max: 2 ** 52 })).map(replicaId)
const replicas = fc.array(fc.record({ id: replica, node: id }), { maxLength: 5 })
const alarm = fc.record({ member: id, alarm: fc.constantFrom<AlarmKind>('noSpace', 'corrupt') })
const alarms = fc.oneof(
  fc.constant(NO_ALARMS),
  fc.record({ version: fc.integer({ min: 1 }), active: fc.array(alarm, { maxLength: 3 }) }),
)
const operations = fc.array(
  fc.record({
    kind: fc.constant('split' as const),
    group: position.map(groupId),
    right: position.map(groupId),
    at: fc.uint8Array({ minLength: 1, maxLength: 4 }),
    epoch: position,
  }),
  { maxLength: 3 },
)
const nodes = fc.array(id, { maxLength: 4 })
const placement = fc.record({
  replicas: position,
  draining: nodes,
  shards: fc.array(
    fc.record({ group: position.map(groupId), nodes, settled: fc.boolean(), settledAt: position }),
    { maxLength: 3 },
  ),
  former: fc.array(fc.record({ group: position.map(groupId), node: id }), { maxLength: 3 }),
})
const state: fc.Arbitrary<MetaState> = fc
  .record({
    placement,
    heldLeaders: fc.array(fc.record({ group: position.map(groupId), node: id }), { maxLength: 3 }),
    applied: position,
    appliedTerm: position,
    config: fc.uint8Array({ maxLength: 20 }),
    configIndex: position,
    nodes: fc.array(node, { maxLength: 4 }),
    clusterVersion: text,
    nextGroup: position,
    alarms,
    operations,
    ceiling: fc.option(position),
    compacted: position,
    version: position,
    ranges,
    shard: fc.record({ group: position.map(groupId), epoch: position, replicas }),
  })
  .map(({ version, ranges, shard, ...rest }) => ({
    ...rest,
    auth: EMPTY_AUTH,
    shards: { version, shards: ranges.map(range => ({ ...shard, range })) },
  }))
  .chain(rest =>
    fc
      .record({
        nextReplica: position,
        seats: fc.array(
          fc.record({
            node: id,
            replica: position.map(replicaId),
            incarnation: id.map(incarnation),
            founder: fc.boolean(),
          }),
          { maxLength: 4 },
        ),
        removed: fc.array(fc.record({ node: id, replica: position.map(replicaId), peerUrls: texts }), {
          maxLength: 3,
        }),
      })
      .map(membership => ({ ...rest, membership })),
  )
const command: fc.Arbitrary<MetaCommand> = fc.oneof(
  fc.record({
    kind: fc.constant('announce'),
    node: id,
    name: text,
    clientUrls: texts,
    serverVersion: text,
  }),
  fc.record({ kind: fc.constant('setClusterVersion'), version: text }),
  fc.record({
    kind: fc.constant('addMember'),
    node: id,
    peerUrls: texts,
    learner: fc.boolean(),
    strict: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom('removeMember', 'promoteMember'), node: id, strict: fc.boolean() }),
  fc.record({
    kind: fc.constant('splitShard'),
    at: fc.uint8Array({ maxLength: 4 }),
    group: fc.option(fc.integer({ min: 1, max: 2 ** 31 }).map(groupId)),
  }),
  fc.record({
    kind: fc.constantFrom('finishSplit', 'abandonSplit'),
    right: fc.integer({ min: 1, max: 2 ** 31 }).map(groupId),
  }),
  fc.record({ kind: fc.constant('updateMember'), node: id, peerUrls: texts }),
  fc.record({ kind: fc.constant('bindMember'), node: id, incarnation: id.map(incarnation) }),
  fc.record({
    kind: fc.constant('alarm'),
    change: fc.constantFrom<'raise' | 'clear'>('raise', 'clear'),
    member: id,
    alarm: fc.constantFrom<AlarmKind>('noSpace', 'corrupt'),
  }),
  fc.record({ kind: fc.constant('raiseCeiling'), ceiling: position }),
  fc.record({ kind: fc.constant('compact'), revision: position }),
  fc.record({
    kind: fc.constant('placeShard'),
    group: position.map(groupId),
    override: fc.boolean(),
    before: nodes,
    nodes,
  }),
  fc.record({ kind: fc.constant('shardPlaced'), group: position.map(groupId), index: position, nodes }),
  fc.record({ kind: fc.constant('drainNode'), node: id, drain: fc.boolean() }),
  fc.record({ kind: fc.constant('holdLeader'), group: position.map(groupId), node: id, hold: fc.boolean() }),
)

const plain = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : bytesToHex(each)))
/** A Buffer is already JSON of its own when a replacer sees it. */
const bytesToHex = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return toHex(value)
  const { type, data } = (value ?? {}) as { type?: unknown; data?: number[] }
  return type === 'Buffer' && data !== undefined ? toHex(Uint8Array.from(data)) : value
}

const n1: NodeRecord = {
  id: nodeId(2n ** 63n),
  name: 'n1',
  peerUrls: ['http://a:2380'],
  clientUrls: [],
  learner: false,
  serverVersion: '3.6.1',
}
const n2: NodeRecord = { ...n1, id: nodeId(7n), name: '', learner: true, serverVersion: '' }
const fresh = (): MetaState =>
  createMetaState(
    [n1, n2],
    rangesBetween([utf8('m')]).map((range, i) => ({
      group: groupId(i + 1),
      range,
      epoch: 1,
      replicas: [{ id: replicaId(1), node: n1.id }],
    })),
  )

t.test('a fresh state', async t => {
  const state = fresh()
  t.strictSame(
    state.nodes.map(node => node.id),
    [7n, 2n ** 63n],
    'nodes are sorted by id',
  )
  t.equal(state.nextGroup, 3, 'above every group there is')
  t.equal(createMetaState([], [{ group: groupId(9), range: ALL_KEYS, epoch: 1, replicas: [] }]).nextGroup, 10)
  t.throws(() => createMetaState([], []), InvariantError, 'no shard owns anything')
})

t.test('states and commands come back as they were', async t => {
  fc.assert(
    fc.property(state, state => {
      const bytes = encodeMetaState(state)
      const copy = Buffer.from(bytes)
      const back = decodeMetaState(copy, [])
      copy.fill(0xee)
      return plain(back) === plain({ ...order(back, state) }) && toHex(encodeMetaState(back)) === toHex(bytes)
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(command, command => {
      const back = decodeMetaCommand(encodeMetaCommand(command))
      return plain(back) === plain(order(back, command))
    }),
    { numRuns: 500 },
  )
  t.pass('1000 runs, each state from a buffer that was overwritten afterwards')
})

/** `value` with its fields in the order of `like`. */
function order<Value>(like: Value, value: Value): Value {
  if (Array.isArray(like) && Array.isArray(value))
    return value.map((each, i): unknown => order<unknown>(like[i], each)) as Value
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if (typeof like !== 'object' || like === null) return value
  const fields = value as Record<string, unknown>
  const names = [...Object.keys(like), ...Object.keys(value).filter(name => !(name in like))]
  return Object.fromEntries(
    names.map(name => [name, order<unknown>((like as Record<string, unknown>)[name], fields[name])]),
  ) as Value
}

t.test('bytes of format 1', async t => {
  const state: MetaState = {
    ...fresh(),
    applied: 300,
    appliedTerm: 2,
    config: Uint8Array.of(1, 2),
    configIndex: 299,
    clusterVersion: '3.6.0',
  }
  const golden =
    '01ac0202020102ab0205332e362e3003020000000000000007000100010d687474703a2f2f613a323338300080' +
    '00000000000000026e310005332e362e31010d687474703a2f2f613a3233383000010201010001016d01018000' +
    '0000000000000201016d000101800000000000000000'
  t.equal(toHex(encodeMetaState(state)), golden)
  t.equal(plain(order(state, decodeMetaState(Buffer.from(golden, 'hex'), []))), plain(state))
  const commands: [MetaCommand, string][] = [
    [
      {
        kind: 'announce',
        node: nodeId(2n ** 64n - 1n),
        name: 'n',
        clientUrls: ['http://b', ''],
        serverVersion: '3.6.1',
      },
      '010100ffffffffffffffff016e05332e362e310208687474703a2f2f6200',
    ],
    [{ kind: 'setClusterVersion', version: '3.6.0' }, '01020005332e362e30'],
    [{ kind: 'splitShard', at: Buffer.from('m'), group: null }, '01280000016d'],
    [{ kind: 'splitShard', at: Buffer.from('m'), group: groupId(300) }, '012800ac02016d'],
    [{ kind: 'finishSplit', right: groupId(3) }, '01290003'],
    [{ kind: 'abandonSplit', right: groupId(3) }, '012a0003'],
    [{ kind: 'holdLeader', group: groupId(3), node: nodeId(7n), hold: true }, '01330003000000000000000701'],
  ]
  for (const [command, hex] of commands) {
    t.equal(toHex(encodeMetaCommand(command)), hex, command.kind)
    t.strictSame(decodeMetaCommand(Buffer.from(hex, 'hex')), command)
  }
})

t.test('hostile bytes', async t => {
  const verdict = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): string => {
    try {
      decode(bytes)
      return 'accepted'
    } catch (error) {
      if (error instanceof MalformedError) return 'malformed'
      throw error
    }
  }
  const announce = encodeMetaCommand({
    kind: 'announce',
    node: n1.id,
    name: 'n1',
    clientUrls: ['http://b'],
    serverVersion: '3.6.1',
  })
  const cases: [string, (bytes: Uint8Array) => unknown, Uint8Array][] = [
    ['state', decodeMetaRow, encodeMetaState(fresh())],
    ['command', decodeMetaCommand, announce],
  ]
  for (const [name, decode, bytes] of cases) {
    for (let length = 0; length < bytes.length; length++)
      if (verdict(decode, bytes.subarray(0, length)) !== 'malformed') t.fail(`${name} cut at ${length}`)
    t.equal(verdict(decode, Buffer.concat([bytes, Buffer.of(0)])), 'malformed', `${name} and a byte too many`)
    t.equal(verdict(decode, Buffer.concat([Buffer.of(2), bytes.subarray(1)])), 'malformed', `${name}: format`)
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), (at, byte) => {
        const wrong = Buffer.from(bytes)
        wrong[at % wrong.length] = byte
        verdict(decode, wrong)
      }),
      { numRuns: 2000 },
    )
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        noise => void verdict(decode, Buffer.from([1, ...noise])),
      ),
      { numRuns: 1000 },
    )
  }
  for (const hex of ['010300', '010001', '010201', '0103000161'])
    t.equal(verdict(decodeMetaCommand, Buffer.from(hex, 'hex')), 'malformed', hex)
  const gap = Buffer.from(encodeMetaState(fresh()))
  gap[gap.lastIndexOf(0x6d)] = 0x6e
  t.equal(verdict(decodeMetaRow, gap), 'malformed', 'a shard map with a gap (I43)')
})

t.test('announce changes the node it names, and only what it says', async t => {
  const state = fresh()
  const announce = (node: NodeRecord['id'], name: string): MetaCommand => ({
    kind: 'announce',
    node,
    name,
    clientUrls: ['http://c'],
    serverVersion: '3.6.2',
  })
  applyMetaCommand(state, announce(n2.id, 'two'))
  t.strictSame(state.nodes, [{ ...n2, name: 'two', clientUrls: ['http://c'], serverVersion: '3.6.2' }, n1])
  const before = encodeMetaState(state)
  applyMetaCommand(state, announce(n2.id, 'two'))
  t.equal(toHex(encodeMetaState(state)), toHex(before), 'again changes nothing')
  applyMetaCommand(state, announce(nodeId(99n), 'gone'))
  t.equal(toHex(encodeMetaState(state)), toHex(before), 'a node that is not a member changes nothing')
})

t.test('the cluster version only grows', async t => {
  const state = fresh()
  for (const [version, now] of [
    ['3.6.0', '3.6.0'],
    ['3.5.0', '3.6.0'],
    ['3.10.0', '3.10.0'],
    ['3.9.0', '3.10.0'],
    ['', '3.10.0'],
    ['noise', '3.10.0'],
    ['4.0.0', '4.0.0'],
  ] as const) {
    applyMetaCommand(state, { kind: 'setClusterVersion', version })
    t.equal(state.clusterVersion, now, `after ${version}`)
  }
})

t.test('versions compare by number', async t => {
  const ascending = ['', 'noise', '0.0.0', '0.0.1', '0.1.0', '3.5.9', '3.5.10', '3.6.0', '3.10.0', '10.0.0']
  for (const [i, a] of ascending.entries())
    for (const [j, b] of ascending.entries())
      t.equal(Math.sign(compareVersions(a, b)), i < 2 && j < 2 ? 0 : Math.sign(i - j), `${a} and ${b}`)
  t.equal(compareVersions('3.6', '3.6.0'), 0, 'what is missing is zero')
  const version = fc.string({ maxLength: 8 })
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      const [ab, ba, bc, ac] = [
        compareVersions(a, b),
        compareVersions(b, a),
        compareVersions(b, c),
        compareVersions(a, c),
      ]
      return Math.sign(ab) === -Math.sign(ba) && (ab > 0 || bc > 0 || ac <= 0)
    }),
    { numRuns: 2000 },
  )
})

t.test('clusterVersionOf: the least minor version, once all have told theirs', async t => {
  const state = fresh()
  const told = (...versions: string[]): MetaState => ({
    ...state,
    nodes: versions.map((serverVersion, i) => ({ ...n1, id: nodeId(BigInt(i)), serverVersion })),
  })
  t.equal(clusterVersionOf(state), null, 'one has not')
  t.equal(clusterVersionOf(told()), null, 'nobody')
  t.equal(clusterVersionOf(told('3.6.1')), '3.6.0')
  t.equal(clusterVersionOf(told('3.10.1', '3.9.7', '4.0.0')), '3.9.0')
  t.equal(clusterVersionOf(told('3.6.1', '')), null)
  t.equal(clusterVersionOf(told('3.6.1', 'noise')), null, 'what cannot be read is not guessed')
  t.equal(clusterVersionOf(told('3.6.0-rc.1', '3.7.0')), '3.6.0')
})

t.test('leaderships that were placed by hand: one a shard, the last one counts', async t => {
  const state = fresh()
  const hold = (group: number, node: bigint, hold: boolean): unknown => {
    const result = applyMetaCommand(state, {
      kind: 'holdLeader',
      group: groupId(group),
      node: nodeId(node),
      hold,
    })
    return result.ok ? state.heldLeaders.map(held => `${held.group}:${held.node}`).join() : result.error.code
  }
  t.equal(hold(9, 1n, true), 'shardNotFound')
  t.equal(hold(2, 1n, true), '2:1')
  t.equal(hold(1, 5n, true), '1:5,2:1')
  t.equal(hold(2, 6n, true), '1:5,2:6')
  t.equal(hold(2, 1n, false), '1:5,2:6', 'it was elsewhere by then')
  t.same(decodeMetaState(encodeMetaState(state), []).heldLeaders, state.heldLeaders)
  t.equal(hold(2, 6n, false), '1:5')
})

t.test('alarms: raising and taking back, once each, and what is remembered of them', async t => {
  const state = fresh()
  const before = encodeMetaState(state)
  const change = (change: 'raise' | 'clear', member: bigint, alarm: AlarmKind): unknown => {
    const result = applyMetaCommand(state, { kind: 'alarm', change, member: nodeId(member), alarm })
    return result.ok && result.value.kind === 'alarms' ? result.value.alarms : result
  }
  t.same(change('clear', 1n, 'noSpace'), [], 'not up')
  t.equal(toHex(encodeMetaState(state)), toHex(before), 'a cluster without alarms looks as ever')
  t.same(change('raise', 2n, 'corrupt'), [{ member: 2n, alarm: 'corrupt' }])
  t.same(change('raise', 2n, 'noSpace'), [{ member: 2n, alarm: 'noSpace' }])
  t.same(change('raise', 1n, 'noSpace'), [{ member: 1n, alarm: 'noSpace' }])
  t.same(change('raise', 2n, 'noSpace'), [], 'up already')
  t.equal(state.alarms.version, 3)
  const again = decodeMetaState(encodeMetaState(state), [])
  t.same(again.alarms, {
    version: 3,
    active: [
      { member: 1n, alarm: 'noSpace' },
      { member: 2n, alarm: 'noSpace' },
      { member: 2n, alarm: 'corrupt' },
    ],
  })
  t.same(change('clear', 2n, 'noSpace'), [{ member: 2n, alarm: 'noSpace' }])
  for (let i = 10; i < 10 + LIMITS.alarmsMax - 2; i++) change('raise', BigInt(i), 'noSpace')
  t.match(change('raise', 9n, 'noSpace'), { error: { code: 'tooManyRequests' } }, 'bounded')
  const bytes = Buffer.from(
    encodeMetaCommand({ kind: 'alarm', change: 'raise', member: nodeId(1n), alarm: 'noSpace' }),
  )
  t.equal(toHex(bytes), '011e0001000000000000000100')
  bytes[bytes.length - 1] = 9
  t.throws(() => decodeMetaCommand(bytes), MalformedError)
})
