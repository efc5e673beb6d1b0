import {
  encodeShardCommand,
  META_GROUP,
  type ClientRequest,
  type ClientResult,
  type ErrorCode,
  type GroupId,
} from '@kvorum/model'
import type { MetaCommand, ShardOperation } from '@kvorum/placement'
import { openCall, type Call } from './calls.js'
import { leads } from './membership.js'
import { note, type Turn } from './state.js'

/**
 * The meta group's leader carries out what is pending on shards: it sends each to the leader of its shard, and when the
 * shard's log has it, says so in the meta group's log. All of it may be done twice, so whoever leads next begins where
 * the log stands.
 */
export interface UnderWay {
  readonly call: Call
  /** What came of it; null: nothing yet. */
  outcome: 'done' | 'impossible' | null
}

export function driveShardOperations(turn: Turn, propose: (turn: Turn, command: MetaCommand) => void): void {
  const { state } = turn
  const meta = state.groups.get(META_GROUP)
  const operations = meta?.machine.meta?.operations ?? []
  if (meta === undefined || !leads(meta) || operations.length === 0) {
    if (state.operating.size > 0) state.operating.clear()
    return
  }
  for (const operation of operations) drive(turn, operation, propose)
}

function drive(
  turn: Turn,
  operation: ShardOperation,
  propose: (turn: Turn, command: MetaCommand) => void,
): void {
  const { state } = turn
  const { right } = operation
  const underWay = state.operating.get(right)
  if (underWay?.outcome === 'done') propose(turn, { kind: 'finishSplit', right })
  else if (underWay?.outcome === 'impossible') propose(turn, { kind: 'abandonSplit', right })
  else if (underWay === undefined || underWay.call.done) send(turn, operation)
}

function send(turn: Turn, operation: ShardOperation): void {
  const { state } = turn
  const { right } = operation
  const due = turn.now + state.options.electionTimeoutMs * 2
  const done = (later: Turn, result: ClientResult): void =>
    operationEnded(later, right, result.ok ? null : result.error.code)
  const call = openCall(turn, { kind: 'own', done }, requestOf(operation), due)
  if (call === null) return
  state.operating.set(right, { call, outcome: null })
  call.group = operation.group
  turn.routing.push(call)
}

const requestOf = ({ at, right, epoch }: ShardOperation): ClientRequest => ({
  kind: 'write',
  ranges: [],
  command: encodeShardCommand({ kind: 'split', at, right, epoch }),
})

/** The shard's leader has answered. What it cannot do now is tried again. */
function operationEnded(turn: Turn, right: GroupId, refused: ErrorCode | null): void {
  const { state } = turn
  const underWay = state.operating.get(right)
  if (underWay === undefined) return
  if (refused === null) underWay.outcome = 'done'
  else if (refused === 'splitKeyInvalid') {
    underWay.outcome = 'impossible'
    note(turn, 'warn', 'A shard cannot be split there', { right })
  }
  state.dutiesAt = turn.now
}
