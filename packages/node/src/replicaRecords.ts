import type { GroupId, KeyRange } from '@kvorum/model'
import type { RetiredMark } from '@kvorum/machine'
import type { Group } from './state.js'

/** What a node remembers of replicas that have moved away. */
export interface Replicas {
  readonly retired: Map<GroupId, Retired>
  /** Whether the marks of those that went in an earlier life have been read. */
  marks: 'unread' | 'reading' | 'read'
}

export interface Retired {
  /** As it was when it went; null: in an earlier life. */
  readonly group: Group | null
  readonly range: KeyRange
  phase: RetiredMark['phase']
}

export const createReplicas = (): Replicas => ({ retired: new Map(), marks: 'unread' })
