import { join } from 'node:path'
import { RawClient } from '@kvorum/client'
import t from 'tap'
import { Cluster } from './cluster.js'
import { etcdctl, kvorum, RealEtcd, skipWithoutEtcd, succeeds, temporaryDirectory } from './realEtcd.js'
import { dumpFile } from './snapshotDump.js'
import { holds } from './until.js'

t.setTimeout(600_000)

const ALARM = { memberID: 0xabcdn, alarm: 1 }
const ACTIONS = { GET: 0, ACTIVATE: 1, DEACTIVATE: 2 } as const
const alarm = (client: RawClient, action: keyof typeof ACTIONS) =>
  client.call('etcdserverpb.Maintenance/Alarm', { ...ALARM, action: ACTIONS[action] })

t.test('alarms go from etcd to kvorum and into its own files', { skip: skipWithoutEtcd }, async t => {
  const directory = temporaryDirectory(t)
  const path = (name: string): string => join(directory, name)
  const clientOf = (endpoint: string): RawClient => {
    const client = new RawClient({ endpoints: endpoint, timeoutMs: 60_000 })
    t.teardown(() => client.close())
    return client
  }
  const etcd = await (await RealEtcd.create(t, path('etcd'))).start()
  await succeeds(t, etcd.etcdctl('put', 'k', 'v'), 'etcdctl put')
  await alarm(clientOf(etcd.endpoint), 'ACTIVATE')
  await succeeds(t, etcd.etcdctl('snapshot', 'save', path('etcd.db')), 'etcdctl snapshot save')

  const cluster = await Cluster.create(t, { nodes: 1 })
  const node = cluster.nodes[0]!
  const value = (name: string): string =>
    node.plan.flags.find(flag => flag.startsWith(`--${name}=`))!.slice(name.length + 3)
  const given = ['name', 'data-dir', 'initial-cluster', 'initial-cluster-token'].map(
    name => `--${name}=${value(name)}`,
  )
  const peer = `--initial-advertise-peer-urls=${value('listen-peer-urls')}`
  const restored = kvorum('snapshot', 'restore', path('etcd.db'), ...given, peer)
  await succeeds(t, restored, 'kvorum snapshot restore')
  node.start()
  // A server with an alarm does not call itself healthy.
  await holds('the alarm', async () => {
    const { body } = await node.get('/health').catch(() => ({ body: '' }))
    return body.includes('ALARM NOSPACE')
  })
  const client = clientOf(node.plan.clientUrl)
  const { alarms } = await alarm(client, 'GET')
  t.same(
    alarms.map(({ memberID, alarm }) => ({ memberID, alarm })),
    [ALARM],
  )
  const put = { key: Buffer.from('k'), value: Buffer.from('w') }
  await t.rejects(client.call('etcdserverpb.KV/Put', put), /database space exceeded/)

  const endpoint = new URL(node.plan.clientUrl).host
  const saved = kvorum('snapshot', 'save', path('kvorum.db'), `--endpoints=${endpoint}`)
  await succeeds(t, saved, 'kvorum snapshot save')
  const [ours, theirs] = [await dumpFile(path('kvorum.db')), await dumpFile(path('etcd.db'))]
  t.equal(theirs.get('alarm')?.length, 1)
  t.same(ours.get('alarm'), theirs.get('alarm'), 'the same in both files')
  t.same(ours.get('key'), theirs.get('key'))
  await succeeds(t, etcdctl(endpoint, 'snapshot', 'status', path('kvorum.db')), 'etcdctl snapshot status')

  await alarm(client, 'DEACTIVATE')
  await client.call('etcdserverpb.KV/Put', put)
  await cluster.healthy()
})
