import t from 'tap'
import { groupId, utf8 } from '@kvorum/model'
import { encodeMetaCommand } from '@kvorum/placement'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, pairs, put } from './requests.js'

/** Numbers that are the same in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1
  return below => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const KEYS = Array.from({ length: 12 }, (_, i) => String.fromCharCode(97 + 2 * i))
const SPLITS = ['h', 'p', 'd']
const META = groupId(0)

const metaOf = ({ state }: MiniNode) => state.groups.get(META)?.machine.meta

const isWhole = (cluster: MiniCluster, shards: number): boolean =>
  cluster.nodes.every(node => {
    const meta = metaOf(node)
    return (
      meta !== undefined &&
      meta !== null &&
      meta.operations.length === 0 &&
      meta.shards.shards.length === shards &&
      meta.shards.shards.every(({ group }) => {
        const here = node.state.groups.get(group)
        return here?.machine.shard !== null && here?.machine.installing === false
      })
    )
  })

const areAlike = (cluster: MiniCluster): boolean =>
  [...cluster.nodes[0]!.state.groups.keys()].every(group => {
    const all = cluster.nodes.map(node => node.state.groups.get(group)!.machine)
    return new Set(all.map(({ applied, shard }) => `${applied} ${shard?.digest}`)).size === 1
  })

/** A split, a process or all of them that end in the middle of it, and what is there afterwards. */
function run(seed: number): string | null {
  const random = numbers(seed)
  const flushAfterMs = [1, 20, 100_000][random(3)]!
  const purged = random(2) === 0
  const cluster = new MiniCluster({
    // Without it the first split ends dense mode.
    oracle: seed % 2 === 0,
    limits: { flushAfterMs, ...(purged ? { snapshotEntries: 5, catchUpEntries: 2 } : {}) },
  })
  cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
  const kept = new Map<string, string>()
  const write = (key: string, value: string): void => {
    const up = cluster.nodes.filter(node => node.up)
    if (cluster.ask(up[random(up.length)]!, put(key, value)).ok) kept.set(key, value)
  }
  for (const key of KEYS) write(key, '0')
  for (const [round, at] of SPLITS.entries()) {
    const node = cluster.nodes[random(3)]!
    const command = encodeMetaCommand({ kind: 'splitShard', at: utf8(at), group: null })
    const id = node.request({ kind: 'meta', command })
    cluster.run(random(40))
    const killed = random(4) === 0 ? cluster.nodes : [cluster.nodes[random(3)]!]
    for (const one of killed) one.kill()
    cluster.run(1 + random(killed.length === 3 ? 5 : 300))
    if (killed.length === 1)
      for (let i = random(12); i > 0; i--) write(KEYS[random(KEYS.length)]!, `${seed} ${round} ${i}`)
    for (const one of killed) one.restart()
    cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined), 60_000)
    // The request itself may have been lost with its node; then it is made again.
    cluster.run(600)
    const meta = metaOf(cluster.leaderOf(0)!)!
    if (meta.shards.shards.length + meta.operations.length < round + 2) {
      if (node.results.get(id)?.ok === true) return `a split at ${at} was begun and is forgotten`
      cluster.ask(cluster.nodes[0]!, { kind: 'meta', command })
    }
    cluster.until(() => isWhole(cluster, round + 2), 60_000)
  }
  for (const key of KEYS.slice(0, 6)) write(key, 'last')
  cluster.until(() => areAlike(cluster), 60_000)
  const wanted = KEYS.map(key => `${key}=${kept.get(key)}`).join()
  for (const node of cluster.nodes) {
    const got = pairs(cluster.ask(node, get(ALL), 10_000)).map(pair => pair.slice(0, pair.indexOf('@')))
    if (got.join() !== wanted) return `${got.join()} instead of ${wanted}`
  }
  return null
}

t.test(
  'processes that end at any moment of a split leave both halves, with every key, on every replica',
  async t => {
    for (let seed = 1; seed <= Number(process.env['SPLIT_SEEDS'] ?? 12); seed++) {
      try {
        t.equal(run(seed), null, `seed ${seed}`)
      } catch (error) {
        t.fail(`seed ${seed}: ${String(error)}`)
      }
    }
  },
)
