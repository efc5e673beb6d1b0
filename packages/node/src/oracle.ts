import { encodeReply, LIMITS, type Entry, type OracleAsk } from '@kvorum/model'
import {
  electOracle,
  encodeMetaCommand,
  openOracle,
  oracleAsked,
  oracleCeilingApplied,
  settleOracle,
  type MetaCommand,
  type Oracle,
} from '@kvorum/placement'
import { propose } from '@kvorum/raft'
import { answerCall, type Call } from './calls.js'
import { noteOracleTerm } from './membership.js'
import { awaitLeader } from './stages.js'
import type { Group, Turn } from './state.js'

/**
 * The revision oracle, which is the duty of the meta group's leader. The rules are placement's; here questions come as
 * calls, ceilings go through the meta group's log, and rounds of leadership are those of its reads.
 */
export type NodeOracle = Oracle<Call>

export function beginOracle(group: Group): void {
  const { meta } = group.machine
  if (meta !== null) group.oracle = electOracle(group.ledTerm, meta.ceiling, LIMITS.oracleWindow)
}

/** Those who asked ask the next one. */
export function endOracle(turn: Turn, group: Group): void {
  const { oracle } = group
  group.oracle = null
  if (oracle === null) return
  for (const { request } of oracle.waiting) if (!request.from.done) awaitLeader(turn, group, request.from)
}

export function queueForOracle(turn: Turn, group: Group, call: Call, ask: OracleAsk): void {
  if (group.oracle === null) {
    awaitLeader(turn, group, call)
    return
  }
  group.oracle = oracleAsked(group.oracle, { ...ask, from: call })
  turn.touched.add(group)
}

/** An entry of the meta group is applied at its leader. */
export function oracleEntryApplied(
  turn: Turn,
  group: Group,
  entry: Entry,
  command: MetaCommand | null,
): void {
  if (group.oracle === null) return
  let { oracle } = group
  if (command?.kind === 'raiseCeiling') oracle = closing(turn, group, oracle, command.ceiling, entry)
  if (oracle.handedOut === null && oracle.ceiling !== null && entry.term === oracle.term)
    oracle = openOracle(oracle)
  group.oracle = oracle
  turn.touched.add(group)
}

function closing(turn: Turn, group: Group, oracle: NodeOracle, ceiling: number, entry: Entry): NodeOracle {
  const next = oracleCeilingApplied(oracle, ceiling, entry.term)
  if (next.waiting.length === 0) {
    for (const { request } of oracle.waiting) if (!request.from.done) awaitLeader(turn, group, request.from)
  }
  return next
}

/** Answers what can be answered, and has the ceiling raised where it is in the way. */
export function driveOracle(turn: Turn, group: Group): void {
  const { oracle, raft } = group
  if (oracle === null || raft === null || oracle.waiting.length === 0) return
  const asked = oracle.waiting.filter(({ request }) => !request.from.done)
  const settled = settleOracle(
    asked.length === oracle.waiting.length ? oracle : { ...oracle, waiting: asked },
  )
  group.oracle = settled.oracle
  for (const answer of settled.answers) {
    const [revision, body] =
      answer.kind === 'current'
        ? [answer.revision, encodeReply({ kind: 'done' })]
        : [answer.first, encodeReply({ kind: 'block', first: answer.first, count: answer.count })]
    noteOracleTerm(turn.state, oracle.term)
    answerCall(turn, answer.to, { revision, term: oracle.term }, body)
  }
  if (settled.raiseTo === null) return
  const data = encodeMetaCommand({ kind: 'raiseCeiling', ceiling: settled.raiseTo })
  const proposed = propose(raft, turn.wall, [{ kind: 'normal', data }])
  // Refused for now: every tick of the leader comes by here again.
  if (proposed.ok) turn.touched.add(group)
  else group.oracle = { ...settled.oracle, proposedCeiling: oracle.proposedCeiling }
}
