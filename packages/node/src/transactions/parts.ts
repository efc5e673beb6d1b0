import { assert, decodeWork, encodeReply, type ClientRequest } from '@kvorum/model'
import { readPart } from '@kvorum/machine'
import { answerCall, finishCall, type Call } from '../calls.js'
import { shardOfGroup } from '../groupMachine.js'
import { oracleTerm } from '../membership.js'
import { takeReadView } from '../readView.js'
import { awaitLeader } from '../stages.js'
import type { Group, Turn } from '../state.js'
import { runTask } from '../tasks.js'

/** Answers for this shard's part of a transaction. The prepare is applied here, and nothing moves under its locks. */
export function serveTransactionRead(
  turn: Turn,
  group: Group,
  call: Call,
  request: Extract<ClientRequest, { kind: 'transactionRead' }>,
): void {
  const shard = shardOfGroup(group)
  if (shard === null || group.machine.installing) {
    awaitLeader(turn, group, call)
    return
  }
  const { branches, revision } = request
  const work = decodeWork(request.work)
  assert(work.kind !== 'revoke', () => 'the end of a lease answers nothing')
  const { reader, view } = takeReadView(turn, shard)
  runTask(turn, {
    group: group.id,
    view,
    step: readPart(reader, work.op, branches, revision),
    done: (later, read) => {
      const header = { revision, term: oracleTerm(later.state) }
      if (read.ok) answerCall(later, call, header, encodeReply({ kind: 'part', answers: read.value }))
      else finishCall(later, call, read)
    },
    failed: later => awaitLeader(later, group, call),
    holdsLayers: false,
  })
}
