import t from 'tap'
import { groupId, leaseId, utf8 } from '@kvorum/model'
import type { ClientRequest, ErrorCode, GroupId, KeyRange, Op, RangeOp } from '@kvorum/model'
import { encodeMetaCommand, placedShard } from '@kvorum/placement'
import { inOracleMode } from '#src/membership.js'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, put } from './requests.js'
import { write } from './threeShards.js'

const meta = (command: Parameters<typeof encodeMetaCommand>[0]): ClientRequest => ({
  kind: 'meta',
  command: encodeMetaCommand(command),
})
const splitAt = (at: string): ClientRequest => meta({ kind: 'splitShard', at: utf8(at), group: null })
const metaOf = ({ state }: MiniNode) => state.groups.get(groupId(0))!.machine.meta!
const isSettled = (cluster: MiniCluster, shards: number): boolean =>
  cluster.nodes.every(node => metaOf(node).shards.shards.length === shards)

interface Asked {
  readonly node: MiniNode
  readonly id: number
  readonly what: string
}

/** Refusals, beside those that a client could get from etcd for what it asked. */
function refusals(asked: readonly Asked[], allowed: readonly ErrorCode[]): string[] {
  return asked.flatMap(({ node, id, what }) => {
    const result = node.results.get(id)!
    return result.ok || allowed.includes(result.error.code) ? [] : [`${what}: ${result.error.code}`]
  })
}

const KEYS = Array.from({ length: 13 }, (_, at) => String.fromCharCode(97 + 2 * at))
const bare = {
  limit: 0,
  revision: 0,
  order: 'none',
  target: 'key',
  keysOnly: false,
  countOnly: false,
} as const
const unbounded = { minMod: 0, maxMod: 0, minCreate: 0, maxCreate: 0 }
const rangeOf = (range: KeyRange): RangeOp => ({ kind: 'range', range, ...bare, ...unbounded })
const putOf = (key: string, lease: bigint): Op => ({
  kind: 'put',
  key: utf8(key),
  value: utf8('1'),
  lease: leaseId(lease),
  prevKv: true,
  ignoreValue: false,
  ignoreLease: false,
})

/** A load of everything that clients can ask: what the i-th of them asks, some of it by what the others did. */
class Everything {
  readonly cluster: MiniCluster
  readonly asked: Asked[] = []
  #next = 0
  #lease = 1n

  constructor(cluster: MiniCluster) {
    this.cluster = cluster
  }

  /** One question at every node, each another one. */
  ask(): void {
    for (const node of this.cluster.nodes) {
      const request = this.#request(this.#next++)
      this.asked.push({ node, id: node.request(request), what: `${request.kind} ${this.#next}` })
    }
  }

  #request(i: number): ClientRequest {
    const key = KEYS[(i * 5) % KEYS.length]!
    const lease = leaseId(this.#lease)
    const txn = { kind: 'txn', compares: [], failure: [] } as const
    const all = rangeOf(ALL)
    switch (i % 17) {
      case 0:
        this.#lease++
        return { kind: 'leaseGrant', id: leaseId(this.#lease), ttl: 60 }
      case 1:
        return put(key, 'again')
      case 2:
        return write({ ...txn, success: [putOf('b', 0n), putOf('t', 0n), { ...all, countOnly: true }] })
      case 3:
        return get(ALL)
      case 4:
        return get({ start: utf8(key), end: null }, true)
      case 5:
        return { kind: 'read', serializable: false, op: { ...txn, success: [all, all] } }
      case 6:
        return { kind: 'read', serializable: false, op: all, pageBytes: 100 }
      case 7:
        return { kind: 'compact', revision: this.#seen() - 1, physical: i % 2 === 0 }
      case 8:
        return { kind: 'leaseKeepAlive', id: lease }
      case 9:
        return { kind: 'leaseTimeToLive', id: lease, keys: true }
      case 10:
        return put(key, 'leased', lease)
      case 11:
        return { kind: 'leaseList' }
      case 12:
        return write({ kind: 'delete', range: { start: utf8('h'), end: utf8('q') }, prevKv: true })
      case 13:
        return { kind: 'barrier' }
      case 14:
        return { kind: 'leaseRevoke', id: leaseId(this.#lease - 1n) }
      case 15:
        return write({ ...txn, success: [putOf('c', lease), putOf('y', lease)] })
      default:
        return put(key, 'v')
    }
  }

  #seen(): number {
    const revisions = this.asked.map(({ node, id }) => {
      const result = node.results.get(id)
      return result?.ok === true ? result.value.header.revision : 0
    })
    return Math.max(1, ...revisions)
  }

  /** Until all have been answered; what of it was refused. */
  refusals(): string[] {
    this.cluster.until(() => this.asked.every(({ node, id }) => node.results.has(id)), 30_000)
    return refusals(this.asked, ['compacted', 'leaseNotFound'])
  }
}

t.test('splits: whatever is asked meanwhile, at every node, is answered', async t => {
  const cluster = new MiniCluster({})
  cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
  const load = new Everything(cluster)
  for (let i = 0; i < 60; i++) {
    load.ask()
    if (i % 15 === 10) cluster.nodes[i % 3]!.request(splitAt(KEYS[(i - 10) / 5 + 1]!))
    cluster.run(5)
  }
  t.strictSame(load.refusals(), [])
  t.ok(isSettled(cluster, 5))
})

t.test('a compaction is answered at whatever moment of a split it is asked', async t => {
  const cluster = new MiniCluster({ oracle: true })
  cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
  const asked: Asked[] = []
  for (let i = 0; i < 12; i++) {
    const written = cluster.ask(cluster.nodes[0]!, put('a', `${i}`))
    const revision = written.ok ? written.value.header.revision : 0
    const node = cluster.nodes[i % 3]!
    node.request(splitAt(KEYS[12 - i]!))
    cluster.run(i)
    const id = node.request({ kind: 'compact', revision, physical: false })
    asked.push({ node, id, what: `compact ${i} ms after the split` })
    cluster.until(() => node.results.has(id) && isSettled(cluster, i + 2))
  }
  t.strictSame(refusals(asked, []), [])
  const decided = metaOf(cluster.nodes[0]!).compacted
  const shards = cluster.nodes.flatMap(({ state }) => [...state.groups.values()].slice(1))
  t.equal(shards.length, 3 * 13)
  cluster.until(() => shards.every(({ machine }) => machine.shard?.compactRevision === decided))
})

t.test('one who hears of the first split from others waits until its own log says so', async t => {
  const cluster = new MiniCluster({})
  cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
  const leader = cluster.leaderOf(0)!
  const late = cluster.nodes.find(node => node !== leader)!
  leader.request(splitAt('m'))
  cluster.until(() => metaOf(late).operations.length === 1)
  // It hears the rest late, and takes its time to write it down; the leader's answers come at once.
  cluster.cut.add(`${leader.id}>${late.id}`)
  cluster.until(() => metaOf(leader).shards.shards.length === 2)
  late.diskDelay = 300
  cluster.cut.clear()
  const [put1, put2] = [late.request(put('z', '1')), late.request(put('a', '2'))]
  cluster.until(() => late.state.splits.length === 1)
  t.notOk(inOracleMode(late.state))
  const read = late.request(get(ALL))
  const removed = late.request(write({ kind: 'delete', range: ALL, prevKv: false }))
  cluster.until(() => [put1, put2, read, removed].every(id => late.results.has(id)))
  for (const id of [put1, put2, read, removed]) t.match(late.results.get(id), { ok: true })
  late.diskDelay = 1
  cluster.until(() => isSettled(cluster, 2))
})

t.test('moves: whatever is asked meanwhile, at every node, is answered', async t => {
  const ranges = [
    { start: utf8(''), end: utf8('m') },
    { start: utf8('m'), end: null },
  ]
  const cluster = new MiniCluster({ nodes: 5, ranges, replicas: 3, oracle: true })
  cluster.until(() => [0, 1, 2].every(group => cluster.leaderOf(group) !== undefined))
  const load = new Everything(cluster)
  /** The leader's replica goes to a member that has none. */
  const move = (group: GroupId): void => {
    const before = placedShard(metaOf(cluster.nodes[0]!), group)!.nodes
    const leader = cluster.leaderOf(group)?.id
    const free = cluster.nodes.find(({ id }) => !before.includes(id))!.id
    const nodes = [...before.filter(id => id !== leader), free].sort((a, b) => Number(a - b)).slice(-3)
    cluster.nodes[4]!.request(meta({ kind: 'placeShard', group, before, nodes, override: false }))
  }
  for (let i = 0; i < 90; i++) {
    if (i < 60 || i % 10 === 0) load.ask()
    if (i % 40 === 10) for (const group of [1, 2]) move(groupId(group))
    cluster.run(5)
  }
  t.strictSame(load.refusals(), [])
  const isDone = (node: MiniNode): boolean => metaOf(node).placement.shards.every(({ settled }) => settled)
  cluster.until(() => cluster.nodes.every(isDone), 60_000)
  t.ok(cluster.nodes.some(({ state }) => state.replicas.retired.size > 0))
})
