import t from 'tap'
import { META_GROUP, nodeId } from '@kvorum/model'
import { encodeMetaCommand } from '@kvorum/placement'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { put } from './requests.js'

const [FIRST, SECOND, THIRD] = [nodeId(1n), nodeId(2n), nodeId(3n)]
const NEW_HOME = 'http://elsewhere:2380'

const node = (cluster: MiniCluster, id: bigint): MiniNode => cluster.nodes.find(each => each.id === id)!

/** The address of the third is changed; the entry is in the logs of the second and the third, and committed nowhere. */
function halfChanged(): MiniCluster {
  const cluster = new MiniCluster()
  cluster.until(() => cluster.leaderOf(META_GROUP) !== undefined && cluster.leaderOf(1) !== undefined)
  cluster.ask(cluster.nodes[0]!, { kind: 'moveLeader', to: THIRD })
  cluster.until(() => cluster.leaderOf(META_GROUP)?.id === THIRD)
  cluster.ask(cluster.nodes[0]!, put('before', 'it'))
  const [first, second, third] = [FIRST, SECOND, THIRD].map(id => node(cluster, id)) as [
    MiniNode,
    MiniNode,
    MiniNode,
  ]
  first.kill()
  const last = (): number => third.state.groups.get(META_GROUP)!.raft!.lastIndex
  const before = last()
  // What the second says of it never arrives.
  cluster.cut.add(`${SECOND}>${THIRD}`)
  third.request({
    kind: 'meta',
    command: encodeMetaCommand({ kind: 'updateMember', node: THIRD, peerUrls: [NEW_HOME] }),
  })
  cluster.until(() => last() > before && second.state.groups.get(META_GROUP)!.raft!.lastIndex === last())
  third.kill()
  cluster.cut.clear()
  return cluster
}

const urlsOfThird = (cluster: MiniCluster): readonly string[] =>
  node(cluster, SECOND).state.peers.get(THIRD)!.urls

t.test('a member is found where it says it is, though that is not known to be committed', async t => {
  const cluster = halfChanged()
  t.strictSame(urlsOfThird(cluster), ['http://n3'])
  cluster.homes.set(THIRD, NEW_HOME)
  const [second, third] = [node(cluster, SECOND), node(cluster, THIRD)]
  third.restart()
  t.notOk(second.reaches(THIRD))
  cluster.until(() => cluster.leaderOf(META_GROUP) !== undefined && cluster.leaderOf(1) !== undefined, 20_000)
  t.equal(cluster.ask(second, put('after', 'it')).ok, true)
  cluster.until(() => urlsOfThird(cluster).join() === NEW_HOME)
  t.ok(second.reaches(THIRD))
  t.equal(cluster.ask(third, put('and', 'on')).ok, true)
})

t.test('whoever shows another directory is not looked for where it says', async t => {
  const cluster = halfChanged()
  const [second, third] = [node(cluster, SECOND), node(cluster, THIRD)]
  const { cluster: id } = second.state.options
  const say = (more: object, peerUrls: readonly string[]): void => {
    const identity = { ...third.state.identity, ...more }
    second.put({
      kind: 'parcels',
      from: THIRD,
      parcels: [{ kind: 'hello', cluster: id, node: THIRD, identity, peerUrls }],
    })
    cluster.run(5)
  }
  const said = (): readonly string[] => second.state.peers.get(THIRD)!.said
  say({ nonce: 99n }, ['http://copy'])
  say({ boot: 0 }, ['http://older'])
  t.strictSame(said(), [])
  say({}, ['http://now'])
  t.strictSame(said(), ['http://now'])
  say({ incarnation: 99n }, ['http://wiped'])
  t.strictSame(said(), ['http://now'])
})
