import { encodeReply, LIMITS, type ClientRequest } from '@kvorum/model'
import { readShardRows } from '@kvorum/machine'
import { answerCall, failCall, type Call } from './calls.js'
import { shardOfGroup } from './groupMachine.js'
import { headerTerm } from './membership.js'
import { callMoved } from './moved.js'
import { takeReadView } from './readView.js'
import { hasKeysOf } from './routing.js'
import type { Group, Turn } from './state.js'
import { runTask } from './tasks.js'

/** No larger message goes to another node. */
const ROWS_BYTES_MAX = LIMITS.frameBytesMax - LIMITS.requestOverheadBytes

/**
 * Rows of a shard for a node that has no replica of it, and makes a hash or a snapshot file of all shards (standing.ts).
 * What it asked for first is applied here. Rows hold versions, so all of what it may read at its revision is there, until
 * it is compacted: the answer says how far that is.
 */
export function serveRows(
  turn: Turn,
  group: Group,
  call: Call,
  request: Extract<ClientRequest, { kind: 'rows' }>,
): void {
  const shard = shardOfGroup(group)
  if (shard === null || group.machine.installing) {
    failCall(turn, call, 'notLeader')
    return
  }
  if (!hasKeysOf(group, request)) {
    callMoved(turn, group, call)
    return
  }
  const { reader, view } = takeReadView(turn, shard)
  runTask(turn, {
    group: group.id,
    view,
    step: readShardRows(reader, request.need),
    done: (later, rows) => {
      const body = encodeReply({ kind: 'rows', ...rows })
      const header = { revision: shard.revision, term: headerTerm(later.state) }
      if (body.length > ROWS_BYTES_MAX) failCall(later, call, 'responseTooLarge')
      else answerCall(later, call, header, body)
    },
    failed: later => failCall(later, call, 'unhealthy'),
    holdsLayers: false,
  })
}
