import { META_GROUP } from '@kvorum/model'
import { clusterVersionOf, compareVersions, encodeMetaCommand, type MetaCommand } from '@kvorum/placement'
import { openCall } from './calls.js'
import { handOver } from './consensus.js'
import { leaderNode, leads } from './membership.js'
import { expireStreams } from './snapshotSend.js'
import { driveInstall } from './snapshotInstall.js'
import type { Group, Turn } from './state.js'
import { notifyProgress } from './watch/watchers.js'
import { retryWaiting, routeCall } from './writes.js'

/** What a node sees to from time to time, without being asked. */
export function doDuties(turn: Turn): void {
  const { state } = turn
  if (turn.now < state.dutiesAt) return
  state.dutiesAt = turn.now + state.options.heartbeatMs
  for (const group of state.groups.values()) {
    retryWaiting(turn, group)
    driveInstall(turn, group)
    if (state.draining) handOver(turn, group)
  }
  expireStreams(turn)
  notifyProgress(turn)
  const meta = state.groups.get(META_GROUP)
  if (meta === undefined || meta.raft === null || state.draining) return
  announce(turn, meta)
  decideClusterVersion(turn, meta)
  followMetaLeader(turn, meta)
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

/** At most one command of the node's own is under way. */
function proposeMeta(turn: Turn, command: MetaCommand): void {
  const { state } = turn
  if (turn.now < state.metaCommandUntil) return
  state.metaCommandUntil = turn.now + state.options.electionTimeoutMs * 2
  const request = { kind: 'meta' as const, command: encodeMetaCommand(command) }
  const call = openCall(turn, { kind: 'self' }, request, state.metaCommandUntil)
  if (call !== null) routeCall(turn, call)
}

/** While there is one data shard, its leader is the meta group's: one node to ask, one term to report. */
function followMetaLeader(turn: Turn, meta: Group): void {
  const { state } = turn
  const leader = leaderNode(meta)
  if (leader === null || leader === state.options.self || state.shards.shards.length !== 1) return
  if (state.peers.get(leader)?.connected !== true) return
  const shard = state.groups.get(state.shards.shards[0]!.group)
  if (shard !== undefined && leads(shard)) handOver(turn, shard, leader)
}
