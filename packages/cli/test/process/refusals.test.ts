import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KvorumClient } from '@kvorum/client'
import t, { type Test } from 'tap'
import { Cluster } from './cluster.js'
import { refused } from './refused.js'
import type { ServerProcess } from './serverProcess.js'

t.setTimeout(600_000)

/** One running server, to collide with. */
async function running(t: Test): Promise<{ cluster: Cluster; node: ServerProcess; client: KvorumClient }> {
  const cluster = await Cluster.start(t, { nodes: 1 })
  const node = cluster.nodes[0]!
  const client = new KvorumClient({ endpoints: node.plan.clientUrl })
  t.teardown(() => client.close())
  await client.put('before', 'it')
  return { cluster, node, client }
}

const peerUrlOf = (node: ServerProcess): string =>
  node.plan.flags.find(flag => flag.startsWith('--listen-peer-urls='))!.split('=')[1]!

t.test('addresses in use, by whatever', async t => {
  const { cluster, node, client } = await running(t)
  const client2 = await cluster.sibling(node, 'same-client', [`--listen-client-urls=${node.plan.clientUrl}`])
  await refused(t, client2, /^kvorum: The client address 127\.0\.0\.1:\d+ is already in use\.$/m)
  const peer2 = await cluster.sibling(node, 'same-peer', [`--listen-peer-urls=${peerUrlOf(node)}`])
  await refused(t, peer2, /^kvorum: The peer address 127\.0\.0\.1:\d+ is already in use\.$/m)
  const nowhere = await cluster.sibling(node, 'nowhere', ['--listen-client-urls=http://192.0.2.1:23790'])
  await refused(
    t,
    nowhere,
    /^kvorum: The client address 192\.0\.2\.1:23790 is not an address of this machine\.$/m,
  )
  t.equal((await client.get('before'))?.text(), 'it', 'the one that was there serves')
})

t.test('data directories that cannot be used', async t => {
  const { cluster, node, client } = await running(t)
  const at = (name: string): string => join(cluster.directory, name)

  const inUse = await cluster.sibling(node, 'in-use', [`--data-dir=${node.plan.dataDir}`])
  await refused(t, inUse, /^kvorum: Another process uses the state store .*\.$/m)

  writeFileSync(at('a-file'), '')
  const file = await cluster.sibling(node, 'file', [`--data-dir=${at('a-file')}`])
  await refused(t, file, /^kvorum: The data directory .*a-file is not a directory\.$/m)

  mkdirSync(at('open'))
  chmodSync(at('open'), 0o777)
  const open = await cluster.sibling(node, 'everybody', [`--data-dir=${at('open')}`])
  await refused(t, open, /^kvorum: The data directory .*open is writable by everybody; chmod 700 it\.$/m)

  t.equal((await client.put('after', 'it')).revision, 3, 'the one that was there serves')
})

/** A user without rights; root may write everywhere. */
const NOBODY = 65_534

t.test('a data directory that this user may not write', async t => {
  const cluster = await Cluster.create(t, { nodes: 1 })
  const node = cluster.nodes[0]!
  mkdirSync(node.plan.dataDir, { mode: 0o555 })
  const isRoot = process.getuid?.() === 0
  if (isRoot) chmodSync(cluster.directory, 0o755)
  await refused(
    t,
    node,
    /^kvorum: The data directory .* cannot be written by this user\.$/m,
    isRoot ? { uid: NOBODY } : {},
  )
})

t.test('the data of another member, or of another cluster', async t => {
  const cluster = await Cluster.start(t)
  const [first, second] = cluster.nodes as [ServerProcess, ServerProcess]
  await first.stop('SIGTERM')
  const other = await cluster.sibling(first, 'other-cluster', ['--initial-cluster-token=another'])
  cpSync(first.plan.dataDir, other.plan.dataDir, { recursive: true })
  await refused(t, other, /^kvorum: .*cluster.*\.$/m)
  const member = await cluster.sibling(second, 'other-member', [])
  cpSync(first.plan.dataDir, member.plan.dataDir, { recursive: true })
  await refused(t, member, /^kvorum: .*(member|node).*\.$/m)
  first.start()
  await cluster.healthy()
})

t.test('wrong flags', async t => {
  const cluster = await Cluster.create(t, { nodes: 1 })
  const node = cluster.nodes[0]!
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['--no-such-flag=1', /no-such-flag/],
    ['--election-timeout=10', /election-timeout/],
    ['--election-timeout=100', /^kvorum: --election-timeout .* must be at least 5 times/m],
    ['--initial-cluster=a=http://127.0.0.1:1', /^kvorum: --initial-cluster must contain this node/m],
    ['--listen-client-urls=ftp://nowhere', /^kvorum: --listen-client-urls: /m],
    ['--unsafe-no-fsync=true', /unsafe-no-fsync is refused/],
    ['--snapshot-count=many', /snapshot-count/],
  ]
  for (const [at, [flag, sentence]] of wrong.entries()) {
    const server = await cluster.sibling(node, `wrong-${at}`, [flag])
    await refused(t, server, sentence, { status: 2 })
  }
})
