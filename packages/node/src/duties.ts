import { LIMITS, META_GROUP } from '@kvorum/model'
import { clusterVersionOf, compareVersions } from '@kvorum/placement'
import { hasQuorum } from '@kvorum/raft'
import { driveAuthChanges } from './authChanges.js'
import { tendAlarms } from './alarms.js'
import { isCrowded } from './beatOutbox.js'
import { driveAutoCompaction } from './autoCompaction.js'
import { driveBalance } from './balancing.js'
import { mayLead } from './checking.js'
import { driveChecks } from './corruptChecks.js'
import { driveShardCompaction } from './compactShards.js'
import { driveSwitch } from './denseSwitch.js'
import { handOver, stepGroup } from './consensus.js'
import { driveFollows } from './follows.js'
import { losePatienceWithOracle } from './leaderRevisions.js'
import { leaderNode, leads, nodeOfReplica } from './membership.js'
import { bindCommand, driveMembership } from './membershipDuty.js'
import { openMissing } from './missingReplicas.js'
import { proposeMeta } from './metaProposals.js'
import { driveMoves } from './moveLeader.js'
import { isElsewhere, retryElsewhere } from './remotes.js'
import { tendReplicas } from './replicas.js'
import { tendRoster } from './roster.js'
import { driveShardOperations } from './shardOperations.js'
import { expireStreams } from './snapshotSend.js'
import { driveInstall } from './snapshotInstall.js'
import type { Group, NodeState, Turn } from './state.js'
import { notifyProgress } from './watch/progress.js'
import { driveOrphans } from './transactions/orphans.js'
import { retryUnplaced, retryWaiting } from './writes.js'

/** What a node sees to from time to time, without being asked. */
export function doDuties(turn: Turn): void {
  const { state } = turn
  if (turn.now < state.dutiesAt) return
  state.dutiesAt = turn.now + state.options.heartbeatMs
  const mustNotLead = state.draining || hasQuarantined(state) || !mayLead(state, turn.now)
  const removed = isRemoved(state)
  const share = nextShare(state)
  let elections = 0
  for (const group of state.groups.values()) {
    if (elections < LIMITS.electionsPerTurnMax && openElection(turn, group)) elections++
    retryWaiting(turn, group)
    driveOrphans(turn, group)
    driveInstall(turn, group)
    if (share.has(group)) driveMembership(turn, group)
    losePatienceWithOracle(turn, group)
    driveFollows(turn, group)
    driveShardCompaction(turn, group)
    driveSwitch(turn, group)
    if (group.oracle !== null && group.oracle.waiting.length > 0) turn.touched.add(group)
    if (mustNotLead) handOver(turn, group)
    else if (removed) handOver(turn, group, node => node !== null && !state.roster.removed.includes(node))
  }
  if (elections === LIMITS.electionsPerTurnMax) goOnAtOnce(turn)
  retryElsewhere(turn)
  tendReplicas(turn)
  driveBalance(turn)
  openMissing(turn)
  retryUnplaced(turn)
  tendAlarms(turn, share)
  driveAutoCompaction(turn)
  driveChecks(turn)
  expireStreams(turn)
  notifyProgress(turn)
  driveAuthChanges(turn)
  const meta = state.groups.get(META_GROUP)
  if (meta === undefined || meta.raft === null || state.draining) return
  announce(turn, meta)
  bindMembers(turn, meta)
  decideClusterVersion(turn, meta)
  driveShardOperations(turn, proposeMeta)
  driveMoves(turn)
  tendRoster(turn)
  followMetaLeader(turn, meta)
}

/** Of many groups each comes so many heartbeats after the last time for what has no hurry. */
const SHARES = 10

function nextShare(state: NodeState): ReadonlySet<Group> {
  const groups = [...state.groups.values()]
  if (!isCrowded(state)) return new Set(groups)
  const size = Math.ceil(groups.length / SHARES)
  const from = state.dutyShare % groups.length
  state.dutyShare = from + size
  return new Set(groups.slice(from, from + size))
}

/**
 * A replica that does not apply must not lead: its group could write nothing, and nobody would publish its long
 * commands. The other groups go along, since the shard's leader follows the meta group's.
 */
function hasQuarantined(state: NodeState): boolean {
  for (const group of state.groups.values()) if (group.quarantined !== null) return true
  return false
}

/**
 * Who is a member no more may not hear for long what the groups are to do. Where all voters are such, they go on
 * until they have a successor; giving the leadership to one another they would never get so far.
 */
const isRemoved = ({ roster, options }: NodeState): boolean => roster.removed.includes(options.self)

/**
 * After a start nobody need wait for an election timeout: of those who can reach a majority, the first voter
 * asks at once, and only once. Where there is a leader, the pre-vote finds out and nothing happens.
 */
function openElection(turn: Turn, group: Group): boolean {
  const { state } = turn
  const { raft } = group
  if (raft === null || group.electionOpened || raft.leader !== 0 || !state.admission.admitted) return false
  const present = raft.config.voters.filter(voter => {
    const node = nodeOfReplica(group, voter)
    return node === state.options.self || (node !== null && state.peers.get(node)?.trusted === true)
  })
  if (present[0] !== raft.id || !hasQuorum(raft.config, new Set(present))) return false
  group.electionOpened = true
  stepGroup(turn, group, { kind: 'campaign', now: turn.now })
  return true
}

function goOnAtOnce(turn: Turn): void {
  turn.state.dutiesAt = turn.now
  turn.out.again = true
}

/** Tells the cluster this node's name, URLs and version, until the meta group's state says so. */
function announce(turn: Turn, group: Group): void {
  const { options } = turn.state
  const own = group.machine.meta?.nodes.find(node => node.id === options.self)
  if (own === undefined || leaderNode(group) === null) return
  const told =
    own.name === options.name &&
    own.serverVersion === options.serverVersion &&
    own.clientUrls.join() === options.clientUrls.join()
  if (told) return
  proposeMeta(turn, {
    kind: 'announce',
    node: options.self,
    name: options.name,
    clientUrls: options.clientUrls,
    serverVersion: options.serverVersion,
  })
}

function decideClusterVersion(turn: Turn, group: Group): void {
  const { meta } = group.machine
  if (meta === null || !leads(group)) return
  const version = clusterVersionOf(meta)
  if (version !== null && compareVersions(version, meta.clusterVersion) > 0) {
    proposeMeta(turn, { kind: 'setClusterVersion', version })
  }
}

function bindMembers(turn: Turn, group: Group): void {
  const { meta } = group.machine
  const command = meta === null ? null : bindCommand(turn.state, meta, group)
  if (command !== null && leaderNode(group) !== null) proposeMeta(turn, command)
}

/** While there is one data shard, its leader is the meta group's: one node to ask, one term to report. */
function followMetaLeader(turn: Turn, meta: Group): void {
  const { state } = turn
  const leader = leaderNode(meta)
  if (
    leader === null ||
    leader === state.options.self ||
    state.moving.length > 0 ||
    state.shards.shards.length !== 1
  )
    return
  if (state.peers.get(leader)?.connected !== true) return
  const { group } = state.shards.shards[0]!
  // Where its replicas are placed, the meta group's leader need not have one.
  const shard = isElsewhere(state, group) ? undefined : state.groups.get(group)
  if (shard !== undefined && leads(shard)) handOver(turn, shard, node => node === leader)
}
