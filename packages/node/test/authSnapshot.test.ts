import { META_GROUP, pointRange, utf8, type ClientRequest, type GroupId } from '@kvorum/model'
import { encodeMetaCommand, type AuthCommand } from '@kvorum/placement'
import t from 'tap'
import { authOf } from '#src/authChanges.js'
import { MiniCluster } from './miniCluster.js'
import { get, put } from './requests.js'

const change = (fence: number, command: AuthCommand): ClientRequest => ({
  ...by(fence, { kind: 'meta', command: encodeMetaCommand({ kind: 'auth', command }) }),
})
const by = (fence: number, request: ClientRequest): ClientRequest => ({
  ...request,
  authority: { fence, writable: null },
})

t.test('etcd#14571: rights are those of the snapshot that a follower was sent', async t => {
  const cluster = new MiniCluster({ limits: { snapshotEntries: 20, catchUpEntries: 5, flushAfterMs: 5 } })
  cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
  const node = cluster.leaderOf(META_GROUP)!
  const lagging = cluster.nodes.find(one => one !== node && one !== cluster.leaderOf(1))!
  const ask = (request: ClientRequest): void => {
    t.match(cluster.ask(node, request), { ok: true })
  }
  const password = utf8('hash')
  ask(change(0, { kind: 'userAdd', name: 'root', password }))
  ask(change(0, { kind: 'userGrantRole', name: 'root', role: 'root' }))
  ask(change(0, { kind: 'enable' }))
  cluster.until(() => authOf(lagging.state)?.enabled === true)
  const old = authOf(lagging.state)!.fence
  lagging.up = false
  for (let i = 0; i < 60; i++) {
    const { fence } = authOf(node.state)!
    ask(change(fence, { kind: 'userAdd', name: `user-${i}`, password }))
    ask(by(authOf(node.state)!.fence, put('k', `${i}`)))
  }
  const purged = (group: number): number => node.state.groups.get(group as GroupId)?.raft?.base.index ?? 0
  cluster.until(() => purged(0) > 40 && purged(1) > 40, 60_000)
  lagging.up = true
  cluster.until(() => lagging.state.counters.snapshotsInstalled >= 2, 60_000)
  const newest = authOf(node.state)!
  cluster.until(() => authOf(lagging.state)?.fence === newest.fence)
  t.strictSame([...authOf(lagging.state)!.users.keys()].sort(), [...newest.users.keys()].sort())
  const read = get(pointRange(utf8('k')), true)
  t.match(cluster.ask(lagging, by(old, read)), { ok: false, error: { code: 'authOutdated' } })
  t.match(cluster.ask(lagging, by(newest.fence, read)), { ok: true })
})
