import type { PlannedRead, PlannedSplit, PlannedTransaction } from './configuration.js'
import type { Cut, Key } from './keys.js'

export const snapshot = (...keys: readonly Key[]): PlannedRead => ({ kind: 'snapshot', keys })
export const follower = (...keys: readonly Key[]): PlannedRead => ({ kind: 'follower', keys })
export const drain = (...keys: readonly Key[]): PlannedRead => ({ kind: 'drain', keys })

export const transaction = (writes: readonly Key[], compares: readonly Key[] = []): PlannedTransaction => ({
  writes,
  compares,
})

export const split = (at: Cut, group = 1): PlannedSplit => ({ group, at })
