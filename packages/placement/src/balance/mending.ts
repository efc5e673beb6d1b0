import type { NodeId } from '@kvorum/model'
import type { BalancePolicy, BalanceReason, BalanceShard, BalanceStep } from './cluster.js'
import { bestTarget, carriesLess, hasQuorum, isDead, isPresent, type Loads } from './loads.js'

type Move = Extract<BalanceStep, { kind: 'move' }>

/**
 * What is wrong with one shard, worst first: a replica on a node that is dead or gone, too few, one on a node that
 * is leaving, too many. A replica goes only where its place is taken by another, so that a shard never counts on
 * fewer than it had; without a place for it, it stays.
 */
export function mendShard(shard: BalanceShard, loads: Loads, policy: BalancePolicy): Move | null {
  if (!hasQuorum(shard, loads)) return null
  const lost = replaceLost(shard, loads, policy)
  // A move whose target is lost would never end: it goes on to another one.
  if (lost !== null || !shard.settled) return lost
  return addMissing(shard, loads, policy) ?? vacate(shard, loads, policy) ?? dropSpare(shard, loads, policy)
}

function replaceLost(shard: BalanceShard, loads: Loads, policy: BalancePolicy): Move | null {
  for (const from of shard.replicas) {
    const load = loads.get(from)
    if (load !== undefined && !isDead(load.node, policy)) continue
    const move = elsewhere(shard, from, load === undefined ? 'nodeGone' : 'nodeDead', loads, policy)
    if (move !== null) return move
  }
  return null
}

function addMissing(shard: BalanceShard, loads: Loads, policy: BalancePolicy): Move | null {
  if (shard.replicas.length >= policy.replicas) return null
  return elsewhere(shard, null, 'tooFewReplicas', loads, policy)
}

function vacate(shard: BalanceShard, loads: Loads, policy: BalancePolicy): Move | null {
  const from = shard.replicas.find(node => loads.get(node)?.node.draining === true)
  if (from === undefined) return null
  // With one too many the leaving one is the one to go: nothing need be copied.
  if (shard.replicas.length > policy.replicas) return without(shard, from, 'nodeDraining', loads)
  return elsewhere(shard, from, 'nodeDraining', loads, policy)
}

/** The one whose node carries most goes; who is there stays as long as others can go. */
function dropSpare(shard: BalanceShard, loads: Loads, policy: BalancePolicy): Move | null {
  if (shard.replicas.length <= policy.replicas) return null
  let worst: NodeId | null = null
  for (const node of shard.replicas) {
    if (node !== shard.leader && (worst === null || isWorse(node, worst, loads))) worst = node
  }
  return worst === null ? null : without(shard, worst, 'tooManyReplicas', loads)
}

function isWorse(a: NodeId, b: NodeId, loads: Loads): boolean {
  const [left, right] = [loads.get(a), loads.get(b)]
  if (left === undefined || right === undefined) return left === undefined && right !== undefined
  const [leftPresent, rightPresent] = [isPresent(left.node), isPresent(right.node)]
  return leftPresent === rightPresent ? carriesLess(right, left) : !leftPresent
}

/** Only where those who stay are still enough of what they will be. */
function without(shard: BalanceShard, from: NodeId, reason: BalanceReason, loads: Loads): Move | null {
  const left = { ...shard, replicas: shard.replicas.filter(node => node !== from) }
  if (left.replicas.length === 0 || !hasQuorum(left, loads)) return null
  return { kind: 'move', group: shard.group, from, to: null, reason }
}

function elsewhere(
  shard: BalanceShard,
  from: NodeId | null,
  reason: BalanceReason,
  loads: Loads,
  policy: BalancePolicy,
): Move | null {
  const target = bestTarget(shard, loads, policy)
  return target === null ? null : { kind: 'move', group: shard.group, from, to: target.node.node, reason }
}
