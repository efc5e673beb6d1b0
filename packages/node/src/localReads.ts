import {
  encodeReply,
  META_GROUP,
  passesFence,
  refuse,
  type OpReply,
  type RangeOp,
  type Result,
  type TxnOp,
} from '@kvorum/model'
import { readPage, readRange, readTxn, type Reader, type ReadReply, type Step } from '@kvorum/machine'
import { answerCall, failCall, finishCall, type Call } from './calls.js'
import { shardOfGroup } from './groupMachine.js'
import { termOf } from './membership.js'
import { countReads } from './operations.js'
import { takeReadView } from './readView.js'
import { awaitLeader, enterStage } from './stages.js'
import type { Group, Turn } from './state.js'
import { runTask } from './tasks.js'

/** Answers from this node's own state, as it is now. Whether that is fresh enough the caller has seen to. */
export function readLocally(turn: Turn, group: Group, call: Call): void {
  const shard = shardOfGroup(group)
  const { request } = call
  if (group.machine.installing || (shard === null && group.id !== META_GROUP)) {
    awaitLeader(turn, group, call)
    return
  }
  if (shard === null) {
    failCall(turn, call, 'internal')
    return
  }
  if (!passesFence(shard.authFence, request.authority?.fence ?? null)) {
    failCall(turn, call, 'authOutdated')
    return
  }
  if (shard.guard.corrupt) {
    failCall(turn, call, 'corrupt')
    return
  }
  const term = termOf(turn.state, group)
  if (request.kind === 'leaseList') {
    const ids = [...shard.leases.keys()].sort((a, b) => (a < b ? -1 : 1))
    answerCall(turn, call, { revision: shard.revision, term }, encodeReply({ kind: 'leases', ids }))
    return
  }
  if (request.kind !== 'read') {
    failCall(turn, call, 'internal')
    return
  }
  const { at } = request
  if (at !== undefined && at.revision < shard.compactRevision) {
    // The compaction came in between: the history that the read needs may be gone from here.
    const { compactRevision } = shard
    finishCall(turn, call, refuse('compacted', { compactRevision }))
    return
  }
  enterStage(call, 'store', turn.now)
  const { reader, view } = takeReadView(turn, shard, at?.revision)
  runTask(turn, {
    group: group.id,
    view,
    step: readOp(reader, request.op, request.pageBytes),
    done: (later, result) => {
      if (!result.ok) {
        finishCall(later, call, result)
        return
      }
      const { revision, reply } = result.value
      countReads(later.state.operations, reply)
      answerCall(later, call, { revision, term }, encodeReply({ kind: 'op', op: reply }))
    },
    failed: later => awaitLeader(later, group, call),
    holdsLayers: false,
  })
}

function readOp(
  reader: Reader,
  op: RangeOp | TxnOp,
  pageBytes: number | undefined,
): Step<Result<ReadReply<OpReply>>> {
  if (op.kind === 'txn') return readTxn(reader, op)
  return pageBytes === undefined ? readRange(reader, op) : readPage(reader, op, pageBytes)
}
