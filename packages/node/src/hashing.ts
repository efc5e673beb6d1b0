import {
  ALL_KEYS,
  encodeReply,
  LIMITS,
  ok,
  refuse,
  type Result,
  type Revision,
  type StoreHash,
} from '@kvorum/model'
import { hashKv, type Reader, type Step } from '@kvorum/machine'
import { resolvedByLog } from '@kvorum/placement'
import { answerCall, failCall, finishCall, type Call } from './calls.js'
import { inOracleMode, termOf } from './membership.js'
import { takeReadView } from './readView.js'
import type { Group, Turn } from './state.js'
import { standAtCurrent, type StandsAt } from './standing.js'
import { runTask } from './tasks.js'
import { shardsOf, takeHubView } from './watch/hubState.js'

/**
 * Hashes of this node's copy of a shard, for clients and for other members: page by page through one view of the
 * store, in the background, a few at a time.
 */
export function hashForCall(turn: Turn, group: Group, call: Call, revision: Revision): void {
  // Other members compare one shard; a client means all keys.
  if (call.origin.kind === 'client' && inOracleMode(turn.state)) {
    hashAllKeys(turn, call, revision)
    return
  }
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

/**
 * The keys of all shards lie in the store as those of one would: a hash over all of them at one revision is that of a
 * store with the same versions and one shard.
 */
function hashAllKeys(turn: Turn, call: Call, revision: Revision): void {
  const { state } = turn
  if (state.hashes >= LIMITS.hashesMax) {
    failCall(turn, call, 'tooManyRequests')
    return
  }
  state.hashes++
  standAtCurrent(turn, call.due, (later, at) => {
    if (at !== null && !call.done && revision <= at.revision && hashStanding(later, call, at, revision))
      return
    state.hashes--
    if (at !== null && revision > at.revision) finishCall(later, call, refuse('futureRevision'))
    else failCall(later, call, 'unhealthy')
  })
}

/** Whether it could begin. */
function hashStanding(turn: Turn, call: Call, at: StandsAt, revision: Revision): boolean {
  const { state } = turn
  const groups = state.shards.shards.map(({ group }) => group)
  const shards = shardsOf(turn, { groups, merging: null, remote: null })
  const first = shards?.machines[0]
  if (shards === null || first === undefined) return false
  const { reader, view } = takeHubView(turn, { ...shards, revision: at.revision }, ALL_KEYS)
  runTask(turn, {
    group: first.group,
    groups,
    view,
    step: hashStep(reader, revision, { applied: first.applied, digest: first.digest, epoch: 0 }),
    done: (later, result) => {
      state.hashes--
      if (result.ok) answerCall(later, call, at, encodeReply({ kind: 'hashed', ...result.value }))
      else finishCall(later, call, result)
    },
    failed: later => {
      state.hashes--
      failCall(later, call, 'unhealthy')
    },
    holdsLayers: false,
  })
  return true
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
  const { applied, digest, epoch } = shard
  // Above this a transaction may still come that another member has applied already. What all shards have compacted is
  // whole in each, also where the last write is older.
  const resolved = resolvedByLog(group.machine.revisions.transactions, shard.revision)
  const whole = Math.max(resolved, shard.compactRevision)
  const { reader, view } = takeReadView(turn, shard, whole)
  state.hashes++
  runTask(turn, {
    group: group.id,
    view,
    step: hashStep(reader, revision, { applied, digest, epoch }),
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
  at: Pick<StoreHash, 'applied' | 'digest' | 'epoch'>,
): Step<Result<StoreHash>> {
  const hashed = yield* hashKv(reader, revision)
  return hashed.ok ? ok({ ...hashed.value, ...at }) : hashed
}
