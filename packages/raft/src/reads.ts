import type { Index, Millis, ReplicaId } from '@kvorum/model'
import { send } from './outbox.js'
import { committedIndex } from './quorum.js'
import { nextWord } from './random.js'
import type { Raft } from './raft.js'
import { sendHeartbeats } from './replication.js'
import type { Message, Refusal } from './types.js'

/**
 * ReadIndex (thesis 6.4): a read may be served at the commit index noted after it arrived, once a quorum has
 * answered a heartbeat that was sent after the note: nobody else had led and committed more by then.
 *
 *     waiting --(own-term commit; number a round, note commit)--> rounds --(quorum answered)--> Ready.reads
 *
 * All waiting reads share a round. Its number is never used again in the leader's life, and a leader's life lies
 * within one term, so that no old answer can confirm a new round (etcd issue 20418).
 */
export interface Reads {
  /** Leader: asked for, in no round yet. */
  waiting: WaitingRead[]
  /** Leader: rounds under way, oldest first. */
  rounds: { readonly round: number; readonly index: Index; readonly reads: readonly WaitingRead[] }[]
  /** Number of the last round. */
  round: number
  /** Follower: to be sent to the leader with the next Ready, as one message. */
  outgoing: number[]
  /** Follower: on the way; `wire` is the context that the leader sees. */
  forwarded: { readonly wire: number; readonly contexts: readonly number[]; readonly due: Millis }[]
  /** The last `wire`. It starts at random: an answer to an earlier life of this replica must not fit. */
  wire: number
  /** How many reads are in all of these. */
  pending: number
}

interface WaitingRead {
  /** Who asked: this replica, or one that forwarded. */
  readonly from: ReplicaId
  readonly context: number
}

/** Reads that may wait in one replica. Each costs some tens of bytes; beyond it a client is told to come back. */
const PENDING_READS_MAX = 65_536
/** Rounds under way at once. One per turn keeps latency low, a few cover the round trip. */
const ROUNDS_MAX = 4
const WIRE_COUNTER_BITS = 20

export function createReads(raft: Pick<Raft, 'random'>): Reads {
  const wire = nextWord(raft.random) * 2 ** WIRE_COUNTER_BITS
  return { waiting: [], rounds: [], round: 0, outgoing: [], forwarded: [], wire, pending: 0 }
}

/**
 * Asks for an index at which a linearizable read may be served. The answer comes with `context` in Ready.reads:
 * the index, or null when it could not be confirmed (no leader any more, or no answer in time).
 */
export function readIndex(raft: Raft, now: Millis, context: number): Refusal | null {
  raft.now = now
  if (raft.leader === 0) return 'noLeader'
  if (!raft.mayVote) return 'notReady'
  if (raft.reads.pending >= PENDING_READS_MAX) return 'busy'
  raft.reads.pending++
  raft.dirty = true
  if (raft.role === 'leader') raft.reads.waiting.push({ from: raft.id, context })
  else raft.reads.outgoing.push(context)
  return null
}

/** Starts what waits: a round at the leader, one forwarded message at a follower. */
export function flushReads(raft: Raft): void {
  const { reads } = raft
  if (reads.outgoing.length > 0 && raft.leader !== 0 && raft.role !== 'leader') forward(raft)
  if (reads.waiting.length === 0 || reads.rounds.length >= ROUNDS_MAX) return
  // Before an own-term commit the leader does not know what is committed (thesis 6.4 step 1).
  if (raft.role !== 'leader' || raft.commit < raft.termStart) return
  reads.round++
  reads.rounds.push({ round: reads.round, index: raft.commit, reads: reads.waiting })
  reads.waiting = []
  sendHeartbeats(raft)
  confirmReads(raft)
}

function forward(raft: Raft): void {
  const { reads } = raft
  reads.wire++
  reads.forwarded.push({
    wire: reads.wire,
    contexts: reads.outgoing,
    due: raft.now + raft.options.electionTimeoutMs,
  })
  reads.outgoing = []
  send(raft, raft.leader, { kind: 'readIndex', context: reads.wire })
}

/** Releases the rounds that a quorum has answered. An answer to a later round confirms the earlier ones, too. */
export function confirmReads(raft: Raft): void {
  const { reads } = raft
  if (reads.rounds.length === 0) return
  const confirmed = committedIndex(raft.config, id =>
    id === raft.id ? reads.round : (raft.progress.get(id)?.round ?? 0),
  )
  while (reads.rounds[0] !== undefined && reads.rounds[0].round <= confirmed) {
    const { index, reads: done } = reads.rounds[0]
    reads.rounds.shift()
    reads.pending -= done.length
    for (const { from, context } of done) {
      if (from === raft.id) raft.readStates.push({ context, index })
      else send(raft, from, { kind: 'readIndexReply', context, index })
    }
  }
  if (reads.waiting.length > 0) raft.dirty = true
}

/** A follower's request. */
export function onReadIndex(raft: Raft, message: Extract<Message, { kind: 'readIndex' }>): void {
  const { from, context } = message
  if (raft.role !== 'leader' || raft.reads.pending >= PENDING_READS_MAX)
    return send(raft, from, { kind: 'readIndexReply', context, index: null })
  raft.reads.pending++
  raft.reads.waiting.push({ from, context })
  raft.dirty = true
}

/** An answer to what we forwarded; unknown ones are late, repeated, or meant for an earlier life. */
export function onReadIndexReply(raft: Raft, message: Extract<Message, { kind: 'readIndexReply' }>): void {
  const at = raft.reads.forwarded.findIndex(read => read.wire === message.context)
  const [read] = at < 0 ? [] : raft.reads.forwarded.splice(at, 1)
  if (read) answer(raft, read.contexts, message.index)
}

function answer(raft: Raft, contexts: readonly number[], index: Index | null): void {
  raft.reads.pending -= contexts.length
  for (const context of contexts) raft.readStates.push({ context, index })
}

/** Forwarded reads that got no answer within an election timeout. They are in order of time. */
export function expireReads(raft: Raft): void {
  const { forwarded } = raft.reads
  while (forwarded[0] !== undefined && forwarded[0].due <= raft.now)
    answer(raft, (forwarded.shift() as (typeof forwarded)[0]).contexts, null)
}

/** The leader or our role changed: nothing under way can be confirmed. Those who forwarded to us time out. */
export function failReads(raft: Raft): void {
  const { reads } = raft
  if (reads.pending === 0) return
  const own = [...reads.rounds.flatMap(round => round.reads), ...reads.waiting].filter(
    read => read.from === raft.id,
  )
  const contexts = [
    ...own.map(read => read.context),
    ...reads.forwarded.flatMap(read => read.contexts),
    ...reads.outgoing,
  ]
  for (const context of contexts) raft.readStates.push({ context, index: null })
  reads.waiting = []
  reads.rounds = []
  reads.forwarded = []
  reads.outgoing = []
  reads.pending = 0
}
