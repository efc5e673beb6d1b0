import type { Millis } from './ids.js'

/**
 * Where a request is on its way through a node, in the order in which it gets there. A write passes `replicate`, `disk`
 * and `apply`, a linearizable read `confirm`, `catchUp` and `store`, what another node leads `forward`.
 */
export const STAGES = [
  /** In the inbox, until a turn takes it up. */
  'queue',
  /** No leader is known that it could go to. */
  'leader',
  /** At the leader's node, and on the way there and back. */
  'forward',
  /** Proposed; a majority does not have it yet. */
  'replicate',
  /** Committed; this node's own disk does not have it yet. */
  'disk',
  /** What came before it is applied, its rows are fetched, it is applied itself. */
  'apply',
  /** The leader proves that it still leads. */
  'confirm',
  /** The state machine has not got to where the read was confirmed. */
  'catchUp',
  /** Rows are read. */
  'store',
  /** Answered, and not yet taken by whoever asked. */
  'reply',
] as const

export type Stage = (typeof STAGES)[number]

/** How long a request spent in each stage; zero where it began and ended a stage in one turn. */
export type StageTimes = Record<Stage, Millis>

export const createStageTimes = (): StageTimes => ({
  queue: 0,
  leader: 0,
  forward: 0,
  replicate: 0,
  disk: 0,
  apply: 0,
  confirm: 0,
  catchUp: 0,
  store: 0,
  reply: 0,
})
