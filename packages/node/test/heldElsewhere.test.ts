import { crc32 } from 'node:zlib'
import { groupId, HeldStateLost, utf8, type HeldShard } from '@kvorum/model'
import { createOverlay, createReader, hashKv, loadMachine, overlaySnapshot, type Step } from '@kvorum/machine'
import { rangesBetween } from '@kvorum/placement'
import t from 'tap'
import { heldShard } from '#src/driver/heldShards.js'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { put, reply } from './requests.js'

/** The state of all shards at one revision, held by nodes that have replicas of some of them. */

/** Two shards, on 1 2 3 and on 1 4 5. */
function five(): MiniCluster {
  const cluster = new MiniCluster({
    nodes: 5,
    ranges: rangesBetween([utf8('m')]),
    replicas: 3,
    oracle: true,
  })
  cluster.until(() => [0, 1, 2].every(each => cluster.leaderOf(each) !== undefined))
  for (let round = 0; round < 3; round++)
    for (const [at, key] of ['a', 'z', 'm', 'b'].entries())
      cluster.ask(cluster.nodes[at]!, put(key, `${round}`))
  return cluster
}

function held(cluster: MiniCluster, node: MiniNode): { revision: number; shards: HeldShard[] | null } {
  const before = node.held.length
  node.put({ kind: 'holdState', id: 1 })
  cluster.until(() => node.held.length > before)
  const { view, revision, shards } = node.held.at(-1)!
  if (view === null || revision === null) throw new Error('nothing is held')
  const parts = shards?.map(shard =>
    heldShard(
      shard,
      need => Promise.resolve(node.fetchNow(need)),
      request => Promise.resolve(cluster.ask(node, request)),
    ),
  )
  return { revision, shards: parts ?? null }
}

async function run<Value>(shard: HeldShard, step: Step<Value>): Promise<Value> {
  let state = step.next()
  while (state.done !== true) state = step.next(await shard.fetch(state.value))
  return state.value
}

async function hashOf(revision: number, shards: readonly HeldShard[]): Promise<number> {
  let hash = 0
  for (const shard of shards) {
    const { group, range } = shard
    const machine = await run(
      shard,
      loadMachine({ group, range, checksum: (bytes, seed) => crc32(bytes, seed) }),
    )
    const reader = createReader(machine!, overlaySnapshot(createOverlay()), revision)
    const hashed = await run(shard, hashKv(reader, revision, hash))
    if (!hashed.ok) throw new Error(hashed.error.code)
    ;({ hash } = hashed.value)
  }
  return hash
}

t.test('every node can read all shards at one revision, of its own rows or from elsewhere', async t => {
  const cluster = five()
  const [all, ...others] = cluster.nodes
  const whole = held(cluster, all!)
  t.equal(whole.shards, null, 'it has all of them')
  const answer = cluster.ask(all!, { kind: 'hashKv', revision: whole.revision })
  const expected = reply(answer)
  const hashes: number[] = []
  for (const node of others) {
    const { revision, shards } = held(cluster, node)
    t.ok(revision >= whole.revision)
    t.strictSame(
      shards!.map(({ here }) => here),
      [1, 2].map(group => node.state.groups.has(groupId(group))),
    )
    hashes.push(await hashOf(whole.revision, shards!))
  }
  const { groups } = all!.state
  const own = await hashOf(
    whole.revision,
    [1, 2].map(id => {
      const group = groupId(id)
      const { range } = groups.get(group)!.machine.shard!
      const part = { group, range, index: 0, here: false }
      const nobody = (): never => t.fail('not asked') as never
      return heldShard(part, nobody, request => Promise.resolve(cluster.ask(all!, request)))
    }),
  )
  t.match(expected, { kind: 'hashed', hash: own })
  t.strictSame(
    hashes,
    others.map(() => own),
  )
})

t.test('a node without a replica says so instead of hashing a part', async t => {
  const cluster = five()
  const result = cluster.ask(cluster.nodes[3]!, { kind: 'hashKv', revision: 0 })
  t.equal(result.ok ? 'hashed' : result.error.code, 'unhealthy')
})

t.test('what is compacted while it is read elsewhere is lost, and so is a shard that is cut', async t => {
  const cluster = five()
  const node = cluster.nodes[3]!
  const { revision, shards } = held(cluster, node)
  const away = shards!.find(({ here }) => !here)!
  const machine = loadMachine({ ...away, checksum: (bytes, seed) => crc32(bytes, seed) })
  t.ok(await run(away, machine))
  cluster.ask(node, { kind: 'compact', revision, physical: false })
  const again = loadMachine({ ...away, checksum: (bytes, seed) => crc32(bytes, seed) })
  await t.rejects(run(away, again), HeldStateLost)
  const wider = { ...away, index: 0, here: false, range: { start: away.range.start, end: null } }
  const cut = heldShard(
    wider,
    need => away.fetch(need),
    request => Promise.resolve(cluster.ask(node, request)),
  )
  await t.rejects(cut.fetch({ gets: [utf8('x')], scans: [] }), HeldStateLost)
})
