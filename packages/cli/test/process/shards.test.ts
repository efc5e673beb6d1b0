import t from 'tap'
import { Cluster } from './cluster.js'
import { Load } from './load.js'
import { kvorum, succeeds, type Ran } from './realEtcd.js'
import type { ServerProcess } from './serverProcess.js'
import { until } from './until.js'
import { judge } from './verdict.js'

t.setTimeout(600_000)

/** As `-w json` prints them: what is 0 is left out. */
interface ShardsJson {
  readonly shards: readonly {
    readonly shard: number
    readonly start?: string
    readonly end?: string
    readonly leader_id?: unknown
    readonly state?: number
  }[]
}

const ask = (nodes: readonly ServerProcess[], ...argv: string[]): Promise<Ran> => {
  const endpoints = nodes.map(({ plan }) => new URL(plan.clientUrl).host).join()
  return kvorum(...argv, `--endpoints=${endpoints}`, '--command-timeout=20s', '--dial-timeout=20s')
}

/** The splits are over: so many shards, each with a leader, and nothing is under way. Where they begin and end. */
const settled = (nodes: readonly ServerProcess[], count: number): Promise<string[]> =>
  until(`${count} shards`, async () => {
    const { status, stdout } = await ask(nodes, 'shard', 'list', '-w', 'json')
    if (status !== 0) return null
    const { shards } = JSON.parse(stdout) as ShardsJson
    const isOver = shards.every(shard => (shard.state ?? 0) === 0 && shard.leader_id !== undefined)
    return isOver && shards.length === count
      ? shards.map(({ start = '', end = '' }) => [start, end].map(fromBase64).join('..'))
      : null
  })

const fromBase64 = (text: string): string => Buffer.from(text, 'base64').toString()

t.test('shards are split through the command under load, and a leader is killed in between', async t => {
  const cluster = await Cluster.start(t)
  const { nodes } = cluster
  const load = await Load.start(cluster)
  await load.progress(10, nodes)

  // The only shard: the end of dense revisions, and the first split.
  const said = await succeeds(t, ask(nodes, 'shard', 'split', '--at', 'key-4'), 'kvorum shard split')
  t.match(said, /^The keys from "key-4" on go to shard 2\n$/)
  t.strictSame(await settled(nodes, 2), ['..key-4', 'key-4..'])
  await load.progress(10, nodes)
  const refused = load.failed.filter(({ unknown }) => !unknown)
  t.strictSame(refused, [], 'no write is refused')
  for (const { said } of load.failed) t.comment(said)

  const leader = await cluster.leader()
  const others = cluster.others(leader)
  const second = ask(others, 'shard', 'split', '--at', 'key-6')
  t.equal(await leader.stop('SIGKILL'), 'SIGKILL')
  // Where the leader took the answer with it, it is asked for again: refused if it is there all the same.
  if ((await second).status !== 0) await ask(others, 'shard', 'split', '--at', 'key-6')
  t.strictSame(await settled(others, 3), ['..key-4', 'key-4..key-6', 'key-6..'])
  await load.progress(10, others)
  leader.start()
  await load.progress(10, nodes)
  await cluster.healthy()

  const refusals: readonly (readonly [argv: readonly string[], why: RegExp])[] = [
    [['shard', 'split', '--at', 'key-4'], /the key must lie inside the shard, behind its first key/],
    [['shard', 'split', '--at', 'x', '--shard', '99'], /no such shard/],
    [['shard', 'move', '1', '--from', 'n1', '--to', 'n2'], /has a replica already of shard 1/],
    [['shard', 'transfer', '1', '--to', 'n9'], /there is no member "n9"/],
    [['node', 'drain', 'n1'], /have nowhere to go: add a member first/],
  ]
  for (const [argv, why] of refusals) t.match(await ask(nodes, ...argv), { status: 1, stderr: why })
  t.equal((await settled(nodes, 3)).length, 3, 'nothing is half done')
  await judge(t, cluster, load)
})
