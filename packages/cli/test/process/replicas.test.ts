import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@kvorum/client'
import t, { type Test } from 'tap'
import { Bank } from './bank.js'
import { Cluster } from './cluster.js'
import { kvorum, succeeds, type Ran } from './realEtcd.js'
import type { ServerProcess } from './serverProcess.js'
import { DEADLINE_MS, until } from './until.js'

t.setTimeout(600_000)

/** More members than replicas of each shard: five, and three. */
const FLAGS = ['--replicas=3', '--initial-split-keys=account/e']

/** As `-w json` prints them: what is 0 is left out. */
interface ShardsJson {
  readonly replicas?: number
  readonly shards: readonly ShardJson[]
  readonly nodes: readonly NodeJson[]
}
interface ShardJson {
  readonly shard: number
  readonly replica_ids: readonly unknown[]
  readonly state?: number
}
interface NodeJson {
  readonly node_id: unknown
  readonly name: string
  readonly shards?: number
}

const hostOf = ({ plan }: ServerProcess): string => new URL(plan.clientUrl).host

const ask = (nodes: readonly ServerProcess[], ...argv: string[]): Promise<Ran> =>
  kvorum(...argv, `--endpoints=${nodes.map(hostOf).join()}`, '--command-timeout=20s', '--dial-timeout=20s')

/** JSON numbers of ids are too large for Number: they are compared as text. */
const parse = (text: string): ShardsJson =>
  JSON.parse(text.replace(/(?<=[[:,])\d{16,}(?=[\],}])/g, '"$&"')) as ShardsJson

/** Nothing is under way any more, and it is as wanted. */
const settled = (
  nodes: readonly ServerProcess[],
  what: string,
  isSo: (view: ShardsJson) => boolean,
): Promise<ShardsJson> =>
  until(what, async () => {
    const { status, stdout } = await ask(nodes, 'shard', 'list', '-w', 'json')
    if (status !== 0) return null
    const view = parse(stdout)
    return view.shards.every(({ state = 0 }) => state === 0) && isSo(view) ? view : null
  })

const holds = ({ nodes, shards }: ShardsJson, name: string, { shard }: ShardJson): boolean => {
  const id = nodes.find(node => node.name === name)?.node_id
  return shards.some(other => other.shard === shard && other.replica_ids.includes(id))
}

/** Moves a replica as an operator would: what the balancer has begun meanwhile is waited for. */
async function moveOne(nodes: readonly ServerProcess[]): Promise<void> {
  await until('a replica to be moved by hand', async () => {
    const view = await settled(nodes, 'a quiet map', () => true)
    const shard = view.shards[0]!
    const names = view.nodes.map(({ name }) => name)
    const from = names.find(name => holds(view, name, shard))!
    const to = names.find(name => !holds(view, name, shard))!
    const { status } = await ask(nodes, 'shard', 'move', String(shard.shard), '--from', from, '--to', to)
    if (status !== 0) return null
    await settled(nodes, 'the move to end', () => true)
    return true
  })
}

t.test(
  'five members with three replicas of each shard: splits, moves, a kill, a drain, under load',
  async t => {
    const cluster = await Cluster.start(t, { nodes: 5, flags: FLAGS })
    const { nodes } = cluster
    const begun = await settled(nodes, 'two shards', ({ shards }) => shards.length === 2)
    t.equal(begun.replicas, 3)
    t.ok(begun.shards.every(({ replica_ids: ids }) => ids.length === 3))
    const bank = await Bank.open(cluster.endpoints, { names: 'abcdefgh'.split(''), workers: 3 })
    for (const { plan } of nodes) bank.watch(plan.name, [plan.clientUrl])
    await bank.progress(15)

    await succeeds(t, ask(nodes, 'shard', 'split', '--at', 'account/g'), 'kvorum shard split')
    await settled(nodes, 'three shards', ({ shards }) => shards.length === 3)
    await moveOne(nodes)
    await bank.progress(10)

    const killed = nodes[1]!
    t.equal(await killed.stop('SIGKILL'), 'SIGKILL')
    await bank.progress(10)
    // The flag is for a cluster that begins; this one knows its number.
    killed.start()
    await killed.healthy()
    await bank.progress(10)

    await sameEverywhere(t, nodes)

    // A member is emptied, and leaves.
    const leaving = nodes[0]!
    const others = cluster.others(leaving)
    await until('the drain to be taken', async () => {
      const { status } = await ask(others, 'node', 'drain', 'n1')
      return status === 0 ? true : null
    })
    const isEmpty = (view: ShardsJson): boolean =>
      view.nodes.every(({ name, shards = 0 }) => name !== 'n1' || shards === 0)
    const drained = await settled(others, 'n1 to hold nothing', isEmpty)
    t.ok(drained.shards.every(({ replica_ids: ids }) => ids.length === 3))
    await bank.progress(10)
    const report = await bank.close()
    t.strictSame([report.failed, report.wrongSums, report.wrongWatches], [[], [], []])
    t.comment(`${report.transfers} transfers, ${report.repeated} made again, ${report.conflicts} conflicts`)

    const id = drained.nodes.find(({ name }) => name === 'n1')!.node_id
    leaving.expectEnd()
    const removed = await ask(others, 'member', 'remove', BigInt(String(id)).toString(16))
    t.equal(removed.status, 0, removed.stderr)
    const left = await settled(others, 'four members', view => view.nodes.length === 4)
    t.ok(left.shards.every(({ replica_ids: ids }) => ids.length === 3))
  },
)

/** All members hash all keys alike at one revision, and one without a replica of some shard makes a whole file. */
async function sameEverywhere(t: Test, nodes: readonly ServerProcess[]): Promise<void> {
  const client = await connect({
    endpoints: nodes.map(({ plan }) => plan.clientUrl),
    timeoutMs: DEADLINE_MS,
  })
  const { revision } = await client.put('mark', 'here')
  const hashes = await until('every member to hash all keys', async () => {
    const found = await Promise.all(
      nodes.map(({ plan }) => client.hashKv(plan.clientUrl, { revision }).catch(() => null)),
    )
    return found.every(one => one !== null) ? found.map(({ hash }) => hash) : null
  })
  await client.close()
  t.equal(new Set(hashes).size, 1, `hashes ${hashes.join()}`)
  const view = await settled(nodes, 'a quiet map', () => true)
  const { name } = view.nodes.find(node => view.shards.some(shard => !holds(view, node.name, shard)))!
  const node = nodes.find(({ plan }) => plan.name === name)!
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-replicas-'))
  try {
    const file = join(directory, 'all.db')
    const said = await until('a snapshot', async () => {
      const { status, stdout } = await ask([node], 'snapshot', 'save', file)
      return status === 0 ? stdout : null
    })
    t.ok(said.length > 0)
    const { status, stdout } = await kvorum('snapshot', 'status', file, '-w', 'json')
    t.equal(status, 0)
    const snapshot = JSON.parse(stdout) as { readonly revision: number; readonly totalKey: number }
    t.ok(snapshot.revision >= revision, 'everything up to the mark is in it')
    t.ok(snapshot.totalKey > 8)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
