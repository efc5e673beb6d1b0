import type { NodeId } from './ids.js'

/**
 * noSpace: the quota is used up; no puts and no new leases until an operator takes it back. corrupt: the member's
 * data differs from the others'; nothing is answered.
 */
export type AlarmKind = 'noSpace' | 'corrupt'

export interface MemberAlarm {
  readonly member: NodeId
  readonly alarm: AlarmKind
}

/** Numbers on disk and on the wire between nodes. */
export const ALARM_KINDS: readonly AlarmKind[] = ['noSpace', 'corrupt']
