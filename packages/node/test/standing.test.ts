import { encodeShardCommand, groupId, utf8, type ClientRequest } from '@kvorum/model'
import { rangesBetween } from '@kvorum/placement'
import t from 'tap'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, put, reply } from './requests.js'

/** Hashes and views of all shards of a node, at one revision. */

const SHARDS = rangesBetween(['g', 'p'].map(utf8))
const GROUPS = [1, 2, 3]
const KEYS = ['a', 'g', 'z', 'f', 'm', 'p']

function cluster(sharded: boolean): MiniCluster {
  const made = new MiniCluster(sharded ? { ranges: SHARDS, oracle: true } : {})
  const groups = sharded ? [0, ...GROUPS] : [0, 1]
  made.until(() => groups.every(group => made.leaderOf(group) !== undefined))
  return made
}

const remove = (key: string): ClientRequest => ({
  kind: 'write',
  ranges: [{ start: utf8(key), end: utf8(`${key}\0`) }],
  command: encodeShardCommand({
    kind: 'write',
    op: { kind: 'delete', range: { start: utf8(key), end: utf8(`${key}\0`) }, prevKv: false },
  }),
})

/** One after the other, so that revisions are given in this order; the last of them. */
function fill(made: MiniCluster): number {
  let revision = 0
  const say = (request: ClientRequest): void => {
    const result = made.ask(made.nodes[revision % 3]!, request)
    if (!result.ok) throw new Error(result.error.code)
    ;({ revision } = result.value.header)
  }
  for (let round = 0; round < 4; round++) for (const key of KEYS) say(put(key, `${round}`))
  say(remove('m'))
  say(remove('z'))
  return revision
}

function hashOf(made: MiniCluster, node: MiniNode, revision = 0): { hash: number; revision: number } {
  const answer = reply(made.ask(node, { kind: 'hashKv', revision }))
  if (answer.kind !== 'hashed') throw new Error(`answered ${answer.kind}`)
  return answer
}

t.test('all members hash all shards alike, and as a store of one shard with the same versions', async t => {
  const sharded = cluster(true)
  const last = fill(sharded)
  const whole = cluster(false)
  t.equal(fill(whole), last, 'both gave the same revisions')
  for (const revision of [0, 7, last]) {
    const hashes = sharded.nodes.map(node => hashOf(sharded, node, revision))
    const expected = hashOf(whole, whole.leaderOf(1)!, revision)
    for (const { hash, revision: at } of hashes)
      t.strictSame({ hash, at }, { hash: expected.hash, at: expected.revision })
  }
  const future = sharded.ask(sharded.nodes[0]!, { kind: 'hashKv', revision: last + 1 })
  t.equal(future.ok ? 'answered' : future.error.code, 'futureRevision')
  t.ok(sharded.nodes.every(({ state }) => state.hashes === 0 && state.standings.length === 0))
})

t.test('a member whose replica of one shard lags behind answers when it has caught up', async t => {
  const made = cluster(true)
  const lagging = made.nodes.find(node => [0, ...GROUPS].every(group => made.leaderOf(group) !== node))
  const node = lagging ?? made.nodes[2]!
  const before = hashOf(made, node)
  // Entries of group 2 reach this node's log; its store is slow to give the rows to apply them with.
  node.storeDelay = 50
  const written = made.ask(
    made.nodes.find(other => other !== node)!,
    put('m', 'new'),
  )
  const at = written.ok ? written.value.header.revision : 0
  const after = hashOf(made, node)
  t.ok(after.revision >= at, 'what was acknowledged before is in it')
  t.not(after.hash, before.hash)
})

t.test('a held view says up to which revision it is whole; of one shard it is whole anyway', async t => {
  for (const sharded of [true, false]) {
    const made = cluster(sharded)
    const last = fill(made)
    const node = made.nodes[1]!
    node.put({ kind: 'holdState', id: 1 })
    made.until(() => node.held.length > 0)
    const [held] = node.held
    t.ok(held!.view !== null)
    t.equal(held!.revision, sharded ? last : null)
    if (!sharded) continue
    for (const group of GROUPS) {
      const { flushing, groups } = node.state
      t.equal(flushing.flushed.get(groupId(group))!.applied, groups.get(groupId(group))!.machine.applied)
    }
  }
})

t.test('where the oracle cannot be reached, nothing is held or hashed', async t => {
  const made = cluster(true)
  const node = made.nodes[0]!
  for (const other of made.nodes) {
    made.cut.add(`${other.id}>${node.id}`)
    made.cut.add(`${node.id}>${other.id}`)
  }
  node.put({ kind: 'holdState', id: 1 })
  const result = made.ask(node, { kind: 'hashKv', revision: 0 }, 1_000)
  t.equal(result.ok, false)
  made.until(() => node.held.length > 0, 120_000)
  t.equal(node.held[0]!.view, null)
  made.cut.clear()
  made.until(() => made.leaderOf(0) !== undefined)
  t.equal(made.ask(node, get(ALL)).ok, true)
})
