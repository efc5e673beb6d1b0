import type { PlannedRead, PlannedTransaction } from './configuration.js'
import type { Key } from './keys.js'

export const snapshot = (...keys: readonly Key[]): PlannedRead => ({ kind: 'snapshot', keys })
export const follower = (...keys: readonly Key[]): PlannedRead => ({ kind: 'follower', keys })
export const drain = (...keys: readonly Key[]): PlannedRead => ({ kind: 'drain', keys })

export const transaction = (writes: readonly Key[], compares: readonly Key[] = []): PlannedTransaction => ({
  writes,
  compares,
})
