import type { PlannedRead, PlannedSplit, PlannedTransaction, PlannedWrite } from './configuration.js'
import type { Cut, Key } from './keys.js'

export const snapshot = (...keys: readonly Key[]): PlannedRead => ({ kind: 'snapshot', keys })
export const follower = (...keys: readonly Key[]): PlannedRead => ({ kind: 'follower', keys })
export const drain = (...keys: readonly Key[]): PlannedRead => ({ kind: 'drain', keys })

export const transaction = (writes: readonly Key[], compares: readonly Key[] = []): PlannedTransaction => ({
  work: 'op',
  writes,
  compares,
})

export const split = (at: Cut, group = 1): PlannedSplit => ({ group, at })

/** In the home, as one entry of its log. */
export const attach = (key: Key): PlannedWrite => ({ work: 'attach', key })
export const sessionWrite = (key: Key): PlannedWrite => ({ work: 'session', key })
export const END_LEASE: PlannedWrite = { work: 'endLease', key: null }

/** The home and other shards. */
export const attachOver = (...writes: readonly Key[]): PlannedTransaction => ({
  work: 'attach',
  writes,
  compares: [],
})
export const sessionWriteOver = (...writes: readonly Key[]): PlannedTransaction => ({
  work: 'session',
  writes,
  compares: [],
})
export const END_LEASE_OVER: PlannedTransaction = { work: 'endLease', writes: [], compares: [] }
