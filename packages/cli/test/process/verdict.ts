import { KvorumClient, type WatchBatch } from '@kvorum/client'
import type { RevisionEvents, WatchEvent } from '@kvorum/model'
import { checkRevisionOrder, deletedKey, eventText, Truth, type KvHistory } from '@kvorum/sim'
import type { Test } from 'tap'
import type { Cluster } from './cluster.js'
import type { Load } from './load.js'
import { holds } from './until.js'
import { keyValueOf } from './workload.js'

/** Anomalies in a report: the first ones say what happened. */
const SHOWN_MAX = 5

/**
 * Ends the load and holds what clients saw against what the nodes have:
 *
 *   every node has the same keys and the same history, from the first revision on
 *   every watch that lived through the faults saw that history, each revision whole, once, and in order
 *   every acknowledged write is in it, with what it answered; nothing that was refused is (I42)
 *   every linearizable read answered the state at its revision, and a revision no older than any that was
 *   shown to anybody before the read was sent
 */
export async function judge(t: Test, cluster: Cluster, load: Load): Promise<void> {
  await cluster.healthy()
  const { history, revision } = await load.finish()
  const truth = await compareNodes(t, cluster, revision)
  await compareWatches(t, load, revision, truth)
  await load.close()
  const anomalies = checkRevisionOrder(history, truth)
  t.strictSame(anomalies.slice(0, SHOWN_MAX), [], 'no anomaly')
  describeRun(t, history, revision)
}

/** What is left when the faults are over: one history of all keys, the same on every node. */
async function compareNodes(t: Test, cluster: Cluster, revision: number): Promise<Truth> {
  const views = await Promise.all(cluster.endpoints.map(endpoint => viewOf(endpoint, revision)))
  const [first, ...others] = views
  for (const [at, other] of others.entries()) {
    t.strictSame(other.keys, first!.keys, `${cluster.nodes[at + 1]!.plan.name} has the same keys`)
    t.strictSame(other.history, first!.history, `${cluster.nodes[at + 1]!.plan.name} has the same history`)
  }
  return first!.truth
}

/** One node's own copy: its keys as of `revision`, and everything that ever happened to them. */
async function viewOf(endpoint: string, revision: number) {
  const client = new KvorumClient({ endpoints: endpoint })
  try {
    const batches: WatchBatch[] = []
    for await (const batch of client.watch({ all: true }, { from: 1, progress: true }).batches()) {
      batches.push(batch)
      if (batch.revision >= revision) break
    }
    const { entries } = await client.range({ all: true }, { revision, serializable: true })
    const changes = upTo(batches, revision)
    const truth = new Truth()
    for (const change of changes) truth.append(change)
    return {
      truth,
      history: linesOf(changes),
      keys: entries.map(entry => eventText({ kind: 'put', kv: keyValueOf(entry), prev: null })),
    }
  } finally {
    await client.close()
  }
}

const upTo = (batches: readonly WatchBatch[], revision: number): RevisionEvents[] =>
  batches
    .filter(batch => batch.events.length > 0 && batch.revision <= revision)
    .map(batch => ({ revision: batch.revision, events: batch.events.map(eventOf) }))

const eventOf = ({ kind, entry }: WatchBatch['events'][number]): WatchEvent => ({
  kind,
  kv: kind === 'put' ? keyValueOf(entry) : deletedKey(entry.key, entry.modRevision),
  prev: null,
})

const linesOf = (changes: readonly RevisionEvents[]): string[] =>
  changes.map(({ revision, events }) => `${revision}: ${events.map(eventText).join('; ')}`)

async function compareWatches(t: Test, load: Load, revision: number, truth: Truth): Promise<void> {
  const expected = linesOf([...truth.between(0, revision)])
  for (const watched of load.watched) {
    const { name, batches } = watched
    await holds(
      `the watch on ${name} to reach revision ${revision}`,
      () => watched.failure !== null || (batches.at(-1)?.revision ?? 0) >= revision,
    )
    t.equal(watched.failure, null, `the watch on ${name} goes on`)
    t.strictSame(linesOf(upTo(batches, revision)), expected, `the watch on ${name} saw everything once`)
  }
}

function describeRun(t: Test, history: KvHistory, revision: number): void {
  const count = (kind: 'read' | 'write', outcome: string): number =>
    history.filter(one => one.op.kind === kind && one.outcome === outcome).length
  const [ok, refused, unknown] = ['ok', 'fail', 'unknown'].map(outcome => count('write', outcome))
  t.comment(
    `revision ${revision}; writes: ${ok} acknowledged, ${refused} refused, ${unknown} unknown; ` +
      `reads: ${count('read', 'ok')} answered, ${count('read', 'fail')} not`,
  )
}
