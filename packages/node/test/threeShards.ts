import { encodeShardCommand, utf8, type ClientRequest, type ClientResult, type Op } from '@kvorum/model'
import { rangesOf } from '#src/commands.js'
import { MiniCluster, type MiniOptions } from './miniCluster.js'

/** A cluster whose keys are in three shards, and what tests of several shards ask it. */

const THREE = [
  { start: utf8(''), end: utf8('h') },
  { start: utf8('h'), end: utf8('p') },
  { start: utf8('p'), end: null },
]

/** All groups have a leader. */
export function threeShards(options: MiniOptions = {}): MiniCluster {
  const cluster = new MiniCluster({ ranges: THREE, oracle: true, ...options })
  cluster.until(() => [0, 1, 2, 3].every(group => cluster.leaderOf(group) !== undefined))
  return cluster
}

export const write = (op: Op): ClientRequest => ({
  kind: 'write',
  ranges: rangesOf(op),
  command: encodeShardCommand({ kind: 'write', op }),
})

export function revisionOf(result: ClientResult): number {
  if (!result.ok) throw new Error(`refused: ${result.error.code}`)
  return result.value.header.revision
}

/** What transactions have left in the shards of the running nodes: prepared parts and records. */
export const locks = (cluster: MiniCluster): number =>
  heldLocks(cluster) + transactionsIn(cluster).reduce((sum, { records }) => sum + records.length, 0)

/** Of keys, whatever is still remembered of how they were decided. */
export const heldLocks = (cluster: MiniCluster): number =>
  transactionsIn(cluster).reduce((sum, { prepared }) => sum + prepared.length, 0)

const transactionsIn = ({ nodes }: MiniCluster) =>
  nodes
    .filter(({ up }) => up)
    .flatMap(node => [...node.state.groups.values()])
    .map(({ machine }) => machine.revisions.transactions)
