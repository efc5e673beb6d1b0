import { assert, type Revision, type Term } from '@kvorum/model'
import { isProven, roundStarts, roundSucceeds, WANTED, type Proof } from './proof.js'

/**
 * The revision oracle: the leader of the meta group, which gives every effective write of every shard its place in
 * one order. Gaps are fine; a number is handed out once, and going back never happens.
 *
 *     alloc(n), current() --> waiting --(round of leadership)--> answered, in the order they came
 *                                |
 *                                +-- above the ceiling: a higher ceiling goes through the meta group's log first
 *
 * The record belongs to one term of one leader and dies with it.
 */
export interface Oracle<From> {
  readonly term: Term
  /** Highest ceiling this leader has applied from the meta group's log; null in dense mode. */
  readonly ceiling: Revision | null
  /** Proposed in this term; the leader proposes no second one while this is above `ceiling`. */
  readonly proposedCeiling: Revision
  /** Highest revision ever handed out, as far as this leader may know; null until it may serve. */
  readonly handedOut: Revision | null
  readonly waiting: readonly WaitingRequest<From>[]
  /** How far above the need a new ceiling is put, so that most answers need no write. */
  readonly window: number
}

interface WaitingRequest<From> {
  readonly request: OracleRequest<From>
  readonly proof: Proof
}

/** `from` is handed back with the answer. Requests wait in no queue but the oracle's own, which the node bounds. */
export type OracleRequest<From> =
  | { readonly kind: 'alloc'; readonly from: From; readonly count: number }
  | { readonly kind: 'current'; readonly from: From }

/** `alloc` was given `first` .. `first + count - 1`; `current` the highest revision ever handed out. */
export type OracleAnswer<From> =
  | { readonly kind: 'block'; readonly to: From; readonly first: Revision; readonly count: number }
  | { readonly kind: 'current'; readonly to: From; readonly revision: Revision }

/** A new leader of the meta group. What it has applied so far may be behind what is committed. */
export const electOracle = <From>(term: Term, applied: Revision | null, window: number): Oracle<From> => ({
  term,
  ceiling: applied,
  proposedCeiling: applied ?? 0,
  handedOut: null,
  waiting: [],
  window,
})

/**
 * An entry of the meta group's log set the ceiling to `ceiling`; the leader of `term` had proposed it. It never falls:
 * entries of an older leader that come late are as good as none. One of a later leader closes this oracle for good:
 * what lies below it is that leader's to hand out, and a question whose round of leadership succeeded long ago, and
 * which has waited for a higher ceiling since, would be answered with numbers that the successor gives away too.
 */
export function oracleCeilingApplied<From>(
  oracle: Oracle<From>,
  ceiling: Revision,
  term: Term,
): Oracle<From> {
  if (term > oracle.term) return { ...oracle, handedOut: null, waiting: [] }
  const highest = Math.max(ceiling, oracle.ceiling ?? 0)
  return { ...oracle, ceiling: highest, proposedCeiling: Math.max(highest, oracle.proposedCeiling) }
}

/**
 * An entry of this term is applied: everything that earlier oracles were allowed to hand out lies at or below the
 * ceiling that is known now, so this one starts above it. Served earlier, with a ceiling that is not the last, it
 * hands out again what its predecessor gave away. In dense mode (no ceiling) it stays closed.
 */
export const openOracle = <From>(oracle: Oracle<From>): Oracle<From> => ({
  ...oracle,
  handedOut: oracle.ceiling,
})

export const oracleAsked = <From>(oracle: Oracle<From>, request: OracleRequest<From>): Oracle<From> => ({
  ...oracle,
  waiting: [...oracle.waiting, { request, proof: WANTED }],
})

export const oracleRoundStarts = <From>(oracle: Oracle<From>, round: number): Oracle<From> => ({
  ...oracle,
  waiting: roundStarts(oracle.waiting, round),
})

export const oracleRoundSucceeds = <From>(oracle: Oracle<From>, round: number): Oracle<From> => ({
  ...oracle,
  waiting: roundSucceeds(oracle.waiting, round),
})

export interface OracleSettled<From> {
  readonly oracle: Oracle<From>
  readonly answers: readonly OracleAnswer<From>[]
  /** To be proposed to the meta group's log, or null. */
  readonly raiseTo: Revision | null
}

/**
 * Answers what can be answered.
 *
 * Both kinds wait for a round that started after they arrived. Without it a leader that was deposed long ago hands
 * out numbers below those that its successor's writes were acknowledged with, or calls such a number the current
 * one, and a read misses what was acknowledged before it began.
 *
 * `current` is what was handed out, not the ceiling: reads at the ceiling would be reads of revisions that are yet
 * to be given to writes. Numbers above a ceiling that is not committed may be given again by the next leader.
 */
export function settleOracle<From>(oracle: Oracle<From>): OracleSettled<From> {
  if (oracle.handedOut === null || oracle.ceiling === null) return { oracle, answers: [], raiseTo: null }
  const answers: OracleAnswer<From>[] = []
  const waiting: WaitingRequest<From>[] = []
  let handedOut = oracle.handedOut
  let needed = 0
  for (const item of oracle.waiting) {
    const { request } = item
    if (!isProven(item)) waiting.push(item)
    else if (request.kind === 'current')
      answers.push({ kind: 'current', to: request.from, revision: handedOut })
    else if (handedOut + request.count > oracle.ceiling) {
      waiting.push(item)
      needed += request.count
    } else {
      answers.push({ kind: 'block', to: request.from, first: handedOut + 1, count: request.count })
      handedOut += request.count
    }
  }
  const raiseTo =
    needed > 0 && oracle.proposedCeiling <= oracle.ceiling ? handedOut + needed + oracle.window : null
  assert(handedOut >= oracle.handedOut, () => 'the oracle goes back')
  return {
    oracle: { ...oracle, handedOut, waiting, proposedCeiling: raiseTo ?? oracle.proposedCeiling },
    answers,
    raiseTo,
  }
}
