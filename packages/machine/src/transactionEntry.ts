import {
  commandHeader,
  type KeptReply,
  type KvError,
  type Judgement,
  ok,
  passesFence,
  refuse,
  type Reply,
  type Result,
  type Revision,
  type SessionTag,
  type ShardCommand,
  type TransactionWork,
} from '@kvorum/model'
import { type Applied, type CommittedEntry, finish, type Worked, writeRevisions } from './apply.js'
import { checkAttached } from './checkAttached.js'
import { becomeLong, type EntryWrites, isFull, openEntry } from './entryWrites.js'
import { keepAnswer } from './keepAnswer.js'
import { attachElsewhere, endLease, isHome } from './leaseEnd.js'
import type { Machine } from './machine.js'
import type { Overlay } from './overlay.js'
import { guardRefusal } from './quota.js'
import { commandView } from './reader.js'
import type { Step } from './step.js'
import { judgeOp } from './transactionJudgement.js'
import { writePart } from './transactionPart.js'
import type { Prefetched, View } from './view.js'

/**
 * What an entry of a transaction over several shards does here. Which it is, and what the shard remembers of its
 * transactions afterwards, the owner knows (placement); the rows of both are written together.
 */
export type TransactionTask =
  /** The locks are taken: says what the branches are chosen by, unless the shard refuses such writes. */
  | {
      readonly kind: 'prepare'
      readonly work: TransactionWork
      readonly reply: (judgement: Judgement) => Reply
    }
  /** It commits at `revision`. */
  | {
      readonly kind: 'carryOut'
      readonly work: TransactionWork
      readonly branches: readonly boolean[]
      readonly revision: Revision
      readonly reply: Reply
    }
  /** It is refused, and nothing of it happens. */
  | { readonly kind: 'refuse'; readonly error: KvError }
  /** No keys are concerned. */
  | { readonly kind: 'note'; readonly reply: Reply }

/** `remembered`: the owner's row after the entry; null: as it was. `commit` is called when the entry is not refused. */
export interface TransactionEntry {
  readonly task: TransactionTask
  readonly remembered: Uint8Array | null
  /** The entry decides a write of a session, whose home this is: its answer. */
  readonly keep?: { readonly tag: SessionTag; readonly reply: KeptReply }
  readonly commit: () => void
}

/** As `workCommand`; `showCommand` ends it. */
export function* workTransaction(
  machine: Machine,
  overlay: Overlay,
  at: CommittedEntry,
  prefetched: Prefetched | null,
  { task, remembered, keep, commit }: TransactionEntry,
): Step<Worked> {
  const view = commandView(machine, overlay, prefetched)
  const stamp = task.kind === 'carryOut' ? task.revision : null
  const entry = openEntry(machine, overlay, stamp)
  const outcome = yield* carryOut(entry, view, at, task)
  if (!outcome.ok) return { entry, show: () => finish(entry, at, { error: outcome.error }) }
  if (isFull(entry)) becomeLong(entry)
  // Last, and not for a long command to see: it is carried out again from what was remembered before it.
  const show = (): Applied => {
    if (remembered !== null) writeRevisions(entry, remembered)
    const { reply, learn } = outcome.value
    return finish(
      entry,
      { ...at, stamp },
      {
        reply,
        commit: () => {
          learn()
          commit()
        },
      },
      () => {
        if (keep !== undefined) keepAnswer(entry, keep.tag, keep.reply)
      },
    )
  }
  return { entry, show }
}

/** `learn`: what becomes of the state when the entry is shown. */
interface Done {
  readonly reply: Reply
  readonly learn: () => void
}

const done = (reply: Reply, learn: () => void = () => undefined): Result<Done> => ok({ reply, learn })

function* carryOut(
  entry: EntryWrites,
  view: View,
  at: CommittedEntry,
  task: TransactionTask,
): Step<Result<Done>> {
  switch (task.kind) {
    case 'prepare': {
      const { machine } = entry
      const refused = yield* refusedPrepare(machine, view, at, task.work)
      if (refused !== null) return { ok: false, error: refused }
      return done(task.reply(yield* judge(machine, view, task.work)))
    }
    case 'carryOut':
      return done(task.reply, yield* workPart(entry, view, task))
    case 'refuse':
      return { ok: false, error: task.error }
    case 'note':
      return done(task.reply)
  }
}

function* judge(machine: Machine, view: View, work: TransactionWork): Step<Judgement> {
  const { revision, compactRevision, range } = machine
  // That there is such a lease, its home has looked at; which keys it has, the locks say.
  if (work.kind === 'revoke') return { compares: [], puts: [], compactRevision }
  const hasLease = machine.leases.has.bind(machine.leases)
  return yield* judgeOp({ view, revision, compactRevision, range, hasLease, home: isHome(machine) }, work.op)
}

function* workPart(
  entry: EntryWrites,
  view: View,
  { work, branches }: Extract<TransactionTask, { kind: 'carryOut' }>,
): Step<() => void> {
  if (work.kind === 'revoke') return yield* endLease(entry, view, work.lease)
  yield* writePart(entry, view, work.op, branches)
  if (work.kind === 'op' || !isHome(entry.machine)) return () => undefined
  return attachElsewhere(entry, work.leases, work.ranges)
}

/** What would refuse a plain write refuses the prepare: what follows it can be refused no more. */
function* refusedPrepare(
  machine: Machine,
  view: View,
  at: CommittedEntry,
  work: TransactionWork,
): Step<KvError | null> {
  const { authRevision, writable } = at.header ?? commandHeader(at.data)
  if (!passesFence(machine.authFence, authRevision)) return refuse('authOutdated').error
  const command: ShardCommand =
    work.kind === 'revoke' ? { kind: 'leaseRevoke', id: work.lease } : { kind: 'write', op: work.op }
  const attached = writable === undefined ? null : yield* checkAttached(machine, view, command, writable)
  return attached ?? guardRefusal(machine, command)
}
