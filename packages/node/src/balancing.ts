import { META_GROUP, type GroupId, type SplitStep } from '@kvorum/model'
import { replicasAfter, wantedNodes, type BalanceStep, type MetaState } from '@kvorum/placement'
import { heldInVain, isLed, noteHeldLeaders, notePresence, planOf } from './balanceView.js'
import { openCall } from './calls.js'
import { leads, metaOf } from './membership.js'
import { proposeMeta } from './metaProposals.js'
import { driveShardLoads } from './shardLoads.js'
import { splitBytesOf } from './splitView.js'
import { note, type Turn } from './state.js'
import { askOwn } from './watch/remoteShards.js'

/**
 * The meta group's leader looks from time to time at what the balancer would do, and begins it. What it begins is state
 * (a placement in the log, a leadership under way), so whoever leads next goes on.
 */
export function driveBalance(turn: Turn): void {
  const { state } = turn
  const meta = metaOf(state)
  if (meta === null) return
  driveShardLoads(turn, meta)
  const isWhole = meta.placement.replicas === 0 && meta.shards.shards.length < 2
  if (isWhole && splitBytesOf(meta, state.options.balance) === 0) return
  notePresence(turn, meta)
  noteHeldLeaders(turn, meta)
  const { balance } = state.options
  const group = state.groups.get(META_GROUP)
  if (balance === undefined || group?.raft == null || !leads(group)) return
  if (group.machine.applied < group.raft.termStart || turn.now < state.balancing.due) return
  state.balancing.due = turn.now + balance.everyMs
  const over = heldInVain(state, meta, turn.now, balance)
  if (over !== undefined) proposeMeta(turn, { kind: 'holdLeader', ...over, hold: false })
  lookForLeaders(turn, meta)
  for (const step of planOf(state, meta, turn.now, balance)) begin(turn, meta, step)
}

/**
 * Whether a shard that is to change can decide anything, only its group knows: it may count some who are no members any
 * more. Who leads it is asked for where this node does not know. What nobody leads holds up no other shard's moves.
 */
function lookForLeaders(turn: Turn, meta: MetaState): void {
  const { state } = turn
  const { looking, leaderless } = state.balancing
  const members = new Set(meta.nodes.map(({ id }) => id))
  for (const { group, nodes, settled } of meta.placement.shards) {
    const isAsWanted = settled && nodes.every(node => members.has(node))
    if (isLed(state, group) === true) leaderless.delete(group)
    else if (!isAsWanted && !looking.has(group)) lookFor(turn, meta, group)
  }
}

function lookFor(turn: Turn, meta: MetaState, group: GroupId): void {
  const shard = meta.shards.shards.find(each => each.group === group)
  if (shard === undefined) return
  turn.state.balancing.looking.add(group)
  askOwn(turn, { kind: 'follow', group, range: shard.range, after: 0 }, ({ state }, result) => {
    const { looking, leaderless } = state.balancing
    looking.delete(group)
    // One that has been split since refuses, and so is led.
    if (result.ok || result.error.code === 'staleRoute') leaderless.delete(group)
    else leaderless.add(group)
  })
}

/** Moves are decided one after the other; the next one when the log has this one. */
function begin(turn: Turn, meta: MetaState, step: BalanceStep | SplitStep): void {
  const { state } = turn
  if (step.kind === 'split') {
    beginSplit(turn, meta, step)
    return
  }
  const facts = { group: step.group, reason: step.reason, to: (step.to ?? 0n).toString(16) }
  if (step.kind === 'move') {
    if (turn.now < state.metaCommandUntil) return
    const before = wantedNodes(meta, step.group)
    const nodes = replicasAfter(before, step)
    note(turn, 'info', 'A replica is moved', facts)
    proposeMeta(turn, { kind: 'placeShard', group: step.group, before, nodes, override: true })
    return
  }
  note(turn, 'info', 'The leadership of a shard is handed over', facts)
  const due = turn.now + state.options.electionTimeoutMs * 2
  const call = openCall(turn, { kind: 'self' }, { kind: 'moveLeader', to: step.to, group: step.group }, due)
  if (call !== null) turn.routing.push(call)
}

/** As if an operator had asked for it, with every right there is. */
function beginSplit(turn: Turn, { auth }: MetaState, { group, at, reason }: SplitStep): void {
  if (turn.now < turn.state.metaCommandUntil) return
  note(turn, 'info', 'A shard is to be split', { group, reason })
  proposeMeta(turn, { kind: 'splitShard', at, group }, auth.enabled ? auth.fence : null)
}
