import type { Index, NodeId, Roster, RosterMember } from '@kvorum/model'
import { NO_INCARNATION, seatOf, type MetaState, type NodeRecord } from '@kvorum/placement'
import { sendTo, type NodeState, type Turn } from './state.js'

/** The members as one index of the meta group's log has them, made from its state or told by a peer. */
export const NO_ROSTER: Roster = { index: 0, members: [], removed: [] }

export function rosterOf(meta: MetaState, index: Index): Roster {
  return {
    index,
    members: meta.nodes.map(node => memberOf(meta, node)),
    removed: meta.membership.removed.map(({ node }) => node),
  }
}

function memberOf(meta: MetaState, { id, peerUrls }: NodeRecord): RosterMember {
  const seat = seatOf(meta, id)
  return {
    node: id,
    peerUrls,
    incarnation: seat?.incarnation ?? NO_INCARNATION,
    founder: seat?.founder ?? true,
  }
}

const seated = ({ node, incarnation, founder, peerUrls }: RosterMember): string =>
  [node, incarnation, founder, ...peerUrls].join(' ')

export const sameRoster = (a: Roster, b: Roster): boolean =>
  a.members.map(seated).join() === b.members.map(seated).join() && a.removed.join() === b.removed.join()

export function tellRoster(turn: Turn, node: NodeId): void {
  sendTo(turn, node, { kind: 'roster', roster: turn.state.roster })
}

export const memberOfRoster = (state: NodeState, node: NodeId): RosterMember | undefined =>
  state.roster.members.find(member => member.node === node)

/** Whether the log has let this directory in: a founder needs that not, and nobody else can do without it. */
export const isSeated = (state: NodeState, node: NodeId, incarnation: bigint): boolean => {
  const member = memberOfRoster(state, node)
  if (member === undefined) return false
  return member.incarnation === incarnation || (member.founder && member.incarnation === NO_INCARNATION)
}
