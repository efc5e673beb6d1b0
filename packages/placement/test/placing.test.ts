import t from 'tap'
import { ALL_KEYS, groupId, LIMITS, nodeId, replicaId, toHex, utf8, type Replica } from '@kvorum/model'
import {
  applyMetaCommand,
  createMetaState,
  decodeMetaCommand,
  decodeMetaState,
  encodeMetaCommand,
  encodeMetaState,
  mayCountFormer,
  NO_PLACEMENT,
  placedShard,
  shardsOn,
  wantedNodes,
  wantedSeats,
  type MetaCommand,
  type MetaState,
  type NodeRecord,
} from '@kvorum/placement'

const id = (node: number) => nodeId(BigInt(node))
const group = groupId(1)
const record = (node: number, learner = false): NodeRecord => ({
  id: id(node),
  name: `n${node}`,
  peerUrls: [`http://n${node}`],
  clientUrls: [],
  learner,
  serverVersion: '3.5.21',
})
const replicasOn = (...nodes: number[]): Replica[] =>
  nodes.map(node => ({ id: replicaId(node), node: id(node) }))

/** Five members, the shard on three of them. */
function fresh(on = [1, 2, 5]): MetaState {
  return createMetaState(
    [1, 2, 3, 4, 5].map(node => record(node)),
    [{ group, range: ALL_KEYS, epoch: 1, replicas: replicasOn(...on) }],
    { replicas: 3, members: replicasOn(1, 2, 3, 4, 5) },
  )
}
const place = (before: number[], nodes: number[], override = false): MetaCommand => ({
  kind: 'placeShard',
  group,
  before: before.map(id),
  nodes: nodes.map(id),
  override,
})
const placed = (nodes: number[], index = 40): MetaCommand => ({
  kind: 'shardPlaced',
  group,
  nodes: nodes.map(id),
  index,
})
const drain = (node: number, on = true): MetaCommand => ({ kind: 'drainNode', node: id(node), drain: on })
function apply(state: MetaState, command: MetaCommand): string {
  const result = applyMetaCommand(state, decodeMetaCommand(encodeMetaCommand(command)))
  return result.ok ? 'ok' : result.error.code
}

t.test('a new cluster: every member has a replica id, also where the shards do not name it', async t => {
  const state = fresh()
  t.same(
    state.membership.seats.map(({ node, replica }) => [node, replica]),
    [1, 2, 3, 4, 5].map(node => [id(node), node]),
  )
  t.same(wantedNodes(state, group), [1n, 2n, 5n])
  t.same(
    wantedSeats(state, group).map(({ replica }) => replica),
    [1, 2, 5],
  )
  t.same(wantedNodes(decodeMetaState(encodeMetaState(state), []), group), [1n, 2n, 5n])
})

t.test('without a number of replicas every member has one, and nothing is written of it', async t => {
  const nodes = [record(1), record(2, true)]
  const shards = [{ group, range: ALL_KEYS, epoch: 1, replicas: replicasOn(1, 2) }]
  const state = createMetaState(nodes, shards)
  t.equal(placedShard(state, group), undefined)
  t.same(wantedNodes(state, group), [1n], 'who votes')
  t.equal(wantedSeats(state, group).length, 2, 'a learner takes part')
  const bytes = toHex(encodeMetaState(state))
  state.placement = { ...NO_PLACEMENT, replicas: 3 }
  t.not(toHex(encodeMetaState(state)), bytes)
})

t.test('a move: wanted elsewhere, then there', async t => {
  const state = fresh()
  t.equal(apply(state, place([1, 2, 5], [2, 3, 5])), 'ok')
  t.match(placedShard(state, group), { nodes: [2n, 3n, 5n], settled: false, settledAt: 0 })
  t.match(state.shards.shards[0], { replicas: replicasOn(1, 2, 5) }, 'still there')
  t.equal(apply(state, placed([1, 2, 5])), 'ok')
  t.notOk(placedShard(state, group)!.settled, 'told of what was wanted before')
  t.equal(apply(state, placed([2, 3, 5], 77)), 'ok')
  t.match(placedShard(state, group), { settled: true, settledAt: 77 })
  t.match(state.shards, { version: 2, shards: [{ epoch: 1, replicas: replicasOn(2, 3, 5) }] })
})

t.test('what is refused', async t => {
  const state = fresh()
  const other: MetaCommand = { ...place([1], [2]), group: groupId(9) } as MetaCommand
  t.equal(apply(state, other), 'shardNotFound')
  t.equal(apply(state, place([1, 2, 4], [1, 2, 3])), 'shardChanged', 'decided by an older map')
  t.equal(apply(state, place([1, 2, 5], [])), 'placeInvalid')
  t.equal(apply(state, place([1, 2, 5], [1, 2, 9])), 'memberNotFound')
  t.equal(apply(state, drain(9)), 'memberNotFound')
  t.equal(apply(state, drain(3)), 'ok')
  t.equal(apply(state, place([1, 2, 5], [1, 2, 3])), 'nodeDraining')
  t.equal(apply(state, drain(3, false)), 'ok')
  t.equal(apply(state, place([1, 2, 5], [1, 2, 3])), 'ok')
  t.equal(apply(state, place([1, 2, 3], [1, 2, 4])), 'shardBusy', 'two operations at once')
  t.equal(apply(state, { kind: 'splitShard', at: utf8('m'), group }), 'shardBusy', 'nor is it split')
  t.equal(apply(state, place([1, 2, 3], [1, 2, 4], true)), 'ok', 'unless the first cannot end')
  t.ok(LIMITS.replicasPerShardMax < 9)
  t.equal(apply(state, place([1, 2, 4], [1, 2, 3, 4, 5, 6, 7, 8])), 'shardBusy')
})

t.test('a split: no move at the same time, and the right half begins where the left is', async t => {
  const state = fresh()
  t.equal(apply(state, { kind: 'splitShard', at: utf8('m'), group }), 'ok')
  t.equal(apply(state, place([1, 2, 5], [1, 2, 3])), 'shardBusy')
  t.equal(apply(state, { kind: 'finishSplit', right: groupId(2) }), 'ok')
  t.match(placedShard(state, groupId(2)), { nodes: [1n, 2n, 5n], settled: true, settledAt: 0 })
  t.equal(apply(state, place([1, 2, 5], [1, 2, 3])), 'ok')
  t.same(wantedNodes(state, groupId(2)), [1n, 2n, 5n])
})

t.test('a node that holds as many shards as it may gets no more', async t => {
  const many = LIMITS.shardsPerNodeMax
  const state = fresh()
  const { shards } = state.shards
  state.shards = {
    version: 1,
    shards: Array.from({ length: many + 1 }, (_, at) => ({ ...shards[0]!, group: groupId(at + 1) })),
  }
  state.placement = {
    ...state.placement,
    shards: state.shards.shards.map(({ group }) => ({
      group,
      nodes: [id(group === 1 ? 1 : 3)],
      settled: true,
      settledAt: 0,
    })),
  }
  t.equal(shardsOn(state, id(3)), many)
  t.equal(apply(state, place([1], [3])), 'nodeFull')
  t.equal(apply(state, place([1], [2])), 'ok')
})

t.test('who is removed is not drained any more, and has no seat in any shard', async t => {
  const state = fresh()
  apply(state, drain(5))
  t.same(state.placement.draining, [5n])
  t.equal(apply(state, { kind: 'removeMember', node: id(5), strict: false }), 'ok')
  t.same(state.placement.draining, [])
  t.same(
    wantedSeats(state, group).map(({ node }) => node),
    [1n, 2n],
  )
  t.match(placedShard(state, group), { nodes: [1n, 2n], settled: false }, 'until its group has let it go')
})

const without = (node: number): MetaCommand => ({ kind: 'removeMember', node: id(node), strict: false })

t.test('whoever was a member may be counted until the shards say that they go on without', async t => {
  const state = fresh()
  t.ok(mayCountFormer(state, id(5)), 'it is a member, as far as this state knows')
  t.equal(apply(state, without(5)), 'ok')
  t.ok(mayCountFormer(state, id(5)))
  t.same(decodeMetaState(encodeMetaState(state), []).placement, state.placement)
  t.equal(apply(state, place([1, 2], [1, 2, 3], true)), 'ok', 'its place is taken')
  t.ok(mayCountFormer(state, id(5)))
  t.equal(apply(state, placed([1, 2, 3])), 'ok')
  t.notOk(mayCountFormer(state, id(5)))
  t.equal(apply(state, without(4)), 'ok')
  t.notOk(mayCountFormer(state, id(4)), 'no shard was there')
  t.match(placedShard(state, group), { settled: true })
  t.equal(apply(state, place([1, 2, 3], [1, 2])), 'ok')
  t.equal(apply(state, placed([1, 2], 50)), 'ok')
  t.equal(apply(state, place([1, 2], [1, 2, 3])), 'ok')
  t.equal(apply(state, without(3)), 'ok')
  t.equal(apply(state, placed([1, 2], 45)), 'ok')
  t.ok(mayCountFormer(state, id(3)), 'that was told of an earlier time')
  t.equal(apply(state, placed([1, 2], 60)), 'ok')
  t.notOk(mayCountFormer(state, id(3)))
})

t.test('the only replica of a shard stays wanted where it is, member or not', async t => {
  const state = fresh([5])
  t.equal(apply(state, without(5)), 'ok')
  t.match(placedShard(state, group), { nodes: [5n], settled: false })
  t.same(wantedSeats(state, group), [])
  t.equal(apply(state, place([5], [2], true)), 'ok')
  t.equal(apply(state, placed([2])), 'ok')
  t.notOk(mayCountFormer(state, id(5)))
})

t.test('the right half of a split counts whom the left may count', async t => {
  const state = fresh()
  t.equal(apply(state, { kind: 'splitShard', at: utf8('m'), group }), 'ok')
  t.equal(apply(state, without(5)), 'ok')
  t.equal(apply(state, { kind: 'finishSplit', right: groupId(2) }), 'ok')
  t.match(placedShard(state, groupId(2)), { nodes: [1n, 2n], settled: false })
  t.equal(apply(state, placed([1, 2])), 'ok')
  t.ok(mayCountFormer(state, id(5)), 'the right half has not said so')
})

t.test(
  'users that changed: what an administrator wanted is refused, what the balancer moves is not',
  async t => {
    const state = fresh()
    state.auth = { ...state.auth, enabled: true, fence: 7 }
    const by = (command: MetaCommand, authRevision: number | null): string => {
      const result = applyMetaCommand(state, command, authRevision)
      return result.ok ? 'ok' : result.error.code
    }
    t.equal(by(place([1, 2, 5], [1, 2, 3]), 6), 'authOutdated')
    t.equal(by(place([1, 2, 5], [1, 2, 3]), null), 'authOutdated')
    t.equal(by(drain(1), 6), 'authOutdated')
    t.equal(by(place([1, 2, 5], [1, 2, 3], true), null), 'ok')
    t.equal(by(placed([1, 2, 3]), null), 'ok')
  },
)
