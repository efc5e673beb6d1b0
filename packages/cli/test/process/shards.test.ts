import { connect, KvorumError, type KvorumClient } from '@kvorum/client'
import t, { type Test } from 'tap'
import { Cluster } from './cluster.js'
import { kvorum, succeeds, type Ran } from './realEtcd.js'
import type { ServerProcess } from './serverProcess.js'
import { DEADLINE_MS, holds, pause, until } from './until.js'

t.setTimeout(600_000)

const KEYS = Array.from({ length: 8 }, (_, i) => `key-${i}`)
const PACE_MS = 5

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

/** Writers of unique values and a watch of all keys at every node. Calls end when they are answered, or cut off. */
class Puts {
  readonly acknowledged = new Map<string, { readonly revision: number; readonly through: string }>()
  /** What was said of writes that were not acknowledged, by the node that was asked. */
  readonly failures: { readonly through: string; readonly said: string; readonly unknown: boolean }[] = []
  /** Values in the order of their events, with the revision. */
  readonly watched = new Map<string, { readonly events: string[]; failure: unknown }>()
  readonly #clients: KvorumClient[] = []
  readonly #running: Promise<void>[] = []
  #stopping = false
  #next = 0

  static async start(t: Test, nodes: readonly ServerProcess[]): Promise<Puts> {
    const puts = new Puts()
    t.teardown(() => Promise.all(puts.#clients.map(client => client.close())))
    for (const { plan } of nodes) {
      const client = await connect({
        endpoints: plan.clientUrl,
        timeoutMs: DEADLINE_MS,
        attemptTimeoutMs: DEADLINE_MS,
      })
      puts.#clients.push(client)
      void puts.#watch(client, plan.name)
      for (let i = 0; i < 2; i++) puts.#running.push(puts.#write(client, plan.name))
    }
    return puts
  }

  async #write(client: KvorumClient, through: string): Promise<void> {
    while (!this.#stopping) {
      const [key, value] = [KEYS[this.#next % KEYS.length]!, `value-${this.#next++}`]
      try {
        const { revision } = await client.put(key, value)
        this.acknowledged.set(value, { revision, through })
      } catch (error) {
        if (!(error instanceof KvorumError)) throw error
        this.failures.push({ through, said: error.message, unknown: error.indeterminate })
      }
      await pause(PACE_MS)
    }
  }

  async #watch(client: KvorumClient, name: string): Promise<void> {
    const seen = { events: [] as string[], failure: null as unknown }
    this.watched.set(name, seen)
    try {
      for await (const batch of client.watch({ all: true }, { from: 1 }).batches())
        for (const { entry } of batch.events) seen.events.push(`${entry.modRevision} ${entry.text()}`)
    } catch (error) {
      seen.failure = error
    }
  }

  /** Waits until so many more writes through each of the nodes are acknowledged. */
  async progress(writes: number, nodes: readonly ServerProcess[]): Promise<void> {
    const through = (node: ServerProcess): number =>
      [...this.acknowledged.values()].filter(one => one.through === node.plan.name).length
    const wanted = nodes.map(node => ({ node, count: through(node) + writes }))
    for (const { node, count } of wanted)
      await holds(`${writes} writes through ${node.plan.name}`, () => through(node) >= count)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#running)
  }
}

t.test('shards are split through the command under load, and a leader is killed in between', async t => {
  const cluster = await Cluster.start(t, { flags: ['--shard-operations'] })
  const { nodes } = cluster
  const puts = await Puts.start(t, nodes)
  await puts.progress(10, nodes)

  // The only shard: the end of dense revisions, and the first split.
  const said = await succeeds(t, ask(nodes, 'shard', 'split', '--at', 'key-4'), 'kvorum shard split')
  t.match(said, /^The keys from "key-4" on go to shard 2\n$/)
  t.strictSame(await settled(nodes, 2), ['..key-4', 'key-4..'])
  await puts.progress(10, nodes)
  t.ok(
    puts.failures.every(({ unknown }) => unknown),
    'no write is refused',
  )

  const leader = await cluster.leader()
  const others = cluster.others(leader)
  const second = ask(others, 'shard', 'split', '--at', 'key-6')
  t.equal(await leader.stop('SIGKILL'), 'SIGKILL')
  // Where the leader took the answer with it, it is asked for again: refused if it is there all the same.
  if ((await second).status !== 0) await ask(others, 'shard', 'split', '--at', 'key-6')
  t.strictSame(await settled(others, 3), ['..key-4', 'key-4..key-6', 'key-6..'])
  await puts.progress(10, others)
  leader.start()
  await puts.progress(10, nodes)
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
  await puts.stop()
  await compareWatches(t, cluster, puts)
})

/** Every watch saw every acknowledged write at its revision, everything once and in order, and all saw the same. */
async function compareWatches(t: Test, cluster: Cluster, puts: Puts): Promise<void> {
  const client = await connect({ endpoints: cluster.endpoints, timeoutMs: DEADLINE_MS })
  const { revision } = await client.put('last', 'last')
  await client.close()
  for (const [name, seen] of puts.watched) {
    const isOver = (): boolean => seen.failure !== null || seen.events.at(-1) === `${revision} last`
    await holds(`the watch on ${name} to see the end`, isOver)
    t.equal(seen.failure, null, `the watch on ${name} goes on`)
  }
  const [first, ...rest] = [...puts.watched.values()].map(({ events }) => events)
  for (const other of rest) t.strictSame(other, first)
  const revisions = first!.map(event => Number(event.split(' ')[0]))
  t.ok(
    revisions.every((each, at) => at === 0 || each > revisions[at - 1]!),
    'each revision once, in order',
  )
  const seen = new Set(first)
  const missed = [...puts.acknowledged].filter(([value, one]) => !seen.has(`${one.revision} ${value}`))
  t.strictSame(missed, [], 'every acknowledged write')
  t.equal(new Set(first!.map(event => event.split(' ')[1])).size, first!.length, 'no write twice')
  t.comment(`${puts.acknowledged.size} writes acknowledged, ${puts.failures.length} not known`)
}
