import { assert, LIMITS, type Revision, type Term, type TransactionId } from '@kvorum/model'
import type { LeaderRevisions, Pending, QueuedWrite } from './leader.js'
import { isPrepared, locksOn, type Transactions } from './transactions.js'

/** Goes to the oracle. The answer is for this term of this group only. */
export interface RevisionAsk {
  readonly term: Term
  readonly ask: number
  readonly count: number
}

export interface RevisionBlock {
  readonly term: Term
  readonly ask: number
  readonly first: Revision
  readonly count: number
}

export const queueWrite = (leader: LeaderRevisions, write: QueuedWrite): LeaderRevisions => ({
  ...leader,
  queued: [...leader.queued, write],
})

/**
 * Asks revisions for the writes that have arrived: for them alone, never for writes to come. A number given to a
 * write that arrives later may lie below a revision that was acknowledged elsewhere before that write began.
 * Writes on locked keys wait, since apply would refuse them, and so do those that it has refused.
 */
export function askRevisions(
  leader: LeaderRevisions,
  transactions: Transactions,
): { readonly leader: LeaderRevisions; readonly ask: RevisionAsk | null } {
  const free = ({ ranges, behind = [] }: QueuedWrite): boolean =>
    locksOn(transactions, ranges).length === 0 && !behind.some(id => isPrepared(transactions, id))
  const writes = leader.queued.filter(free).slice(0, LIMITS.revisionsPerAskMax)
  if (!leader.open || writes.length === 0) return { leader, ask: null }
  const id = leader.nextAsk
  return {
    leader: {
      ...leader,
      queued: leader.queued.filter(write => !writes.includes(write)),
      asks: [...leader.asks, { id, writes }],
      nextAsk: id + 1,
    },
    ask: { term: leader.term, ask: id, count: writes.length },
  }
}

/**
 * The oracle's answer. One of another term is dropped: between the question and now other leaders may have promised
 * or acknowledged more. A block that is not wholly above the floor is thrown away and asked for again: proposed, it
 * would come behind greater revisions of the same keys, or below a revision that a reader was told is resolved.
 */
export function takeBlock(
  leader: LeaderRevisions,
  block: RevisionBlock,
): { readonly leader: LeaderRevisions; readonly propose: readonly Pending[] } {
  const asked = leader.asks.find(ask => ask.id === block.ask)
  if (block.term !== leader.term || asked === undefined) return { leader, propose: [] }
  const asks = leader.asks.filter(ask => ask !== asked)
  const { writes } = asked
  assert(
    writes.length === block.count,
    () => `a block of ${block.count} revisions for ${writes.length} writes`,
  )
  if (block.first <= leader.floor)
    return { leader: { ...leader, asks, queued: [...writes, ...leader.queued] }, propose: [] }
  const propose = writes.map((write, i) => ({ ...write, revision: block.first + i, ask: block.ask }))
  const floor = block.first + block.count - 1
  return { leader: { ...leader, asks, floor, pending: [...leader.pending, ...propose] }, propose }
}

/** No answer comes any more: its writes are asked for again. One that comes all the same is nobody's. */
export function askFailed(leader: LeaderRevisions, ask: number): LeaderRevisions {
  const failed = leader.asks.find(({ id }) => id === ask)
  if (failed === undefined) return leader
  return {
    ...leader,
    asks: leader.asks.filter(other => other !== failed),
    queued: [...failed.writes, ...leader.queued],
  }
}

/** A revision was applied here: a write of this leader or of another, or a transaction. */
export const revisionApplied = (leader: LeaderRevisions, revision: Revision): LeaderRevisions => ({
  ...leader,
  floor: Math.max(leader.floor, revision),
  pending: leader.pending.filter(pending => pending.revision !== revision),
})

/**
 * A stamped entry met locks at apply, those of `behind`. Its revision is burnt: others have gone on since. The command
 * waits again.
 */
export function writeRefused(
  leader: LeaderRevisions,
  revision: Revision,
  behind: readonly TransactionId[] = [],
): LeaderRevisions {
  const refused = leader.pending.find(pending => pending.revision === revision)
  if (refused === undefined) return leader
  const { write, ranges } = refused
  return {
    ...leader,
    pending: leader.pending.filter(pending => pending !== refused),
    queued: [{ write, ranges, ...(behind.length > 0 ? { behind } : {}) }, ...leader.queued],
  }
}

/**
 * A stamped entry was applied behind a split that moved its keys: the node routes the command again, and another
 * leader asks a revision for it.
 */
export const writeMoved = (leader: LeaderRevisions, revision: Revision): LeaderRevisions => ({
  ...leader,
  pending: leader.pending.filter(pending => pending.revision !== revision),
})

/**
 * The end of a transaction is proposed, at revision C. In a shard that only compared, too: a block below C that comes
 * now would be proposed behind C, and a write that saw the lock gone would lie before the transaction in the order.
 */
export const commitProposed = (leader: LeaderRevisions, revision: Revision): LeaderRevisions => ({
  ...leader,
  floor: Math.max(leader.floor, revision),
})

/** What a prepare is proposed with: the transaction's revision, asked for after this, is above it. */
export const prepareAfter = (leader: LeaderRevisions): Revision => leader.floor
