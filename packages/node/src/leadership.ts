import { createDemand } from './demand.js'
import { disarmLeases } from './leases.js'
import { beginStamping, endStamping } from './leaderRevisions.js'
import { beginOracle, endOracle } from './oracle.js'
import { awaitLeader } from './stages.js'
import { createOrphans } from './transactions/orphanState.js'
import { note, type Group, type Turn } from './state.js'

/** What a node does when it becomes a group's leader, and when it stops being one. */
export function leadershipWon(turn: Turn, group: Group): void {
  note(turn, 'info', 'This node leads', { group: group.id, term: group.ledTerm })
  // Leases are armed once the first entry of this term has been applied (apply.ts): only then is the state
  // machine known to hold everything that earlier leaders promised.
  if (group.leases !== null) disarmLeases(group.leases)
  // What it was asked for in an earlier leadership says nothing of today.
  group.demand = createDemand()
  beginStamping(group)
  beginOracle(group)
}

export function leadershipLost(turn: Turn, group: Group): void {
  note(turn, 'info', 'This node no longer leads', { group: group.id })
  if (group.leases !== null) disarmLeases(group.leases)
  endStamping(turn, group)
  endOracle(turn, group)
  for (const call of group.proposing) awaitLeader(turn, group, call)
  group.proposing = []
  for (const { call } of group.lockWaits) if (!call.done) awaitLeader(turn, group, call)
  group.lockWaits = []
  group.orphans = createOrphans()
}
