import {
  assert,
  encodeReply,
  ok,
  type Entry,
  type Reply,
  type Revision,
  type StoreAnswer,
  type StoreNeed,
} from '@kvorum/model'
import {
  overlayBytes,
  overlayPut,
  overlaySnapshot,
  isLong,
  prefetch,
  showCommand,
  type Applied,
  type OverlaySnapshot,
} from '@kvorum/machine'
import { applyMetaCommand, decodeMetaCommand, metaWrites, metaAuthRevision } from '@kvorum/placement'
import { committedEntries, decodeConfig } from '@kvorum/raft'
import { pendingOf, resetApplying, type Pending } from './applying.js'
import { applyShardEntry, NOTHING_CAME, type ShardOutcome } from './shardApply.js'
import { answerWhenFenced } from './authChanges.js'
import { alarmsChanged, answerAlarm, settleAlarms } from './alarms.js'
import { answerCall, failCall, finishCall, type Call } from './calls.js'
import { stepGroup } from './consensus.js'
import { driveSwitch } from './denseSwitch.js'
import { noticeNoSpace } from './guard.js'
import { armLeases, leaseApplied } from './leases.js'
import { revisionEntryApplied, splitEntryApplied, writeAgain } from './leaderRevisions.js'
import { keepFoundings } from './groupMachine.js'
import { hiddenCommand, lookForPublication, mayShow, proposePublication } from './longCommands.js'
import { callMoved } from './moved.js'
import { leads, oracleTerm } from './membership.js'
import { oracleEntryApplied } from './oracle.js'
import { serveReads } from './reads.js'
import { rosterApplied } from './roster.js'
import { mapApplied } from './routing.js'
import { noticeSlowApply } from './slowApply.js'
import { splitHere } from './splitHere.js'
import { awaitLeader, enterApply } from './stages.js'
import type { Group, Turn } from './state.js'
import { runTask, type Work } from './tasks.js'
import { answerFence, fenceHere, releaseFences } from './transactions/fencing.js'
import { waitForLocks } from './transactions/lockOrder.js'
import { placeCall } from './writes.js'
import { publish } from './watch/publish.js'

/**
 * Applying committed entries without waiting in the turn: the rows that a batch of entries will look at are
 * fetched at once, then the entries are applied in order, over what was fetched and what earlier ones wrote. A
 * command that needs more than was foreseen goes on page by page; the entries behind it wait.
 */

/**
 * What an entry takes of the bytes that one turn may apply, over all groups, besides its own: an operation takes some
 * 10 to 20 microseconds. Operations are not counted, but every one of them takes up bytes of its entry.
 */
const ENTRY_CHARGE_BYTES = 512
const chargeOf = (entry: Entry): number => ENTRY_CHARGE_BYTES + entry.data.length

/** Takes up the next batch if there is one, and applies as much as one turn may. */
export function driveApply(turn: Turn, group: Group): void {
  const { raft, machine, applying } = group
  if (raft === null || applying.waiting || machine.installing || group.quarantined !== null) return
  if (applying.at < applying.batch.length) {
    applyBatch(turn, group)
    return
  }
  // The overlay waits for the store: applying on would only move the queue into memory.
  const { limits } = turn.state.options
  if (overlayBytes(turn.state.overlay) > limits.overlayBytesMax) return
  const entries = committedEntries(raft, limits.applyBytesMax)
  if (entries.length === 0) {
    // The next ones are only on disk: raft has to be asked what to read, in this turn.
    if (raft.fetch.applyWants && raft.dirty) turn.touched.add(group)
    return
  }
  applying.batch = entries.map(entry => pendingOf(group.machine.kind, entry))
  applying.at = 0
  applying.since = turn.now
  enterApply(turn, group, applying.batch)
  fetchBatch(turn, group)
}

function fetchBatch(turn: Turn, group: Group): void {
  const { applying, machine } = group
  const needs = applying.batch.map(({ command }) =>
    command === null || machine.shard === null ? NOTHING : prefetch(machine.shard, command),
  )
  const need = { gets: needs.flatMap(({ gets }) => gets), scans: needs.flatMap(({ scans }) => scans) }
  if (need.gets.length === 0 && need.scans.length === 0) {
    applyBatch(turn, group)
    return
  }
  const overlay = overlaySnapshot(turn.state.overlay)
  applying.waiting = true
  runTask(turn, {
    ...applyingWork(group),
    step: fetchOnce(need),
    done: (later, answer) => {
      shareAnswer(applying.batch, needs, answer, overlay)
      applying.waiting = false
      applyBatch(later, group)
    },
  })
}

const NOTHING: StoreNeed = { gets: [], scans: [] }

function* fetchOnce(need: StoreNeed): Generator<StoreNeed, StoreAnswer, StoreAnswer> {
  return yield need
}

function shareAnswer(
  batch: readonly Pending[],
  needs: readonly StoreNeed[],
  answer: StoreAnswer,
  overlay: OverlaySnapshot,
): void {
  let value = 0
  let page = 0
  batch.forEach((pending, i) => {
    const need = needs[i]!
    const values = answer.values.slice(value, (value += need.gets.length))
    const pages = answer.pages.slice(page, (page += need.scans.length))
    pending.prefetched = { need, answer: { values, pages }, overlay }
  })
}

/** What the store work of applying has in common: it ends without a trace when the group's state is dropped. */
const applyingWork = (
  group: Group,
): Pick<Work<unknown>, 'group' | 'view' | 'failed' | 'paused' | 'holdsLayers'> => ({
  group: group.id,
  view: null,
  failed: () => resetApplying(group.applying),
  // A command that has begun to be a long one lets reads go on.
  paused: later => {
    if (hiddenCommand(group) !== null) later.touched.add(group)
  },
  holdsLayers: true,
})

function applyBatch(turn: Turn, group: Group): void {
  const { applying } = group
  while (applying.at < applying.batch.length) {
    if (turn.applyBytesLeft <= 0) {
      turn.out.again = true
      turn.state.unsettled.add(group)
      break
    }
    const pending = applying.batch[applying.at]!
    const progress = { inLoop: true, done: false }
    turn.applyBytesLeft -= chargeOf(pending.entry)
    applying.waiting = true
    if (applying.at > 0) applying.since = turn.now
    runTask(turn, {
      ...applyingWork(group),
      step: applyEntry(turn, group, pending),
      done: (later, outcome) => {
        noticeSlowApply(later, group, pending, applying.since)
        const isHidden = outcome.kind === 'worked' && isLong(outcome.worked)
        const hidden = isHidden ? hiddenCommand(group) : null
        if (hidden !== null && isHidden) {
          // Nothing behind it is applied before it is shown; `driveHidden` goes on from here.
          hidden.worked = outcome.worked
          hidden.workedAt = later.now
          later.touched.add(group)
          return
        }
        entryWorked(later, group, pending, outcome)
        progress.done = true
        // What needed more rows comes back in a later turn, and takes the rest of the batch with it.
        if (!progress.inLoop) applyBatch(later, group)
      },
    })
    progress.inLoop = false
    if (!progress.done) break
  }
  batchApplied(turn, group)
}

/** A long command that is not shown yet: reads go on before it, and it is shown when the log says so. */
export function driveHidden(turn: Turn, group: Group): void {
  const hidden = hiddenCommand(group)
  if (hidden === null || group.quarantined !== null) return
  lookForPublication(turn, group, hidden)
  if (mayShow(hidden)) {
    const { applying } = group
    applying.hidden = null
    entryWorked(turn, group, applying.batch[applying.at]!, { kind: 'worked', worked: hidden.worked! })
    applyBatch(turn, group)
    return
  }
  proposePublication(turn, group, hidden)
  serveReads(turn, group)
}

/** Tells everybody who waits for the state machine to get somewhere. */
function batchApplied(turn: Turn, group: Group): void {
  const { raft, machine } = group
  turn.state.flushing.dirty.add(group)
  if (raft === null || raft.applied >= machine.applied) return
  stepGroup(turn, group, { kind: 'applied', index: machine.applied })
  serveReads(turn, group)
}

function* applyEntry(
  turn: Turn,
  group: Group,
  pending: Pending,
): Generator<StoreNeed, ShardOutcome, StoreAnswer> {
  const { entry } = pending
  const { machine } = group
  assert(entry.index === machine.applied + 1, () => `entry ${entry.index} after applied ${machine.applied}`)
  // The meta group's commands are small, and have no effect before `entryWorked`.
  if (machine.meta !== null) return NOTHING_CAME
  return yield* applyShardEntry(machine, turn.state.overlay, pending)
}

/** The entry's work is done and may be seen. */
function entryWorked(turn: Turn, group: Group, pending: Pending, outcome: ShardOutcome): void {
  const { applying, machine } = group
  applying.waiting = false
  applying.at++
  const meta = machine.meta === null ? null : applyToMeta(turn, group, pending.entry)
  const applied = shownOf(outcome) ?? meta
  const right = outcome.kind === 'split' ? outcome.right : null
  if (right !== null) splitHere(turn, group, pending.entry.index, right)
  entryApplied(turn, group, pending, applied, outcome)
}

function shownOf(outcome: ShardOutcome): Applied | null {
  if (outcome.kind === 'worked') return showCommand(outcome.worked)
  return outcome.kind === 'split' ? outcome.applied : null
}

function applyToMeta(turn: Turn, group: Group, entry: Entry): Applied {
  const meta = group.machine.meta!
  meta.applied = entry.index
  meta.appliedTerm = entry.term
  if (entry.kind === 'config') {
    meta.config = entry.data
    meta.configIndex = entry.index
  }
  const alarms = meta.alarms.version
  const { shards: map, auth } = meta
  const command = entry.kind === 'normal' ? decodeMetaCommand(entry.data) : null
  const outcome = command === null ? DONE : applyMetaCommand(meta, command, metaAuthRevision(entry.data))
  oracleEntryApplied(turn, group, entry, command)
  if (meta.shards !== map) {
    keepFoundings(turn.state)
    mapApplied(turn.state, meta.shards)
  }
  rosterApplied(turn, meta)
  for (const write of metaWrites(meta, auth)) overlayPut(turn.state.overlay, write)
  if (meta.alarms.version !== alarms) alarmsChanged(turn)
  const result = outcome.ok ? ok(encodeReply(outcome.value)) : outcome
  return { result, revision: 0, changed: false, events: null }
}

const DONE = ok<Reply>({ kind: 'done' })

function entryApplied(
  turn: Turn,
  group: Group,
  pending: Pending,
  applied: Applied | null,
  outcome: ShardOutcome,
): void {
  const { entry, command } = pending
  const { machine, raft } = group
  machine.applied = entry.index
  machine.appliedTerm = entry.term
  if (entry.kind === 'config') machine.config = { index: entry.index, value: decodeConfig(entry.data) }
  turn.state.counters.entriesApplied++
  if (raft !== null && raft.role === 'leader' && entry.term === raft.term) armLeases(turn, group)
  if (machine.kind === 'shard') {
    const behind = outcome.kind === 'again' ? outcome.behind : null
    revisionEntryApplied(turn, group, entry, stampIn(pending), behind)
  }
  if (applied !== null && applied.changed) publish(turn, group, applied.revision, applied.events)
  if (command !== null && (command.kind === 'leaseGrant' || command.kind === 'leaseRevoke')) {
    leaseApplied(turn, group, command.id)
  }
  if (pending.endsLease !== null) leaseApplied(turn, group, pending.endsLease)
  if (command?.kind === 'endDense') driveSwitch(turn, group)
  // This may be what an answer about users and roles waits for.
  if (command?.kind === 'authFence') fenceHere(group)
  if (command?.kind === 'authFence' || (endsTransaction(command) && releaseFences(turn, group)))
    turn.state.authFences.moved = true
  if (command?.kind === 'split') splitEntryApplied(turn, group, entry.term)
  if (command?.kind === 'guard' || command?.kind === 'reclaim') settleAlarms(turn)
  if (applied !== null && !applied.result.ok) noticeNoSpace(turn, group, applied.result.error.code)
  answerProposal(turn, group, entry, applied, outcome)
}

const endsTransaction = (command: Pending['command']): boolean =>
  command?.kind === 'decide' || command?.kind === 'end'

/** What the entry was proposed with, or the transaction commits at that it ends here. */
function stampIn({ command, header }: Pending): Revision | null {
  if (command?.kind === 'decide' || command?.kind === 'end')
    return command.outcome.kind === 'commit' ? command.outcome.revision : null
  return header?.stamp ?? null
}

function answerProposal(
  turn: Turn,
  group: Group,
  entry: Entry,
  applied: Applied | null,
  outcome: ShardOutcome,
): void {
  const proposal = group.proposals.get(entry.index)
  if (proposal === undefined) return
  group.proposals.delete(entry.index)
  const { call, term } = proposal
  if (term !== entry.term) {
    // Another leader's entry stands here: this proposal is gone for good and may be made again.
    proposalLost(turn, group, call)
    return
  }
  if (outcome.kind === 'again') {
    writeAgain(turn, group, call)
    return
  }
  if (outcome.kind === 'spread') {
    call.stamp = null
    call.mayHaveEffect = false
    if (call.origin.kind === 'self' && !leads(group)) failCall(turn, call, 'leaderChanged')
    else placeCall(turn, group, call)
    return
  }
  if (outcome.kind === 'wait') {
    if (!call.done) waitForLocks(turn, group, call, outcome.behind)
    return
  }
  const isOracle = group.machine.revisions.mode.kind === 'oracle'
  const header = { revision: applied?.revision ?? 0, term: isOracle ? oracleTerm(turn.state) : entry.term }
  if (applied === null) answerCall(turn, call, header, encodeReply({ kind: 'done' }))
  else if (applied.result.ok && call.request.kind === 'compact' && call.request.physical) {
    group.compacting.waiting.push({ call, revision: applied.revision })
  } else if (applied.result.ok && call.request.kind === 'authFence') {
    answerFence(turn, group, call, header, applied.result.value)
  } else if (applied.result.ok && call.request.kind === 'meta') {
    answerWhenFenced(turn, { call, header, body: applied.result.value })
  } else if (applied.result.ok && call.request.kind === 'alarm') {
    answerAlarm(turn, call, header, applied.result.value)
  } else if (applied.result.ok) answerCall(turn, call, header, applied.result.value)
  else if (applied.result.error.code === 'staleRoute') callMoved(turn, group, call)
  else finishCall(turn, call, applied.result)
}

function proposalLost(turn: Turn, group: Group, call: Call): void {
  if (call.done) return
  call.mayHaveEffect = false
  call.stamp = null
  if (call.origin.kind === 'peer') failCall(turn, call, 'leaderChanged')
  else awaitLeader(turn, group, call)
}
