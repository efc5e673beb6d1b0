import {
  createMachine,
  createOverlay,
  runStep,
  showCommand,
  type Machine,
  type Overlay,
} from '@kvorum/machine'
import { applyShardEntry, createGroupMachine, pendingOf, type GroupMachine } from '@kvorum/node'
import { decodeRevisions, ORACLE_REVISIONS } from '@kvorum/placement'
import { decodeConfig } from '@kvorum/raft'
import type { Cluster } from './cluster.js'
import { checksum } from './storedState.js'

/**
 * I16: the whole log, carried out from nothing, ends in the state that the replicas have. The logs of right halves
 * begin where a split has left them.
 */
export function replay(cluster: Cluster): void {
  const { metaConfig, shards, oracle } = cluster.plan.bootstrap
  for (const { group, range } of shards) {
    const machine = createGroupMachine('shard')
    machine.shard = createMachine({ group, range, checksum })
    machine.config = { index: 0, value: metaConfig }
    if (oracle === true) machine.revisions = ORACLE_REVISIONS
    replayGroup(cluster, machine, machine.shard, createOverlay())
  }
}

/** Both halves of a split go on with the rows that there are. */
function replayGroup(cluster: Cluster, machine: GroupMachine, shard: Machine, overlay: Overlay): void {
  const { group } = shard
  const rights: (() => void)[] = []
  for (const entry of cluster.observer.truths.get(group).entries) {
    const outcome = runStep(applyShardEntry(machine, overlay, pendingOf('shard', entry)), empty)
    if (entry.kind === 'config') machine.config = { index: entry.index, value: decodeConfig(entry.data) }
    if (outcome.kind === 'worked') showCommand(outcome.worked)
    if (outcome.kind === 'split' && outcome.right !== null) {
      const { right } = outcome
      const half = createGroupMachine('shard')
      half.shard = right
      half.config = machine.config
      half.revisions = decodeRevisions(right.revisions)
      rights.push(() => replayGroup(cluster, half, right, overlay))
    }
  }
  const { applied, digest } = shard
  cluster.observer.invariants.observe({ kind: 'replayed', group, index: applied, digest: `${digest}` })
  for (const right of rights) right()
}

type Fetch = Parameters<typeof runStep>[1]

const empty: Fetch = need => ({
  values: need.gets.map(() => null),
  pages: need.scans.map(() => ({ rows: [], more: false })),
})
