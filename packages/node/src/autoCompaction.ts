import { LIMITS, META_GROUP, TRUSTED, type Millis, type Revision } from '@kvorum/model'
import { openCall } from './calls.js'
import { isUnchecked } from './checking.js'
import type { AutoCompaction } from './maintenance.js'
import { inOracleMode, leads, metaOf } from './membership.js'
import { proposeOwn } from './ownCommands.js'
import { note, type NodeState, type Turn } from './state.js'

/**
 * Compaction without anybody asking, at the times and to the revisions that etcd has:
 *
 *     periodic  every tenth of the retention (of an hour at most) the newest revision is noted; once a whole
 *               retention has passed, and from then on every retention (every hour at most), everything before
 *               the revision of one retention ago goes
 *     revision  every five minutes all but the newest revisions go
 *
 * All members keep the notes, the shard's leader compacts: whoever leads next knows what was when. The notes are in
 * memory; a member that starts begins to count anew.
 */
export interface CompactionDuty {
  /** The newest revision is noted again at this time; 0: the first time is yet to come. */
  lookAt: Millis
  /** When there is something to compact again. */
  compactAt: Millis
  /** Oldest first; the first one is the newest that is old enough, if any is. */
  notes: { readonly at: Millis; readonly revision: Revision }[]
  /** What should be compacted by now. Asked for again until it is. */
  target: Revision
}

export const createCompactionDuty = (): CompactionDuty => ({ lookAt: 0, compactAt: 0, notes: [], target: 0 })

const HOUR_MS = 3_600_000
const REVISIONS_EVERY_MS = 300_000
const NOTES_PER_PERIOD = 10

type Policy = Exclude<AutoCompaction, { kind: 'off' }>

const periodOf = (policy: Policy): Millis =>
  policy.kind === 'revision' ? REVISIONS_EVERY_MS : Math.min(policy.retentionMs, HOUR_MS)

function stepOf(policy: Policy): Millis {
  if (policy.kind === 'revision') return REVISIONS_EVERY_MS
  return Math.max(periodOf(policy) / NOTES_PER_PERIOD, policy.retentionMs / LIMITS.compactionNotesMax)
}

/** Moves the target to what should be gone at `now`. To be called whenever `lookAt` has come. */
export function moveTarget(duty: CompactionDuty, policy: Policy, now: Millis, revision: Revision): void {
  const isFirst = duty.lookAt === 0
  duty.lookAt = now + stepOf(policy)
  if (policy.kind === 'revision') {
    if (!isFirst) duty.target = Math.max(duty.target, revision - policy.keep)
    return
  }
  const { notes } = duty
  if (isFirst) duty.compactAt = now + policy.retentionMs
  notes.push({ at: now, revision })
  const old = now - policy.retentionMs
  while (notes.length > 1 && notes[1]!.at <= old) notes.shift()
  if (now < duty.compactAt || notes[0]!.at > old) return
  duty.target = Math.max(duty.target, notes[0]!.revision)
  duty.compactAt = now + periodOf(policy)
}

/** Part of the duties. */
export function driveAutoCompaction(turn: Turn): void {
  const { state, now } = turn
  const { autoCompaction } = state.options.maintenance
  const { compactions } = state
  if (autoCompaction.kind === 'off' || now < compactions.lookAt) return
  // One revision counts for the whole cluster, and all of it is in the first shard while there is only one.
  const group = state.groups.get(state.shards.shards[0]!.group)
  const shard = group?.machine.shard ?? null
  if (group === undefined || shard === null || group.machine.installing) return
  if (group.quarantined !== null || isUnchecked(group)) return
  const isOracle = inOracleMode(state)
  moveTarget(compactions, autoCompaction, now, isOracle ? newestRevision(state) : shard.revision)
  const { target } = compactions
  if (isOracle) {
    compactAll(turn, target)
    return
  }
  // Somebody else may have compacted further; and a corrupt cluster keeps what it has.
  if (target <= shard.compactRevision || shard.guard.corrupt || !leads(group)) return
  if (group.own.compact?.done === false) return
  group.own.compact = proposeOwn(turn, group, group.own.compact, { kind: 'compact', revision: target })
  note(turn, 'info', 'The history is compacted, as --auto-compaction-retention has it', { revision: target })
}

/** No shard has them all; what none has is newer than what is compacted. */
function newestRevision(state: NodeState): Revision {
  const shards = [...state.groups.values()].map(({ machine }) => machine.shard?.revision ?? 0)
  return Math.max(0, ...shards)
}

/** Of several shards: the meta group's leader asks for it, as a client would. */
function compactAll(turn: Turn, target: Revision): void {
  const { state } = turn
  const meta = state.groups.get(META_GROUP)
  const known = metaOf(state)
  if (meta === undefined || known === null || !leads(meta) || target <= known.compacted) return
  if (meta.own.compact?.done === false) return
  const request = { kind: 'compact', revision: target, physical: false, authority: TRUSTED } as const
  const due = turn.now + state.options.electionTimeoutMs * 2
  meta.own.compact = openCall(turn, { kind: 'own', done: () => undefined }, request, due)
  if (meta.own.compact !== null) turn.routing.push(meta.own.compact)
  note(turn, 'info', 'The history is compacted, as --auto-compaction-retention has it', { revision: target })
}
