import {
  commandHeader,
  type KvError,
  type Op,
  passesFence,
  type Judgement,
  refuse,
  type Reply,
  type Result,
  type Revision,
} from '@kvorum/model'
import { type Applied, type CommittedEntry, finish, type Worked, writeRevisions } from './apply.js'
import { checkAttached } from './checkAttached.js'
import { becomeLong, type EntryWrites, isFull, openEntry } from './entryWrites.js'
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
  | { readonly kind: 'prepare'; readonly op: Op; readonly reply: (judgement: Judgement) => Reply }
  /** It commits at `revision`. */
  | {
      readonly kind: 'carryOut'
      readonly op: Op
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
  readonly commit: () => void
}

/** As `workCommand`; `showCommand` ends it. */
export function* workTransaction(
  machine: Machine,
  overlay: Overlay,
  at: CommittedEntry,
  prefetched: Prefetched | null,
  { task, remembered, commit }: TransactionEntry,
): Step<Worked> {
  const view = commandView(machine, overlay, prefetched)
  const stamp = task.kind === 'carryOut' ? task.revision : null
  const entry = openEntry(machine, overlay, stamp)
  const done = yield* carryOut(entry, view, at, task)
  if (!done.ok) return { entry, show: () => finish(entry, at, { error: done.error }) }
  if (isFull(entry)) becomeLong(entry)
  // Last, and not for a long command to see: it is carried out again from what was remembered before it.
  const show = (): Applied => {
    if (remembered !== null) writeRevisions(entry, remembered)
    return finish(entry, { ...at, stamp }, { reply: done.value, commit })
  }
  return { entry, show }
}

function* carryOut(
  entry: EntryWrites,
  view: View,
  at: CommittedEntry,
  task: TransactionTask,
): Step<Result<Reply>> {
  switch (task.kind) {
    case 'prepare': {
      const { machine } = entry
      const refused = yield* refusedPrepare(machine, view, at, task.op)
      if (refused !== null) return { ok: false, error: refused }
      const { revision, compactRevision, range } = machine
      const hasLease = machine.leases.has.bind(machine.leases)
      const judgement = yield* judgeOp({ view, revision, compactRevision, range, hasLease }, task.op)
      return { ok: true, value: task.reply(judgement) }
    }
    case 'carryOut':
      yield* writePart(entry, view, task.op, task.branches)
      return { ok: true, value: task.reply }
    case 'refuse':
      return { ok: false, error: task.error }
    case 'note':
      return { ok: true, value: task.reply }
  }
}

/** What would refuse a plain write refuses the prepare: what follows it can be refused no more. */
function* refusedPrepare(machine: Machine, view: View, at: CommittedEntry, op: Op): Step<KvError | null> {
  const { authRevision, writable } = at.header ?? commandHeader(at.data)
  if (!passesFence(machine.authFence, authRevision)) return refuse('authOutdated').error
  const command = { kind: 'write', op } as const
  const attached = writable === undefined ? null : yield* checkAttached(machine, view, command, writable)
  return attached ?? guardRefusal(machine, command)
}
