import t from 'tap'
import { groupId, nodeId, utf8, type KeyRange } from '@kvorum/model'
import { encodeMetaCommand, wantedNodes } from '@kvorum/placement'
import type { BalanceOptions } from '@kvorum/node'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { put, reply } from './requests.js'

const balance: BalanceOptions = {
  deadAfterMs: 5_000,
  steadyAfterMs: 500,
  everyMs: 100,
  movesMax: 2,
  transfersMax: 2,
  holdLeaderMs: 20_000,
  splitBytes: 0,
  tellLoadsMs: 500,
  busyRequests: 20,
  hotForMs: 2_000,
}
const id = (node: number) => nodeId(BigInt(node))
const RANGES: KeyRange[] = ['', 'd', 'h', 'm', 'q', 'u'].map((start, at, all) => ({
  start: utf8(start),
  end: all[at + 1] === undefined ? null : utf8(all[at + 1]!),
}))
const groups = RANGES.map((_, at) => groupId(at + 1))

/** Five nodes, six shards of three replicas each. */
function running(facts: Partial<BalanceOptions> = {}): MiniCluster {
  const cluster = new MiniCluster({
    nodes: 5,
    ranges: RANGES,
    replicas: 3,
    balance: { ...balance, ...facts },
  })
  cluster.until(() => [0, 1, 2, 3, 4, 5, 6].every(each => cluster.leaderOf(each) !== undefined))
  return cluster
}
/** Of those that can be reached the one that has heard most of the meta group. */
function informed(cluster: MiniCluster): MiniNode {
  const heard = ({ state }: MiniNode): number => state.groups.get(groupId(0))?.machine.applied ?? 0
  const reached = cluster.nodes.filter(
    ({ id }) => [...cluster.cut].filter(cut => cut.startsWith(`${id}>`)).length < 2,
  )
  return reached.sort((a, b) => heard(b) - heard(a))[0]!
}
const metaOf = (node: MiniNode) => node.state.groups.get(groupId(0))!.machine.meta!
const heldBy = (cluster: MiniCluster, node: number): number =>
  groups.filter(group => wantedNodes(metaOf(informed(cluster)), group).includes(id(node))).length
const isQuiet = (cluster: MiniCluster): boolean =>
  metaOf(informed(cluster)).placement.shards.every(({ settled }) => settled)
const led = (cluster: MiniCluster): number[] =>
  cluster.nodes.map(node => groups.filter(group => cluster.leaderOf(group) === node).length)
const drain = (node: number, on = true) =>
  ({ kind: 'meta', command: encodeMetaCommand({ kind: 'drainNode', node: id(node), drain: on }) }) as const

/** Cuts a node off from all others, or lets it back. */
function connect(cluster: MiniCluster, node: MiniNode, on: boolean): void {
  for (const other of cluster.nodes) {
    if (other === node) continue
    for (const [from, to] of [
      [node, other],
      [other, node],
    ] as const) {
      if (on) cluster.cut.delete(`${from.id}>${to.id}`)
      else cluster.cut.add(`${from.id}>${to.id}`)
      from.put({ kind: on ? 'peerUp' : 'peerDown', node: to.id })
    }
  }
}

t.test('leaders are spread, and then nothing more is done', async t => {
  const cluster = running()
  const isSpread = (): boolean => Math.max(...led(cluster)) - Math.min(...led(cluster)) <= 2
  cluster.until(isSpread, 30_000)
  cluster.run(1_000)
  const before = led(cluster).join()
  const { version } = metaOf(informed(cluster)).shards
  cluster.run(2_000)
  t.equal(led(cluster).join(), before)
  t.equal(metaOf(informed(cluster)).shards.version, version, 'no replica moves')
})

t.test('where every member has all shards, leaders are spread and nothing moves', async t => {
  const cluster = new MiniCluster({ nodes: 3, ranges: RANGES, balance })
  cluster.until(() => [0, ...groups].every(each => cluster.leaderOf(each) !== undefined))
  // One of them has come to lead all.
  const [first] = cluster.nodes
  for (const group of groups) {
    const request = { kind: 'moveLeader', to: first!.id, group } as const
    if (cluster.leaderOf(group) !== first) cluster.ask(cluster.leaderOf(group)!, request)
  }
  cluster.until(() => Math.max(...led(cluster)) > 2, 5_000)
  cluster.until(() => led(cluster).join() === '2,2,2', 30_000)
  const { version } = metaOf(informed(cluster)).shards
  cluster.run(2_000)
  t.equal(led(cluster).join(), '2,2,2')
  t.equal(metaOf(informed(cluster)).shards.version, version, 'no replica moves')
  t.same(metaOf(informed(cluster)).placement.shards, [])
})

t.test('a leader that was placed by hand stays for its time', async t => {
  const cluster = new MiniCluster({ nodes: 3, ranges: RANGES, balance })
  cluster.until(() => [0, ...groups].every(each => cluster.leaderOf(each) !== undefined))
  cluster.until(() => led(cluster).join() === '2,2,2', 30_000)
  const [first] = cluster.nodes
  for (const group of groups) {
    const hold = { kind: 'holdLeader', group, node: first!.id, hold: true } as const
    t.ok(cluster.ask(informed(cluster), { kind: 'meta', command: encodeMetaCommand(hold) }).ok)
    t.ok(cluster.ask(informed(cluster), { kind: 'moveLeader', to: first!.id, group }).ok)
  }
  cluster.run(10_000)
  t.equal(led(cluster).join(), '6,0,0', 'it is left where it is')
  cluster.until(() => led(cluster).join() === '2,2,2', 60_000)
  cluster.until(() => metaOf(informed(cluster)).heldLeaders.length === 0, 10_000)
  t.pass('when its time is over it is handed back')
})

t.test('a dead node is replaced after its time, and what comes back is filled again', async t => {
  const cluster = running()
  const dead = cluster.nodes.find(node => node !== cluster.leaderOf(0))!
  const number = Number(dead.id)
  connect(cluster, dead, false)
  const others = cluster.nodes.filter(node => node !== dead)
  const isLed = (group: number): boolean =>
    others.some(node => node.state.groups.get(groupId(group))?.raft?.role === 'leader')
  cluster.until(() => [0, ...groups].every(isLed), 10_000)
  t.ok(heldBy(cluster, number) > 0, 'it is waited for')
  cluster.until(() => heldBy(cluster, number) === 0 && isQuiet(cluster), 60_000)
  for (const key of ['a', 'e', 'i', 'n', 'r', 'v'])
    t.equal(reply(cluster.ask(informed(cluster), put(key, '1'))).kind, 'op')
  connect(cluster, dead, true)
  cluster.until(() => heldBy(cluster, number) >= 3 && isQuiet(cluster), 120_000)
  t.pass('it holds as many as the others')
})

t.test('a node is drained: nothing is led there, nothing is held', async t => {
  const cluster = running()
  const leaving = cluster.nodes.find(node => node !== cluster.leaderOf(0))!
  cluster.run(1_000)
  t.equal(reply(cluster.ask(informed(cluster), drain(Number(leaving.id)))).kind, 'done')
  cluster.until(
    () =>
      heldBy(cluster, Number(leaving.id)) === 0 &&
      isQuiet(cluster) &&
      groups.every(group => !leaving.state.groups.has(group)),
    120_000,
  )
  t.ok(groups.every(group => cluster.leaderOf(group) !== leaving))
  t.equal(reply(cluster.ask(leaving, put('a', 'through it'))).kind, 'op')
})

t.test('a member that is removed with its replicas is replaced, if its shards go on without it', async t => {
  const cluster = running()
  cluster.nodesMayEnd = true
  cluster.run(1_000)
  const [leaving, dead] = cluster.nodes.filter(node => node !== cluster.leaderOf(0))
  const request = {
    kind: 'meta',
    command: encodeMetaCommand({ kind: 'removeMember', node: leaving!.id, strict: true }),
  } as const
  const holdsWith = (group: number): boolean =>
    [leaving!, dead!].every(({ id: node }) =>
      wantedNodes(metaOf(informed(cluster)), groupId(group)).includes(node),
    )
  t.ok(groups.some(holdsWith), 'of some shard both have a replica')
  connect(cluster, dead!, false)
  const others = cluster.nodes.filter(node => node !== dead && node !== leaving)
  const isLed = (group: number): boolean =>
    cluster.nodes.some(
      node => node !== dead && node.state.groups.get(groupId(group))?.raft?.role === 'leader',
    )
  cluster.until(() => [0, ...groups].every(isLed), 10_000)
  const refused = cluster.ask(others[0]!, request)
  t.equal(refused.ok ? 'done' : refused.error.code, 'unhealthy')
  connect(cluster, dead!, true)
  cluster.until(() => others.every(({ state }) => state.peers.get(dead!.id)?.trusted === true))
  cluster.run(500)
  t.equal(reply(cluster.ask(others[0]!, request)).kind, 'members')
  cluster.until(() => {
    const meta = metaOf(informed(cluster))
    const places = groups.map(group => wantedNodes(meta, group))
    return isQuiet(cluster) && places.every(nodes => nodes.length === 3 && !nodes.includes(leaving!.id))
  }, 120_000)
  for (const key of ['a', 'e', 'i', 'n', 'r', 'v'])
    t.equal(reply(cluster.ask(others[0]!, put(key, '1'))).kind, 'op')
})

for (const splitBytes of [0, 1_000_000])
  t.test(
    `two members that are removed one after the other: what both had has its replicas again${splitBytes > 0 ? '' : ', though nobody tells what is led'}`,
    async t => {
      const cluster = running({ splitBytes })
      cluster.nodesMayEnd = true
      cluster.run(1_000)
      const leaving = cluster.nodes.filter(node => node !== cluster.leaderOf(0)).slice(0, 2)
      const others = cluster.nodes.filter(node => !leaving.includes(node))
      const hadBoth = groups.filter(group =>
        leaving.every(node => wantedNodes(metaOf(informed(cluster)), group).includes(node.id)),
      )
      t.ok(hadBoth.length > 0)
      for (const { id: node } of leaving) {
        const command = encodeMetaCommand({ kind: 'removeMember', node, strict: true })
        t.equal(reply(cluster.ask(others[0]!, { kind: 'meta', command })).kind, 'members')
      }
      const voters = (group: number): number[] =>
        cluster.nodes.flatMap(node => {
          const raft = node.up ? node.state.groups.get(groupId(group))?.raft : null
          return raft?.role === 'leader' ? [raft.config.voters.length] : []
        })
      cluster.until(() => groups.every(group => voters(group).join() === '3'), 60_000)
      for (const key of ['a', 'e', 'i', 'n', 'r', 'v'])
        t.equal(reply(cluster.ask(others[0]!, put(key, '1'))).kind, 'op')
    },
  )

t.test('the last replicas have nowhere to go', async t => {
  const cluster = running()
  cluster.run(1_000)
  const codes = [1, 2, 3].map(node => {
    const result = cluster.ask(informed(cluster), drain(node))
    return result.ok ? 'ok' : result.error.code
  })
  t.same(codes, ['ok', 'ok', 'drainNowhere'])
  t.equal(reply(cluster.ask(informed(cluster), drain(1, false))).kind, 'done')
  t.equal(reply(cluster.ask(informed(cluster), drain(3))).kind, 'done')
})
