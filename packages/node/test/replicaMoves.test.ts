import t from 'tap'
import { groupId, nodeId, pointRange, utf8, type KeyRange } from '@kvorum/model'
import { encodeMetaCommand, placedShard, type MetaCommand } from '@kvorum/placement'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { get, pairs, put, reply } from './requests.js'

const id = (node: number) => nodeId(BigInt(node))
const group = groupId(1)
const HALVES: KeyRange[] = [
  { start: new Uint8Array(0), end: utf8('m') },
  { start: utf8('m'), end: null },
]

/** Five nodes, two shards of three replicas each: on 1 2 3, and on 1 4 5. */
function five(): MiniCluster {
  const cluster = new MiniCluster({ nodes: 5, ranges: HALVES, replicas: 3 })
  cluster.until(() => [0, 1, 2].every(each => cluster.leaderOf(each) !== undefined))
  return cluster
}
const at = (cluster: MiniCluster, node: number): MiniNode => cluster.nodes[node - 1]!
const meta = (cluster: MiniCluster, command: MetaCommand, by = 1) =>
  cluster.ask(at(cluster, by), { kind: 'meta', command: encodeMetaCommand(command) })
const place = (before: number[], nodes: number[]): MetaCommand => ({
  kind: 'placeShard',
  group,
  before: before.map(id),
  nodes: nodes.map(id),
  override: false,
})
const placeOf = (node: MiniNode) => placedShard(node.state.groups.get(groupId(0))!.machine.meta!, group)!
const holders = (cluster: MiniCluster): number[] =>
  cluster.nodes.filter(node => node.state.groups.has(group)).map(node => Number(node.id))
/** Rows of keys of the first shard that the node's store holds. */
const rowsOf = (node: MiniNode): number =>
  [...node.rows.values()].filter(({ key }) => key[0] !== 0x4d && Buffer.from(key).includes('alpha')).length
const settle = (cluster: MiniCluster, nodes: number[]): void =>
  cluster.until(
    () =>
      holders(cluster).join() === nodes.join() &&
      cluster.nodes.every(node => placeOf(node).settled && placeOf(node).nodes.join() === nodes.join()),
    60_000,
  )
const get1 = (cluster: MiniCluster, node: number, key: string): string[] =>
  pairs(cluster.ask(at(cluster, node), get(pointRange(utf8(key)))))

t.test('shards with fewer replicas than there are nodes are reached through every node', async t => {
  const cluster = five()
  t.same(holders(cluster), [1, 2, 3])
  for (const node of [1, 2, 3, 4, 5]) {
    t.equal(reply(cluster.ask(at(cluster, node), put(`a${node}`, `left${node}`))).kind, 'op')
    t.equal(reply(cluster.ask(at(cluster, node), put(`z${node}`, `right${node}`))).kind, 'op')
  }
  for (const node of [1, 2, 3, 4, 5]) {
    t.match(get1(cluster, node, 'a5'), [/^a5=left5@/])
    t.match(get1(cluster, node, 'z4'), [/^z4=right4@/])
  }
  t.ok(
    cluster.nodes.every(node => node.state.groups.has(groupId(0))),
    'everybody learns the map from the meta group',
  )
})

t.test('a replica moves: copied, swapped, and its rows are gone where it was', async t => {
  const cluster = five()
  cluster.ask(at(cluster, 1), put('alpha', '1'))
  t.equal(reply(meta(cluster, place([1, 2, 3], [1, 2, 5]), 4)).kind, 'done')
  settle(cluster, [1, 2, 5])
  cluster.ask(at(cluster, 3), put('alpha', '2'))
  const digests = (): number[] =>
    [1, 2, 5].map(node => at(cluster, node).state.groups.get(group)!.machine.shard?.digest ?? -1)
  cluster.until(() => new Set(digests()).size === 1)
  t.match(get1(cluster, 3, 'alpha'), [/^alpha=2@/])
  cluster.until(() => rowsOf(at(cluster, 3)) === 0 && rowsOf(at(cluster, 5)) > 0)
  t.equal(at(cluster, 3).state.replicas.retired.get(group)?.phase, 'gone')
  t.same(at(cluster, 5).state.groups.get(group)!.raft!.config.voters, [1, 2, 5])
})

t.test('what fits in one chunk is sent once', async t => {
  const cluster = five()
  cluster.ask(at(cluster, 1), put('alpha', '1'))
  const begun = cluster.now
  t.equal(reply(meta(cluster, place([1, 2, 3], [1, 2, 5]))).kind, 'done')
  cluster.until(() => at(cluster, 5).state.groups.get(group)?.machine.installing === false)
  const sent = cluster.nodes.reduce((sum, { state }) => sum + state.counters.snapshotsSent, 0)
  t.equal(sent, 1)
  t.ok(cluster.now - begun < 3_000, `filled after ${cluster.now - begun} ms`)
  settle(cluster, [1, 2, 5])
})

t.test('a last chunk that is lost on the way is sent again', async t => {
  const cluster = five()
  cluster.ask(at(cluster, 1), put('alpha', '1'))
  let lost = 0
  cluster.isLost = parcel => parcel.kind === 'snapshotChunk' && parcel.done && lost++ < 2
  t.equal(reply(meta(cluster, place([1, 2, 3], [1, 2, 5]))).kind, 'done')
  const attempts = new Set<number>()
  cluster.until(() => {
    const filling = at(cluster, 5).state.groups.get(group)
    const pull = filling?.installing?.pull
    if (pull !== undefined) attempts.add(pull)
    return filling?.machine.installing === false
  })
  t.ok(lost > 2)
  t.equal(attempts.size, 1, 'it was not begun anew')
  cluster.until(() => cluster.nodes.every(({ state }) => state.streams.size === 0), 30_000)
})

for (const shards of ['one shard', 'two shards'])
  t.test(`what a member is being filled with is asked of its leader: ${shards}`, async t => {
    const cluster = shards === 'one shard' ? new MiniCluster({ nodes: 5, replicas: 3 }) : five()
    cluster.until(() => [0, 1].every(each => cluster.leaderOf(each) !== undefined))
    cluster.ask(at(cluster, 1), put('alpha', '1'))
    const before = holders(cluster)
    const comes = [1, 2, 3, 4, 5].find(node => !before.includes(node))!
    const goes = before.find(node => cluster.leaderOf(1) !== at(cluster, node))!
    const filling = at(cluster, comes)
    cluster.isLost = parcel => parcel.kind === 'snapshotChunk'
    const after = [...before.filter(node => node !== goes), comes].sort((a, b) => a - b)
    t.equal(reply(meta(cluster, place(before, after))).kind, 'done')
    cluster.until(() => (filling.state.groups.get(group)?.installing ?? null) !== null)
    t.match(get1(cluster, comes, 'alpha'), [/^alpha=1@/])
    t.equal(reply(cluster.ask(filling, put('alpha', '2'))).kind, 'op')
    t.match(get1(cluster, comes, 'alpha'), [/^alpha=2@/])
    t.match(pairs(cluster.ask(filling, get(pointRange(utf8('alpha')), true))), [/^alpha=2@/], 'serializable')
    t.not(filling.state.groups.get(group)!.installing, null, 'nothing has come')
    cluster.isLost = () => false
    settle(cluster, after)
    t.match(get1(cluster, comes, 'alpha'), [/^alpha=2@/])
  })

t.test('the leader itself moves away, and a replica comes back to where it was', async t => {
  const cluster = five()
  cluster.ask(at(cluster, 1), put('alpha', '1'))
  const leading = Number(cluster.leaderOf(1)!.id)
  const others = [1, 2, 3].filter(node => node !== leading)
  const away = [...others, 4].sort((a, b) => a - b)
  t.equal(reply(meta(cluster, place([1, 2, 3], away))).kind, 'done')
  settle(cluster, away)
  t.not(Number(cluster.leaderOf(1)!.id), leading)
  cluster.ask(at(cluster, 2), put('alpha', '2'))
  t.equal(reply(meta(cluster, place(away, [1, 2, 3]))).kind, 'done')
  settle(cluster, [1, 2, 3])
  t.equal(at(cluster, leading).state.replicas.retired.has(group), false)
  cluster.ask(at(cluster, 5), put('alpha', '3'))
  for (const node of [1, 2, 3, 4, 5]) t.match(get1(cluster, node, 'alpha'), [/^alpha=3@/])
  cluster.until(() => rowsOf(at(cluster, leading)) > 0 && rowsOf(at(cluster, 4)) === 0)
})

t.test('the only shard moves, also away from the node that leads the meta group', async t => {
  const cluster = new MiniCluster({ nodes: 5, replicas: 3 })
  cluster.until(() => [0, 1].every(each => cluster.leaderOf(each) !== undefined))
  cluster.ask(at(cluster, 5), put('alpha', '1'))
  const lead = Number(cluster.leaderOf(0)!.id)
  const first = cluster.nodes.filter(node => node.state.groups.has(group)).map(node => Number(node.id))
  const away = [1, 2, 3, 4, 5].filter(node => node !== lead).slice(-3)
  t.equal(reply(meta(cluster, place(first, away), 5)).kind, 'done')
  settle(cluster, away)
  t.equal(Number(cluster.leaderOf(0)!.id), lead, 'the meta group stays where it was')
  t.match(get1(cluster, lead, 'alpha'), [/^alpha=1@/])
  const back = [lead, ...away.slice(0, 2)].sort((a, b) => a - b)
  t.equal(reply(meta(cluster, place(away, back), 5)).kind, 'done')
  settle(cluster, back)
  cluster.ask(at(cluster, away[2]!), put('alpha', '2'))
  for (const node of [1, 2, 3, 4, 5]) t.match(get1(cluster, node, 'alpha'), [/^alpha=2@/])
})

t.test('all three replicas move at once', async t => {
  const cluster = five()
  cluster.ask(at(cluster, 1), put('alpha', '1'))
  t.equal(reply(meta(cluster, place([1, 2, 3], [3, 4, 5]))).kind, 'done')
  settle(cluster, [3, 4, 5])
  t.match(get1(cluster, 1, 'alpha'), [/^alpha=1@/])
  cluster.until(() => rowsOf(at(cluster, 1)) === 0 && rowsOf(at(cluster, 2)) === 0)
})

t.test('a node that was cut off while its replica moved away does not disturb when it is back', async t => {
  const cluster = five()
  cluster.ask(at(cluster, 1), put('alpha', '1'))
  const away = cluster.nodes.find(node => node.state.groups.has(group) && node !== cluster.leaderOf(1))!
  const cutOff = (cut: boolean): void => {
    for (const { id: other } of cluster.nodes) {
      for (const line of [`${away.id}>${other}`, `${other}>${away.id}`])
        if (cut) cluster.cut.add(line)
        else cluster.cut.delete(line)
    }
  }
  cutOff(true)
  const rest = [1, 2, 3].filter(node => id(node) !== away.id)
  const by = rest.find(node => cluster.leaderOf(0) !== away || id(node) !== away.id)!
  cluster.until(() =>
    cluster.nodes.some(node => node !== away && node.state.groups.get(groupId(0))?.raft?.role === 'leader'),
  )
  t.equal(reply(meta(cluster, place([1, 2, 3], [...rest, 5]), by)).kind, 'done')
  cluster.until(() => placeOf(at(cluster, by)).settled, 60_000)
  t.ok(away.state.groups.has(group), 'it does not know')
  const term = at(cluster, 5).state.groups.get(group)!.raft!.term
  cutOff(false)
  settle(cluster, [...rest, 5])
  t.equal(at(cluster, 5).state.groups.get(group)!.raft!.term, term, 'nobody had to be elected again')
  t.match(get1(cluster, Number(away.id), 'alpha'), [/^alpha=1@/])
})

t.test('what cannot be moved', async t => {
  const cluster = five()
  const code = (result: ReturnType<typeof meta>): string => (result.ok ? 'ok' : result.error.code)
  t.equal(code(meta(cluster, place([1, 2, 3], [1, 2, 9]))), 'memberNotFound')
  t.equal(code(meta(cluster, place([1, 2, 4], [1, 2, 3]))), 'shardChanged')
  const everywhere = new MiniCluster()
  everywhere.until(() => everywhere.leaderOf(0) !== undefined)
  t.equal(code(meta(everywhere, place([1, 2, 3], [1, 2]))), 'shardNotPlaced')
  t.equal(code(meta(everywhere, { kind: 'drainNode', node: id(1), drain: true })), 'drainNowhere')
})
