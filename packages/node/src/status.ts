import { META_GROUP, type GroupStatus, type NodeStatus, type Revision } from '@kvorum/model'
import { isUnchecked } from './checking.js'
import { headerTerm, isLearnerMember, leaderNode, leads, metaLeader } from './membership.js'
import { bytesHeld } from './shardQuota.js'
import type { Group, NodeState } from './state.js'

/** What this node knows now, for Status, health and metrics. Copies only; nothing here changes anything. */
export function statusOf(
  state: NodeState,
  queuedBytes: (node: bigint) => number,
): Omit<NodeStatus, 'diskBytes'> {
  const meta = state.groups.get(META_GROUP)
  const first = state.shards.shards[0]
  const shard = first === undefined ? undefined : state.groups.get(first.group)
  const groups = [...state.groups.values()].map(statusOfGroup)
  const leader = metaLeader(state)
  const problems = problemsOf(state)
  // Without a replica of the first shard: what was heard of all shards, and where the log of all members is.
  const revision = shard === undefined ? state.hub.seen : newestRevision(state)
  const told = shard ?? meta
  const term = Math.max(headerTerm(state), state.highestTerm)
  return {
    header: { revision, term },
    leader: leader ?? 0n,
    term,
    committed: told?.raft?.commit ?? 0,
    applied: told?.machine.applied ?? 0,
    revision,
    learner: isPlacing(meta) ? isLearnerMember(state) : meta !== undefined && isLearner(meta),
    logicalBytes: bytesHeld(state),
    quotaBytes: state.options.maintenance.quotaBytes,
    alarms: meta?.machine.meta?.alarms.active ?? [],
    clusterVersion: meta?.machine.meta?.clusterVersion ?? '',
    ready: problems.length === 0,
    problems,
    groups,
    peers: [...state.peers.values()].map(({ node, connected }) => ({
      node,
      connected,
      queuedBytes: queuedBytes(node),
    })),
    counters: {
      ...state.counters,
      ...operationCounters(state),
      ...keysOf(state),
      shardOperationsPending: operationsPending(meta),
    },
  }
}

/** Of what this node has applied, in whichever shard. */
function newestRevision({ groups }: NodeState): Revision {
  let newest = 0
  for (const { machine } of groups.values()) newest = Math.max(newest, machine.shard?.revision ?? 0)
  return newest
}

/** Shards that are being split or moved. */
function operationsPending(meta: Group | undefined): number {
  const known = meta?.machine.meta
  if (known == null) return 0
  return known.operations.length + known.placement.shards.filter(({ settled }) => !settled).length
}

/** Known where all shards are: what each of them says is only good as a part of the sum. */
function keysOf({ shards, groups }: NodeState): Record<string, number> {
  const machines = shards.shards.map(({ group }) => groups.get(group)?.machine)
  if (machines.some(machine => machine?.shard == null || machine.installing)) return {}
  return { mvccKeys: machines.reduce((sum, machine) => sum + machine!.shard!.keys, 0) }
}

/** What etcd has under names of its own; the edge knows which. */
function operationCounters({ operations, hub }: NodeState): Record<string, number> {
  const { puts, putBytes, deletes, ranges, txns, compactedVersions } = operations
  const streams = [...hub.streams.values()]
  return {
    mvccPuts: puts,
    mvccPutBytes: putBytes,
    mvccDeletes: deletes,
    mvccRanges: ranges,
    mvccTxns: txns,
    mvccCompactedVersions: compactedVersions,
    watchStreams: streams.filter(({ watchers }) => watchers.size > 0).length,
    watchers: streams.reduce((sum, { watchers }) => sum + watchers.size, 0),
    slowWatchers: [
      ...hub.shards.values(),
      ...hub.merged.values(),
      ...hub.remote.hubs.values(),
      ...hub.stranded.map(one => one.hub),
    ].reduce((sum, { behind }) => sum + behind.size, 0),
  }
}

/** How far applying may lag behind before a node says that it is not ready (as etcd's limit for requests). */
const APPLY_LAG_MAX = 5_000

function problemsOf(state: NodeState): string[] {
  const problems: string[] = []
  if (!state.admission.admitted) problems.push('not yet known to a majority of the other members')
  if (state.draining) problems.push('stopping')
  for (const group of state.groups.values()) {
    const { raft, machine, quarantined, id } = group
    if (quarantined !== null) problems.push(`group ${id} is quarantined: ${quarantined}`)
    else if (raft === null) problems.push(`group ${id} is loading`)
    else if (raft.leader === 0) problems.push(`group ${id} has no leader`)
    else if (machine.installing) problems.push(`group ${id} is receiving a snapshot`)
    else if (isUnchecked(group)) problems.push(`group ${id} has not been compared with the other members`)
    else if (raft.commit - machine.applied > APPLY_LAG_MAX) problems.push(`group ${id} lags behind`)
  }
  return problems
}

/** Where shards are placed, some members only learn from the meta group, and vote in shards. */
const isPlacing = (meta: Group | undefined): boolean => (meta?.machine.meta?.placement.replicas ?? 0) > 0

const isLearner = (group: Group): boolean => group.raft?.config.learners.includes(group.replica) ?? false

function statusOfGroup(group: Group): GroupStatus {
  const { raft, machine } = group
  return {
    group: group.id,
    term: raft?.term ?? 0,
    leaderNode: leaderNode(group) ?? 0n,
    committed: raft?.commit ?? 0,
    applied: machine.applied,
    lastIndex: raft?.lastIndex ?? 0,
    purged: raft?.base.index ?? 0,
    revision: machine.shard?.revision ?? 0,
    compactRevision: machine.shard?.compactRevision ?? 0,
    isLeader: leads(group),
    learner: isLearner(group),
    quarantined: group.quarantined !== null,
    logicalBytes: machine.shard?.logicalBytes ?? 0,
  }
}
