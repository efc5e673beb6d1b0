import {
  assert,
  type GroupId,
  type Revision,
  type TransactionAge,
  type TransactionId,
  type TransactionOutcome,
} from '@kvorum/model'
import type { Vote } from './transactions.js'

/**
 * Who runs one try of a transaction over several shards. It may die at any step: what it has done is in the shards'
 * logs, and a shard left with locks asks the primary (`orphanAsks`).
 *
 *     prepare in all shards --> all voted --> C from the oracle --> record in the primary --> end in the others
 *                                 |  one says die                    (commit point)      \--> answer
 *                                 +-----> record of the abort in the primary --> ...
 */
export interface Coordinator {
  readonly id: TransactionId
  readonly age: TransactionAge
  readonly primary: GroupId
  readonly participants: readonly GroupId[]
  readonly phase: CoordinatorPhase
}

export type CoordinatorPhase =
  | { readonly kind: 'preparing'; readonly voted: readonly GroupId[]; readonly after: Revision }
  | { readonly kind: 'asking'; readonly after: Revision }
  | { readonly kind: 'deciding'; readonly outcome: TransactionOutcome }
  | { readonly kind: 'ending'; readonly outcome: TransactionOutcome; readonly waiting: readonly GroupId[] }
  | { readonly kind: 'over' }

export type CoordinatorOrder =
  | { readonly kind: 'prepare'; readonly group: GroupId }
  /** One revision, as any write's: `alloc(1)`. */
  | { readonly kind: 'askRevision' }
  | { readonly kind: 'decide'; readonly group: GroupId; readonly outcome: TransactionOutcome }
  /** The client may be told: a commit is in the primary's log. */
  | { readonly kind: 'answer'; readonly outcome: TransactionOutcome }
  | { readonly kind: 'end'; readonly group: GroupId; readonly outcome: TransactionOutcome }
  | { readonly kind: 'forget'; readonly group: GroupId }

interface Step {
  readonly coordinator: Coordinator
  readonly orders: readonly CoordinatorOrder[]
}

/** `participants` are the groups touched, the primary first. */
export function beginTransaction(
  id: TransactionId,
  age: TransactionAge,
  participants: readonly GroupId[],
): Step {
  const [primary] = participants
  assert(primary !== undefined, () => 'a transaction touches a shard')
  return {
    coordinator: { id, age, primary, participants, phase: { kind: 'preparing', voted: [], after: 0 } },
    orders: participants.map(group => ({ kind: 'prepare', group })),
  }
}

/**
 * A leader has applied the prepare and says how it went. The revision is asked for after the last of these: every
 * shard holds its locks by then, so whatever was resolved or acknowledged before lies below it. A transaction that
 * writes nothing takes a revision too: it has read, and its place in the order is where all of its locks were held.
 */
export function voteArrived(coordinator: Coordinator, group: GroupId, vote: Vote): Step {
  const { phase } = coordinator
  if (phase.kind !== 'preparing' || phase.voted.includes(group)) return { coordinator, orders: [] }
  switch (vote.kind) {
    case 'wait':
      return { coordinator, orders: [] }
    case 'die':
    case 'over':
    case 'moved':
      return decide(coordinator, { kind: 'abort' })
    case 'prepared': {
      const voted = [...phase.voted, group]
      const after = Math.max(phase.after, vote.after)
      if (!coordinator.participants.every(participant => voted.includes(participant)))
        return { coordinator: { ...coordinator, phase: { kind: 'preparing', voted, after } }, orders: [] }
      return {
        coordinator: { ...coordinator, phase: { kind: 'asking', after } },
        orders: [{ kind: 'askRevision' }],
      }
    }
  }
}

/** The oracle has answered, or the branch was judged and refuses: the record goes to the primary's log. */
export function revisionArrived(
  coordinator: Coordinator,
  revision: Revision,
  branches: readonly boolean[] = [],
): Step {
  const { phase } = coordinator
  if (phase.kind !== 'asking') return { coordinator, orders: [] }
  assert(
    revision > phase.after,
    () => `a transaction at ${revision}, not above what its shards promised: ${phase.after}`,
  )
  return decide(coordinator, { kind: 'commit', revision, branches })
}

/**
 * It is not to be committed after all: the operation itself is refused, or its time is over. Once a commit has been sent
 * to the primary nobody can take it back.
 */
export function giveUp(coordinator: Coordinator): Step {
  const { kind } = coordinator.phase
  if (kind !== 'preparing' && kind !== 'asking') return { coordinator, orders: [] }
  return decide(coordinator, { kind: 'abort' })
}

function decide(coordinator: Coordinator, outcome: TransactionOutcome): Step {
  return {
    coordinator: { ...coordinator, phase: { kind: 'deciding', outcome } },
    orders: [{ kind: 'decide', group: coordinator.primary, outcome }],
  }
}

/**
 * The primary has applied a record, ours or an orphan's. That one counts. `outcome` null: the transaction is so long
 * over that the primary has forgotten it, and every participant knows.
 */
export function recordArrived(
  coordinator: Coordinator,
  outcome: TransactionOutcome | null,
  heirs: readonly GroupId[],
): Step {
  if (coordinator.phase.kind === 'ending' || coordinator.phase.kind === 'over')
    return { coordinator, orders: [] }
  if (outcome === null) return { coordinator: { ...coordinator, phase: { kind: 'over' } }, orders: [] }
  const others = coordinator.participants.filter(group => group !== coordinator.primary)
  const waiting = [...others, ...heirs]
  return {
    coordinator: { ...coordinator, phase: { kind: 'ending', outcome, waiting } },
    orders: [
      { kind: 'answer', outcome },
      ...waiting.map(group => ({ kind: 'end', group, outcome }) as const),
    ],
  }
}

/**
 * A participant has applied the end. Groups that were split off from it with a part of the locks are told as well,
 * and waited for: the record must not be forgotten while one of them may still have to ask for it.
 */
export function endArrived(coordinator: Coordinator, group: GroupId, heirs: readonly GroupId[]): Step {
  const { phase } = coordinator
  if (phase.kind !== 'ending' || !phase.waiting.includes(group)) return { coordinator, orders: [] }
  const { outcome } = phase
  const waiting = [...phase.waiting.filter(other => other !== group), ...heirs]
  const ends = heirs.map(heir => ({ kind: 'end', group: heir, outcome }) as const)
  if (waiting.length > 0)
    return { coordinator: { ...coordinator, phase: { kind: 'ending', outcome, waiting } }, orders: ends }
  return {
    coordinator: { ...coordinator, phase: { kind: 'over' } },
    orders: [{ kind: 'forget', group: coordinator.primary }],
  }
}

/**
 * What a shard proposes in the primary's log when its own locks have been there for too long: an abort. If a record
 * is there already, that one stands and is the answer. "There is no record" is no answer, for one may be under way.
 */
export const orphanAsks = (): TransactionOutcome => ({ kind: 'abort' })
