import {
  assert,
  type AuthFence,
  type CommandHeader,
  commandHeader,
  decodeShardCommand,
  encodeReply,
  type Guard,
  type Index,
  type KvError,
  type LeaseId,
  LIMITS,
  ok,
  type Op,
  passesFence,
  refuse,
  type Reply,
  type Result,
  type Revision,
  type RevisionEvents,
  sessionId,
  type ShardCommand,
  type Term,
  unreachable,
} from '@kvorum/model'
import { checkAttached } from './checkAttached.js'
import { hasDuplicateKey } from './duplicateKey.js'
import {
  addToSum,
  becomeLong,
  closeEntry,
  type EntryWrites,
  isFull,
  openEntry,
  write,
} from './entryWrites.js'
import { chainDigest } from './digest.js'
import { authFenceRow, configRow, guardRow, leaseRow, metaRow, revisionsRow } from './groupRows.js'
import { keepAnswer } from './keepAnswer.js'
import { endLease, isHome } from './leaseEnd.js'
import type { Machine } from './machine.js'
import { countPlan } from './operationCounts.js'
import { type Overlay, overlayPut } from './overlay.js'
import { commandView } from './reader.js'
import { ownsCommand } from './ownership.js'
import { guardRefusal, isOwn } from './quota.js'
import { addSession, claim, type Claim } from './sessions.js'
import { sessionRow } from './sessionRows.js'
import type { Step } from './step.js'
import { checkPlan, openRun, planOp, runPlan, unchangedAt } from './txn.js'
import type { Prefetched, View } from './view.js'

/** A committed entry of the group's log. */
export interface CommittedEntry {
  readonly index: Index
  readonly term: Term
  /** An encoded ShardCommand. */
  readonly data: Uint8Array
  /** The same, where the owner has decoded it already; null or absent: it has not. */
  readonly command?: ShardCommand | null
  /** In front of the command, where the owner has decoded it already. */
  readonly header?: CommandHeader | null
  /**
   * The revision that the oracle gave the command, above all that this shard has applied of its own; absent or null:
   * the command takes the shard's next one, if it changes a key.
   */
  readonly stamp?: Revision | null
}

export interface Applied {
  /** The encoded Reply, or why the command was refused. A refused command has no effect. */
  readonly result: Result<Uint8Array>
  /** For the answer's header: the stamp, or the shard's revision after the entry. */
  readonly revision: Revision
  /** Whether the entry changed a key, and so made that revision. */
  readonly changed: boolean
  /** Its changes; null where there are none or too many to hold, then `readHistory` has them. */
  readonly events: RevisionEvents | null
}

/** An entry that has been carried out and is not to be seen yet. */
export interface Worked {
  readonly entry: EntryWrites
  /** Makes it visible; once. */
  readonly show: () => Applied
}

/**
 * Carries out the next entry; `showCommand` ends it, and nothing else may be applied in between. If this throws,
 * nothing of a short command has been written, and a long one can be carried out again from the start.
 */
export function* workCommand(
  machine: Machine,
  overlay: Overlay,
  at: CommittedEntry,
  prefetched: Prefetched | null,
): Step<Worked> {
  assertNext(machine, at.index)
  const command = at.command ?? decodeShardCommand(at.data)
  const header = at.header ?? commandHeader(at.data)
  // Before the session: what is refused here is decided anew and sent again under the same number.
  if (!isOwn(command) && !passesFence(machine.authFence, header.authRevision)) {
    const entry = openEntry(machine, overlay)
    return { entry, show: () => finish(entry, at, refuse('authOutdated')) }
  }
  if (!ownsCommand(machine.range, command)) {
    const entry = openEntry(machine, overlay)
    return { entry, show: () => finish(entry, at, refuse('staleRoute')) }
  }
  const { session: tag } = header
  if (tag !== null && !isHome(machine)) {
    // Whoever routed it did not know yet that there are several shards: then it is a transaction with the home.
    const entry = openEntry(machine, overlay)
    return { entry, show: () => finish(entry, at, refuse('staleRoute')) }
  }
  const claimed = tag === null ? null : claim(machine.sessions, tag)
  if (claimed !== null && claimed.kind !== 'first') {
    const entry = openEntry(machine, overlay)
    return { entry, show: () => notAgain(entry, at, claimed) }
  }
  const view = commandView(machine, overlay, prefetched)
  const entry = openEntry(machine, overlay, at.stamp)
  const outcome = yield* carryOut(entry, view, command, header, at)
  if (!('error' in outcome) && isFull(entry)) becomeLong(entry)
  const remember = (result: Result<Uint8Array>): void => {
    if (claimed !== null) keepAnswer(entry, tag!, { revision: at.stamp ?? machine.revision, result })
  }
  return { entry, show: () => finish(entry, at, outcome, remember) }
}

/**
 * Whether the command wrote more than its bound. It follows from the log and the state before it alone, so replicas
 * agree. A long command is shown only when the log says so (docs/decisions/0007-long-commands.md); the owner sees to it.
 */
export const isLong = ({ entry }: Worked): boolean => entry.long

/** Whatever came of the entry, the applied index moves, in the same layer as the last of the entry's writes. */
export const showCommand = ({ show }: Worked): Applied => show()

/** Both at once: for those who show the result to nobody before they have applied what follows. */
export function* applyCommand(
  machine: Machine,
  overlay: Overlay,
  at: CommittedEntry,
  prefetched: Prefetched | null,
): Step<Applied> {
  return showCommand(yield* workCommand(machine, overlay, at, prefetched))
}

/** A write of a session that has its answer already, or never gets one: the entry has no effect. */
function notAgain(
  entry: EntryWrites,
  at: CommittedEntry,
  claimed: Exclude<Claim, { kind: 'first' }>,
): Applied {
  const applied = finish(entry, at, { reply: { kind: 'done' } })
  return claimed.kind === 'refused'
    ? { ...applied, result: { ok: false, error: claimed.error } }
    : { ...applied, ...claimed.reply }
}

/** What a leader appends first, or what is not to be carried out: it moves the applied index like any other entry. */
export function applyNoop(machine: Machine, overlay: Overlay, at: Omit<CommittedEntry, 'data'>): void {
  assertNext(machine, at.index)
  finish(openEntry(machine, overlay), at, { reply: { kind: 'done' } })
}

/** The configuration that the group begins with, before its first entry. */
export function foundConfig(machine: Machine, overlay: Overlay, config: Uint8Array): void {
  machine.config = config
  overlayPut(overlay, configRow(machine))
}

/** Where a group begins: from here on the store knows that it has begun, and with which keys. */
export const foundPositions = (machine: Machine, overlay: Overlay): void =>
  overlayPut(overlay, metaRow(machine))

/** The configuration travels with the state, so that a snapshot knows its own. */
export function applyConfig(
  machine: Machine,
  overlay: Overlay,
  at: Omit<CommittedEntry, 'data'>,
  config: Uint8Array,
): void {
  assertNext(machine, at.index)
  const entry = openEntry(machine, overlay)
  machine.config = config
  machine.configIndex = at.index
  const row = configRow(machine)
  write(entry, row.key, row.value)
  finish(entry, at, { reply: { kind: 'done' } })
}

/** An entry that changes what the owner remembers of revisions, and nothing else. */
export function applyRevisions(
  machine: Machine,
  overlay: Overlay,
  at: Omit<CommittedEntry, 'data'>,
  revisions: Uint8Array,
): void {
  assertNext(machine, at.index)
  const entry = openEntry(machine, overlay)
  writeRevisions(entry, revisions)
  finish(entry, at, { reply: { kind: 'done' } })
}

/** In the same layer as whatever else the entry writes, and part of the digest. */
export function writeRevisions(entry: EntryWrites, revisions: Uint8Array): void {
  const { machine } = entry
  machine.revisions = revisions
  const row = revisionsRow(machine, revisions)
  write(entry, row.write.key, row.write.value)
  addToSum(entry, row.crc)
}

/** What a group begins with, before its first entry. */
export function foundRevisions(machine: Machine, overlay: Overlay, revisions: Uint8Array): void {
  machine.revisions = revisions
  overlayPut(overlay, revisionsRow(machine, revisions).write)
}

function assertNext(machine: Machine, index: Index): void {
  assert(index === machine.applied + 1, () => `entry ${index} does not follow ${machine.applied}`)
  assert(!machine.installing, () => 'a half-installed shard applies nothing')
}

/** What a command comes to. `commit` changes the record's own fields, at the very end. */
export type EntryOutcome =
  { readonly reply: Reply; readonly commit?: () => void } | { readonly error: KvError }

function* carryOut(
  entry: EntryWrites,
  view: View,
  command: ShardCommand,
  { writable }: CommandHeader,
  at: CommittedEntry,
): Step<EntryOutcome> {
  const error = writable === undefined ? null : yield* checkAttached(entry.machine, view, command, writable)
  if (error !== null) return { error }
  const refusal = guardRefusal(entry.machine, command)
  if (refusal !== null) return { error: refusal }
  switch (command.kind) {
    case 'write':
      return yield* applyWrite(entry, view, command.op, at.stamp ?? null)
    case 'compact':
      return applyCompact(entry.machine, command.revision, at.stamp ?? 0)
    case 'leaseGrant':
      return applyGrant(entry, command.id, command.ttl)
    case 'leaseRevoke':
      return yield* applyRevoke(entry, view, command.id)
    case 'sessionOpen':
      return applyOpen(entry, command.lease, at.index)
    case 'authFence':
      return applyFence(entry, command.fence)
    case 'publish':
      // What it says is said by its being committed: when it is applied, the command has been shown.
      return { reply: { kind: 'done' } }
    case 'guard':
      return applyGuard(entry, command.guard)
    case 'reclaim':
      return applyReclaim(entry.machine, command)
    case 'endDense':
    case 'split':
    case 'prepare':
    case 'decide':
    case 'end':
    case 'forget':
      // Where revisions come from is the owner's, and so is a second machine: it carries these out itself.
      assert(false, () => 'a command of the owner reached the state machine')
    default:
      return unreachable(command)
  }
}

function* applyWrite(entry: EntryWrites, view: View, op: Op, stamp: Revision | null): Step<EntryOutcome> {
  const { machine } = entry
  // The edge has checked that; two changes of a key at one revision would overwrite each other's rows.
  if (op.kind === 'txn' && hasDuplicateKey(op)) return refuse('duplicateKey')
  // Everything below the entry's own revision that touches its keys has been applied, whatever else was handed out.
  const source = { view, revision: entry.revision - 1, compactRevision: machine.compactRevision }
  const plan = yield* planOp({ ...source, own: null }, op)
  const run = openRun(source, plan, entry, machine.responseBytesMax)
  const error = yield* checkPlan(run, put => machine.leases.has(put.lease))
  if (error !== null) return { error }
  const reply = yield* runPlan(run, plan)
  if (!reply.ok) return { error: reply.error }
  countPlan(machine.counts, plan)
  const answer = stamp !== null && !entry.changed ? unchangedAt(reply.value, stamp) : reply.value
  return { reply: { kind: 'op', op: answer } }
}

/**
 * Only the rule changes here; the rows go later, in pages (compactPhysically). `resolved`: nothing at or below it comes
 * any more, though other shards have had the last revisions.
 */
function applyCompact(machine: Machine, revision: Revision, resolved: Revision): EntryOutcome {
  if (revision > Math.max(machine.revision, resolved)) return refuse('futureRevision')
  if (revision <= machine.compactRevision) {
    return refuse('compacted', { compactRevision: machine.compactRevision })
  }
  return {
    reply: { kind: 'done' },
    commit: () => {
      machine.compactRevision = revision
    },
  }
}

/** Leaders come and go, and so do their proposals: one made from older alarms has no effect. */
function applyGuard(entry: EntryWrites, guard: Guard): EntryOutcome {
  const { machine } = entry
  if (guard.version < machine.guard.version) return { reply: { kind: 'done' } }
  const row = guardRow(machine, guard)
  write(entry, row.write.key, row.write.value)
  addToSum(entry, row.crc)
  return {
    reply: { kind: 'done' },
    commit: () => {
      machine.guard = guard
    },
  }
}

/** `bytes` counts from the beginning of the history, so that it does no harm to be told twice. */
function applyReclaim(
  machine: Machine,
  { revision, bytes }: { revision: Revision; bytes: number },
): EntryOutcome {
  if (revision <= machine.reclaimed) return { reply: { kind: 'done' } }
  return {
    reply: { kind: 'done' },
    commit: () => {
      // Halves of a split shard begin with an estimate, which may have been too low.
      machine.logicalBytes = Math.max(0, machine.logicalBytes - (bytes - machine.reclaimedBytes))
      machine.reclaimed = revision
      machine.reclaimedBytes = bytes
    },
  }
}

function applyGrant(entry: EntryWrites, id: LeaseId, ttl: number): EntryOutcome {
  const { machine } = entry
  if (machine.leases.has(id)) return refuse('leaseExists')
  const row = leaseRow(machine, { id, ttl })
  write(entry, row.write.key, row.write.value)
  addToSum(entry, row.crc)
  return {
    reply: { kind: 'leaseGranted', id, ttl },
    commit: () => {
      machine.leases.set(id, { id, ttl })
    },
  }
}

/** Groups and positions are never given twice, and neither is what they make. */
const SESSION_GROUP_SHIFT = 2n ** 53n

function applyOpen(entry: EntryWrites, lease: LeaseId, index: Index): EntryOutcome {
  const { machine } = entry
  const { sessions } = machine
  if (!machine.leases.has(lease)) return refuse('leaseNotFound')
  if (sessions.byLease.has(lease)) return refuse('sessionExists')
  if (sessions.byId.size >= LIMITS.sessionsMax) return refuse('tooManyRequests')
  const id = sessionId(BigInt(machine.group) * SESSION_GROUP_SHIFT + BigInt(index))
  const row = sessionRow(machine, { id, lease, acknowledgedBelow: 1, replies: new Map() })
  write(entry, row.key, row.value)
  addToSum(entry, row.crc)
  return {
    reply: { kind: 'sessionOpened', id },
    commit: () => {
      addSession(sessions, id, lease)
    },
  }
}

/** Changes come in any order and more than once: the newest counts. */
function applyFence(entry: EntryWrites, fence: AuthFence): EntryOutcome {
  const { machine } = entry
  if (fence.revision <= machine.authFence.revision) return { reply: { kind: 'done' } }
  const row = authFenceRow(machine, fence)
  write(entry, row.write.key, row.write.value)
  addToSum(entry, row.crc)
  return {
    reply: { kind: 'done' },
    commit: () => {
      machine.authFence = fence
    },
  }
}

function* applyRevoke(entry: EntryWrites, view: View, id: LeaseId): Step<EntryOutcome> {
  if (!entry.machine.leases.has(id)) return refuse('leaseNotFound')
  return { reply: { kind: 'done' }, commit: yield* endLease(entry, view, id) }
}

/** The last of an entry: what it did becomes the state, or it did nothing. */
export function finish(
  entry: EntryWrites,
  at: Omit<CommittedEntry, 'data'>,
  outcome: EntryOutcome,
  remember: (result: Result<Uint8Array>) => void = () => undefined,
): Applied {
  const { machine } = entry
  const refused = 'error' in outcome
  assert(!refused || !entry.long, () => 'a command was refused after its first writes')
  assert(
    machine.applying === 0 || (entry.changed && machine.applying === entry.revision),
    () => `revision ${machine.applying} was begun and is not what entry ${at.index} writes`,
  )
  if (refused)
    Object.assign(entry, {
      pending: [],
      pendingBytes: 0,
      changed: false,
      changes: 0,
      sum: 0,
      logicalDelta: 0,
      keysDelta: 0,
    })
  else outcome.commit?.()
  if (entry.changed) machine.revision = Math.max(machine.revision, entry.revision)
  machine.logicalBytes += entry.logicalDelta
  machine.keys += entry.keysDelta
  const result = refused ? { ok: false as const, error: outcome.error } : ok(encodeReply(outcome.reply))
  remember(result)
  machine.applied = at.index
  machine.appliedTerm = at.term
  machine.digest = chainDigest(machine, refused, entry.sum)
  closeEntry(entry, [metaRow(machine)])
  const events =
    entry.changed && entry.events !== null ? { revision: entry.revision, events: entry.events } : null
  return { result, revision: at.stamp ?? machine.revision, changed: entry.changed, events }
}
