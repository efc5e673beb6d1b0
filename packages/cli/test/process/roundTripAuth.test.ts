import { join } from 'node:path'
import t from 'tap'
import { Cluster } from './cluster.js'
import { etcdctl, kvorum, RealEtcd, skipWithoutEtcd, succeeds, temporaryDirectory } from './realEtcd.js'
import { dumpFile } from './snapshotDump.js'

t.setTimeout(300_000)

const ROOT = '--user=root:secret of root'
const ANN = '--user=ann:secret of ann'

t.test('users, roles and passwords go from etcd to kvorum and back', { skip: skipWithoutEtcd }, async t => {
  const directory = temporaryDirectory(t)
  const path = (name: string): string => join(directory, name)
  const first = await (await RealEtcd.create(t, path('first'))).start()
  for (const argv of [
    ['put', 'open/a', '1'],
    ['put', 'closed/a', '1'],
    ['user', 'add', 'root:secret of root'],
    ['user', 'grant-role', 'root', 'root'],
    ['user', 'add', 'ann:secret of ann'],
    ['user', 'add', 'nobody', '--no-password'],
    ['role', 'add', 'opener'],
    ['role', 'grant-permission', 'opener', 'readwrite', 'open/', 'open0'],
    ['role', 'grant-permission', 'opener', 'read', 'single'],
    ['user', 'grant-role', 'ann', 'opener'],
    ['auth', 'enable'],
  ]) {
    await succeeds(t, first.etcdctl(...argv), argv.join(' '))
  }
  await succeeds(t, first.etcdctl(ROOT, 'snapshot', 'save', path('etcd.db')), 'etcdctl snapshot save')

  const cluster = await Cluster.create(t, { nodes: 1 })
  const [node] = cluster.nodes
  const flags = node!.plan.flags.filter(flag => /^--(name|data-dir|initial-cluster(-token)?)=/.test(flag))
  const peer = node!.plan.flags.find(flag => flag.startsWith('--listen-peer-urls='))!
  const advertised = peer.replace('--listen-peer-urls', '--initial-advertise-peer-urls')
  const restored = kvorum('snapshot', 'restore', path('etcd.db'), ...flags, advertised)
  await succeeds(t, restored, 'kvorum snapshot restore')
  node!.start()
  // It tells nobody who leads that does not say who asks.
  await node!.logged(/"group":1,.*This node leads/)
  const endpoint = new URL(node!.plan.clientUrl).host
  const ours = (...argv: string[]) => etcdctl(endpoint, ...argv)
  await checkUsers('kvorum', ours)

  const entriesOf = async (file: string) => {
    const dump = await dumpFile(path(file))
    return { auth: dump.get('auth'), users: dump.get('authUsers'), roles: dump.get('authRoles') }
  }
  await succeeds(t, ours(ROOT, 'snapshot', 'save', path('kvorum.db')), 'etcdctl snapshot save from kvorum')
  t.same(await entriesOf('kvorum.db'), await entriesOf('etcd.db'), 'the same users and roles, byte for byte')

  // A password that was set here is none that etcd could check; the user is there all the same.
  await succeeds(t, ours(ROOT, 'user', 'add', 'new:secret of new'), 'user add')
  await succeeds(t, ours(ROOT, 'snapshot', 'save', path('later.db')), 'etcdctl snapshot save from kvorum')
  const second = await RealEtcd.create(t, path('second'))
  await succeeds(t, second.restore(path('later.db')), 'etcdctl snapshot restore')
  await second.start()
  await checkUsers('the second etcd', (...argv) => second.etcdctl(...argv))
  t.match(await second.etcdctl('--user=new:secret of new', 'get', 'x'), {
    stderr: /invalid user ID or password/,
  })
  await succeeds(t, second.etcdctl(ROOT, 'user', 'get', 'new'), 'user get')

  async function checkUsers(
    where: string,
    ask: (...argv: string[]) => ReturnType<typeof etcdctl>,
  ): Promise<void> {
    t.equal(await succeeds(t, ask(ANN, 'get', 'open/a'), `${where}: get`), 'open/a\n1\n')
    await succeeds(t, ask(ANN, 'put', 'open/b', '2'), `${where}: put`)
    t.match(await ask(ANN, 'get', 'closed/a'), { stderr: /permission denied/ }, where)
    t.match(await ask(ANN, 'put', 'single', '1'), { stderr: /permission denied/ }, where)
    t.match(await ask('get', 'open/a'), { stderr: /user name is empty/ }, where)
    t.match(await ask('--user=ann:wrong', 'get', 'open/a'), { stderr: /invalid user ID or password/ }, where)
    t.not((await ask('--user=nobody:x', 'get', 'open/a')).status, 0, where)
    t.equal(await succeeds(t, ask(ROOT, 'get', 'closed/a'), `${where}: root`), 'closed/a\n1\n')
  }
})
