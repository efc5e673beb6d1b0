import { join } from 'node:path'
import { connect } from '@kvorum/client'
import { loadConfig, restoreSnapshot } from '@kvorum/server'
import t, { type Test } from 'tap'
import { Cluster } from './cluster.js'
import { kvorum, succeeds, temporaryDirectory, type Ran } from './realEtcd.js'
import type { ServerProcess } from './serverProcess.js'
import { until } from './until.js'

t.setTimeout(300_000)

const FLAGS = ['--replicas=3']

function settings({ plan }: ServerProcess): string[] {
  const value = (name: string): string =>
    plan.flags.find(flag => flag.startsWith(`--${name}=`))!.slice(name.length + 3)
  const taken = ['name', 'data-dir', 'initial-cluster', 'initial-cluster-token']
  const flags = taken.map(name => `--${name}=${value(name)}`)
  return [...flags, `--initial-advertise-peer-urls=${value('listen-peer-urls')}`]
}

const restore = (node: ServerProcess, file: string): Promise<Ran> =>
  kvorum('snapshot', 'restore', file, ...settings(node), ...FLAGS)

/** The same without a process of its own. */
async function restoreHere(node: ServerProcess, file: string): Promise<void> {
  const loaded = loadConfig({ argv: [...settings(node), ...FLAGS], environment: {}, readFile: () => '' })
  if (loaded.kind !== 'run') throw new Error('the settings are right')
  await restoreSnapshot({ file, config: loaded.config, skipHashCheck: false, bumpRevision: 0 })
}

interface Source {
  readonly file: string
  /** Of the last change in the file. */
  readonly revision: number
  readonly compacted: number
}

/** A file of a cluster of one, with a past, users, and a lease. */
async function snapshotOf(t: Test, directory: string): Promise<Source> {
  const cluster = await Cluster.start(t, { nodes: 1 })
  const client = await connect({ endpoints: cluster.endpoints })
  for (const key of ['a', 'b', 'x', 'y']) await client.put(key, 'first')
  const { revision: compacted } = await client.put('a', 'second')
  await client.compact(compacted)
  const lease = await client.lease(600)
  const { revision } = await client.put('x', 'leased', { lease: lease.id })
  const file = join(directory, 'one.db')
  const endpoint = `--endpoints=${cluster.endpoints.join().replace('http://', '')}`
  await succeeds(t, kvorum('snapshot', 'save', file, endpoint), 'kvorum snapshot save')
  await client.close()
  await Promise.all(cluster.nodes.map(node => node.stop('SIGTERM')))
  return { file, revision, compacted }
}

t.test('a snapshot restored for five members with three replicas of a shard', async t => {
  const source = await snapshotOf(t, temporaryDirectory(t))
  const cluster = await Cluster.create(t, { nodes: 5, flags: FLAGS })
  const { nodes } = cluster
  const [first, ...others] = nodes
  const said = await succeeds(t, restore(first!, source.file), 'kvorum snapshot restore')
  t.match(said, new RegExp(`\\(revision ${source.revision}, 1 leases\\)`))
  for (const node of others) await restoreHere(node, source.file)
  for (const node of nodes) node.start()
  await cluster.healthy()

  const ask = (node: ServerProcess, ...argv: string[]): Promise<Ran> =>
    kvorum(...argv, `--endpoints=${new URL(node.plan.clientUrl).host}`)
  const list = async (node: ServerProcess): Promise<string[][]> =>
    (await succeeds(t, ask(node, 'shard', 'list'), 'kvorum shard list'))
      .trimEnd()
      .split('\n')
      .map(line => line.split(', '))
  const [only] = await list(nodes[0]!)
  const holders = only![4]!.split(' ')
  t.equal(holders.length, 3)
  t.ok(holders.includes(only![3]!), 'its leader is known')

  const elsewhere = nodes.find(({ plan }) => !holders.includes(plan.name))!
  const client = await connect({ endpoints: [elsewhere.plan.clientUrl] })
  t.teardown(() => client.close())
  const found = await client.get('x')
  t.match(found, { modRevision: source.revision })
  const page = await client.range({ all: true })
  t.strictSame(
    page.entries.map(entry => `${entry.name}=${entry.text()}`),
    ['a=second', 'b=first', 'x=leased', 'y=first'],
  )
  t.equal(page.revision, source.revision, 'revisions go on where the file ends')
  await t.rejects(client.get('a', { revision: source.compacted - 1 }), /has been compacted/)
  t.equal((await client.put('b', 'third')).revision > source.revision, true)

  await succeeds(t, ask(elsewhere, 'shard', 'split', '--at', 'm'), 'kvorum shard split')
  await until('two shards', async () => {
    const shards = await list(elsewhere)
    return shards.length === 2 && shards.every(row => row[7] === 'steady') ? shards : null
  })
  await client.put('z', 'new')
  t.equal((await client.range({ all: true })).entries.length, 5)
})
