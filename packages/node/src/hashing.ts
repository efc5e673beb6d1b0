import { encodeReply, LIMITS, ok, type Result, type Revision, type StoreHash } from '@kvorum/model'
import { hashKv, type Reader, type Step } from '@kvorum/machine'
import { answerCall, failCall, finishCall, type Call } from './calls.js'
import { termOf } from './membership.js'
import { takeReadView } from './readView.js'
import type { Group, Turn } from './state.js'
import { runTask } from './tasks.js'

/**
 * Hashes of this node's copy of a shard, for clients and for other members: page by page through one view of the
 * store, in the background, a few at a time.
 */
export function hashForCall(turn: Turn, group: Group, call: Call, revision: Revision): void {
  const begun = hashShard(turn, group, revision, (later, result) => {
    if (result === null) failCall(later, call, 'unhealthy')
    else if (!result.ok) finishCall(later, call, result)
    else {
      const header = { revision: group.machine.shard?.revision ?? 0, term: termOf(later.state, group) }
      answerCall(later, call, header, encodeReply({ kind: 'hashed', ...result.value }))
    }
  })
  if (!begun) failCall(turn, call, 'tooManyRequests')
}

/** Whether it could begin. Null: the data was replaced, or turned out to be damaged, meanwhile. */
export function hashShard(
  turn: Turn,
  group: Group,
  revision: Revision,
  done: (turn: Turn, result: Result<StoreHash> | null) => void,
): boolean {
  const { shard, installing } = group.machine
  const { state } = turn
  if (shard === null || installing || state.hashes >= LIMITS.hashesMax) return false
  const { applied, digest } = shard
  const { reader, view } = takeReadView(turn, shard)
  state.hashes++
  runTask(turn, {
    group: group.id,
    view,
    step: hashStep(reader, revision, applied, digest),
    done: (later, result) => {
      state.hashes--
      done(later, result)
    },
    failed: later => {
      state.hashes--
      done(later, null)
    },
    holdsLayers: false,
  })
  return true
}

function* hashStep(
  reader: Reader,
  revision: Revision,
  applied: number,
  digest: number,
): Step<Result<StoreHash>> {
  const hashed = yield* hashKv(reader, revision)
  return hashed.ok ? ok({ ...hashed.value, applied, digest }) : hashed
}
