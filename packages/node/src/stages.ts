import { LIMITS, type Index, type Millis, type Stage } from '@kvorum/model'
import type { Pending } from './applying.js'
import type { Call } from './calls.js'
import type { Group, Turn } from './state.js'

/**
 * How long a call is in which stage (model's stages.ts): noted when it goes from one to the next, in whole turns. What
 * becomes of many proposals at once is marked by index, and looked up when they are applied.
 */

/** The stage it was in ended at `at`. */
export function enterStage(call: Call, stage: Stage, at: Millis): void {
  if (at > call.since) {
    call.times[call.stage] += at - call.since
    call.since = at
  }
  call.stage = stage
}

/** It waits for a leader it can go to. */
export function awaitLeader(turn: Turn, group: Group, call: Call): void {
  enterStage(call, 'leader', turn.now)
  // What a leader was given for it is of no use to another, nor to itself later.
  call.stamp = null
  group.waiting.push(call)
}

/** Everything up to the index had got there at this time. */
interface Mark {
  readonly index: Index
  readonly at: Millis
}

/** Ascending; only while this node has proposals of its own under way. */
export interface ProgressMarks {
  readonly committed: Mark[]
  /** Committed, and durable here. */
  readonly durable: Mark[]
}

export const createProgressMarks = (): ProgressMarks => ({ committed: [], durable: [] })

export function markProgress({ now }: Turn, { raft, proposals, marks }: Group): void {
  if (raft === null || proposals.size === 0) return
  mark(marks.committed, raft.commit, now)
  mark(marks.durable, Math.min(raft.commit, raft.stable), now)
}

/** Beyond the bound times are too long, and nothing else. */
function mark(marks: Mark[], index: Index, at: Millis): void {
  if ((marks.at(-1)?.index ?? 0) < index && marks.length < LIMITS.stageMarksMax) marks.push({ index, at })
}

/** The state machine takes these entries up. */
export function enterApply({ now }: Turn, { proposals, marks }: Group, batch: readonly Pending[]): void {
  if (proposals.size === 0) {
    marks.committed.length = 0
    marks.durable.length = 0
    return
  }
  for (const { entry } of batch) {
    const call = proposals.get(entry.index)?.call
    if (call === undefined || call.done) continue
    enterStage(call, 'disk', reachedAt(marks.committed, entry.index) ?? now)
    enterStage(call, 'apply', reachedAt(marks.durable, entry.index) ?? now)
  }
}

/** Forgets what lies before `index`: entries are taken up in their order. */
function reachedAt(marks: Mark[], index: Index): Millis | null {
  const first = marks.findIndex(each => each.index >= index)
  if (first !== 0) marks.splice(0, first < 0 ? marks.length : first)
  return marks[0]?.at ?? null
}
