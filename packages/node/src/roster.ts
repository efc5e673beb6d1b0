import { META_GROUP, type NodeId, type Roster } from '@kvorum/model'
import { mayCountFormer, type MetaState } from '@kvorum/placement'
import { configAt } from '@kvorum/raft'
import { createPeer, REFUSAL_SENTENCES, welcomeTrusted, type Peer } from './identity.js'
import { metaOf } from './membership.js'
import { rosterOf, sameRoster, tellRoster } from './rosterView.js'
import { fatal, note, sendTo, type Group, type NodeState, type Turn } from './state.js'
import type { PeerPlace } from './types.js'
import { forwardsLost } from './writes.js'

/**
 * Who is a peer. What the meta group's state machine has applied here says so, or what a peer has applied that is
 * further: a node that was away while everybody else was replaced could learn it from nobody otherwise.
 *
 *     members of the newest roster, and whoever a group here still counts --> peers --> transport
 *
 * A member that was removed stays a peer until every group of this node has let its replica go for good: its vote
 * may be needed for that very change. Then it is told, and is a stranger. It stays one over restarts of either.
 */
/** The meta group's state was loaded, or has moved on. */
export function rosterApplied(turn: Turn, meta: MetaState): void {
  const { state } = turn
  if (meta.applied < state.roster.index) return
  const roster = rosterOf(meta, meta.applied)
  const changed = !sameRoster(roster, state.roster)
  state.roster = roster
  if (!changed) return
  followRoster(turn, true)
  for (const peer of state.peers.values()) if (peer.trusted) tellRoster(turn, peer.node)
}

export function receiveRoster(turn: Turn, roster: Roster): void {
  const { state } = turn
  if (roster.index <= state.roster.index) return
  const changed = !sameRoster(roster, state.roster)
  state.roster = roster
  if (changed) followRoster(turn, true)
}

/** Makes the peers what the roster says. Done whenever it changes, and again while somebody lingers. */
function followRoster(turn: Turn, news: boolean): void {
  const { state } = turn
  const { members, removed } = state.roster
  let changed = news
  for (const { node, peerUrls } of members) {
    if (node === state.options.self) continue
    const peer = state.peers.get(node)
    if (peer === undefined) {
      const record = state.peerRecords.get(node) ?? null
      state.peers.set(node, createPeer(node, peerUrls, record))
      changed = true
    } else if (peer.urls.join() !== peerUrls.join()) {
      peer.urls = peerUrls
      changed = true
    }
  }
  for (const { node } of [...state.peers.values()]) {
    if (members.some(member => member.node === node) || !removed.includes(node) || mayBeCounted(state, node))
      continue
    letGo(turn, node)
    changed = true
  }
  welcomeTrusted(turn)
  if (changed) tellTransport(turn)
}

function tellTransport(turn: Turn): void {
  const { state } = turn
  state.turnedAway = toTurnAway(state)
  turn.out.peers = { peers: [...state.peers.values()].map(placeOf), removed: state.turnedAway }
}

/** Who is told that it was removed ends for good: of one that a group may still count, nobody must say so. */
const toTurnAway = (state: NodeState): NodeId[] =>
  state.roster.removed.filter(node => !state.peers.has(node) && !mayBeCounted(state, node))

const placeOf = ({ node, urls, said }: Peer): PeerPlace => ({
  node,
  urls,
  alsoAt: said.filter(url => !urls.includes(url)),
})

/**
 * Where a peer is by its own word, which only those whose identity is in order give. A change of its address may be
 * in a log here, and not be known to be committed until that very peer is reached. Its word stands until it says
 * another one: what is committed meanwhile may be as old as what was known before.
 */
export function heardWhere(turn: Turn, peer: Peer, said: readonly string[]): void {
  const before = placeOf(peer).alsoAt
  peer.said = said
  if (placeOf(peer).alsoAt.join() !== before.join()) tellTransport(turn)
}

/** What the roster alone does not say: done from time to time. */
export function tendRoster(turn: Turn): void {
  letGoLingering(turn)
  recallCounted(turn)
  tellTurnedAway(turn)
  tellUnheard(turn)
  leaveIfRemoved(turn)
}

/** Some peers are members no more, and the groups had not let them go when that became known. */
function letGoLingering(turn: Turn): void {
  const { peers, roster } = turn.state
  for (const node of peers.keys()) {
    if (roster.removed.includes(node)) return followRoster(turn, false)
  }
}

/** After a start it takes until all groups are loaded to know whom none of them counts. */
function tellTurnedAway(turn: Turn): void {
  const { roster, turnedAway } = turn.state
  if (roster.removed.length === turnedAway.length) return
  if (toTurnAway(turn.state).join() !== turnedAway.join()) tellTransport(turn)
}

/** After a restart the groups here may still count somebody who is a member no more: it is a peer again. */
function recallCounted(turn: Turn): void {
  const { state } = turn
  const former = metaOf(state)?.membership.removed ?? []
  for (const { node, peerUrls } of former) {
    if (node === state.options.self || state.peers.has(node) || peerUrls.length === 0) continue
    if (!isNamed(state, node)) continue
    state.peers.set(node, createPeer(node, peerUrls, state.peerRecords.get(node) ?? null))
    followRoster(turn, true)
  }
}

/**
 * A peer that can be reached and does not speak may not know where this node lives now: the news of that is in a
 * log that it cannot follow without answering.
 */
function tellUnheard(turn: Turn): void {
  const { state } = turn
  if (state.roster.index === 0 || turn.now < state.rosterToldAt + state.options.electionTimeoutMs) return
  state.rosterToldAt = turn.now
  for (const { node, connected, trusted } of state.peers.values()) {
    if (connected && !trusted) tellRoster(turn, node)
  }
}

/** Nobody may be left who could tell it; once its own groups count without it, its own state is enough. */
function leaveIfRemoved(turn: Turn): void {
  const { state } = turn
  const { self } = state.options
  if (state.roster.removed.includes(self) && !isCounted(state, self))
    fatal(turn, REFUSAL_SENTENCES.removedMember)
}

/** Whether a group of this node still names it, in what is in force or in what is committed. */
const isCounted = (state: NodeState, node: NodeId): boolean =>
  [...state.groups.values()].some(group => countsIn(group, node))

/** The same of the groups of other nodes too, as far as it is known here that they do not. */
function mayBeCounted(state: NodeState, node: NodeId): boolean {
  const meta = metaOf(state)
  return isCounted(state, node) || (meta !== null && mayCountFormer(meta, node))
}

/**
 * Whether a group but that of the members may need it. One that is not there helps nobody: it is not kept among those
 * who decide about members.
 */
export function isNeededElsewhere(state: NodeState, node: NodeId): boolean {
  const meta = metaOf(state)
  const isThere = state.peers.get(node)?.connected === true
  if (isThere && meta !== null && mayCountFormer(meta, node)) return true
  return [...state.groups.values()].some(group => group.id !== META_GROUP && countsIn(group, node))
}

const isNamed = (state: NodeState, node: NodeId): boolean =>
  [...state.groups.values()].some(group => group.raft !== null && !group.raft.lost && countsIn(group, node))

function countsIn({ raft, quarantined }: Group, node: NodeId): boolean {
  if (raft === null) return quarantined === null
  // Without state, what the group has decided since is not known here.
  if (raft.lost) return true
  const names = (replicas: readonly { readonly node: NodeId }[]): boolean =>
    replicas.some(replica => replica.node === node)
  return names(raft.config.replicas) || names(configAt(raft, raft.commit).replicas)
}

function letGo(turn: Turn, node: NodeId): void {
  const { state } = turn
  const peer = state.peers.get(node)
  if (peer === undefined) return
  note(turn, 'info', 'A member was removed: every group here has let it go', { member: node.toString(16) })
  if (peer.record !== null) {
    const { incarnation, boot, nonce } = peer.record
    const identity = { incarnation, boot, nonce }
    sendTo(turn, node, { kind: 'refused', reason: 'removedMember', identity })
  }
  forwardsLost(turn, node)
  state.peers.delete(node)
  state.peerRecords.delete(node)
}
