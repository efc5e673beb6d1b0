import type { Index, LogBase } from '@kvorum/model'
import type { Message, MessageKind } from '@kvorum/raft'
import type { Ledger, ReplicaRecord } from './ledger.js'
import type { LogShadow } from './logShadow.js'
import type { At, EntryMark, Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/**
 * Messages whose term is a claim: the receiver counts them, or follows them. A pre-vote speaks of a term that
 * nobody has entered, and the others promise nothing.
 */
const CLAIMS_TERM: Readonly<Record<MessageKind, boolean>> = {
  preVote: false,
  preVoteReply: false,
  vote: true,
  voteReply: true,
  append: true,
  appendReply: true,
  heartbeat: true,
  heartbeatReply: true,
  snapshot: true,
  readIndex: false,
  readIndexReply: false,
  timeoutNow: false,
}

/**
 * I10 (paper figure 2, "updated on stable storage before responding"): no message claims a term, a vote or a
 * match index that is not on its sender's disk when it leaves. Entries in an append are no claim (thesis
 * 10.2.1): a leader may send them before it has written them.
 *
 * I11: what was durable is there after a restart, unless the disk was damaged meanwhile; then the replica
 * neither votes nor acknowledges.
 */
export class Durability implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['sent', 'started']
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind === 'sent') {
      this.#checkClaims(observation.at, observation.message)
    } else if (observation.kind === 'started') {
      const { at, damaged, mayVote, base, entries, incarnation } = observation
      const before = this.#ledger.replica(at)
      if (before === undefined || before.incarnation !== incarnation) return
      const { durable } = before
      const lost = firstLost(durable, base, entries)
      const found = entries[lost - base.index - 1]
      // Of an append that was under way: what was not synced yet may have survived in place of it.
      const isReplaced = (found?.term ?? 0) > (durable.termAt(lost) ?? 0)
      check(lost > durable.last || isReplaced || (damaged && !mayVote), 'I11', () => ({
        group: at.group,
        replica: at.replica,
        durableLast: durable.last,
        lost,
        durableTerm: durable.termAt(lost) ?? null,
        term: found?.term ?? null,
        damaged,
      }))
    }
  }

  #checkClaims(at: At, message: Message): void {
    const replica = this.#ledger.replica(at)!
    const { term, vote } = replica.hardState
    const claimed = !CLAIMS_TERM[message.kind] || message.term <= term
    check(claimed && bodyHolds(message, replica), 'I10', () => ({
      group: at.group,
      replica: at.replica,
      message: message.kind,
      term: message.term,
      durableTerm: term,
      durableVote: vote,
      match: message.kind === 'appendReply' && !message.rejected ? message.match : null,
      durableLast: replica.durable.last,
    }))
  }
}

/** The first durable entry that is not in the log that was found; beyond the last when all are. */
function firstLost(durable: LogShadow, base: LogBase, entries: readonly EntryMark[]): Index {
  for (let index = Math.max(base.index, durable.base.index) + 1; index <= durable.last; index++) {
    const found = entries[index - base.index - 1]
    const kept = durable.at(index)!
    if (found?.term !== kept.term || found.hash !== kept.hash) return index
  }
  return durable.last + 1
}

function bodyHolds(message: Message, replica: ReplicaRecord): boolean {
  const { term, vote } = replica.hardState
  switch (message.kind) {
    case 'vote':
      return term === message.term && vote === message.from
    case 'voteReply':
      return !message.granted || (term === message.term && vote === message.to)
    case 'appendReply':
      return message.rejected || message.match <= replica.durable.last
    case 'preVote':
    case 'preVoteReply':
    case 'append':
    case 'heartbeat':
    case 'heartbeatReply':
    case 'snapshot':
    case 'readIndex':
    case 'readIndexReply':
    case 'timeoutNow':
      return true
  }
}
