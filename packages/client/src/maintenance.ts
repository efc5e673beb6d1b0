import { pb, type Init } from '@kvorum/protocol'

/** `noSpace`: the quota is used up, and puts are refused. `corrupt`: a member's data differs from the others'. */
export type AlarmKind = 'noSpace' | 'corrupt'

/** One member's alarm. Every member knows of it, and all of them act on it. */
export interface Alarm {
  readonly memberId: bigint
  /** Null for a kind that this client does not know. */
  readonly kind: AlarmKind | null
}

/** A hash over all versions of all keys, to compare members with. */
export interface HashKv {
  readonly memberId: bigint
  /** Equal on all members that tell it of one `hashRevision` and one `compactRevision`. */
  readonly hash: number
  /** The newest revision in the hash; 0 from a server that does not tell it (etcd before 3.6). */
  readonly hashRevision: number
  /** History is gone up to here and not in the hash; 0 or below: nothing was compacted. */
  readonly compactRevision: number
}

const NUMBERS: Readonly<Record<AlarmKind, number>> = {
  noSpace: pb.AlarmType.NOSPACE,
  corrupt: pb.AlarmType.CORRUPT,
}

const kindOf = (number: number): AlarmKind | null =>
  number === NUMBERS.noSpace ? 'noSpace' : number === NUMBERS.corrupt ? 'corrupt' : null

export const LIST_ALARMS: Init<pb.AlarmRequest> = { action: pb.AlarmRequestAlarmAction.GET }

export const disarmRequest = ({ memberID, alarm }: pb.AlarmMember): Init<pb.AlarmRequest> => ({
  action: pb.AlarmRequestAlarmAction.DEACTIVATE,
  memberID,
  alarm,
})

/** Whether `alarm` is the one that is meant; where none is, all are. */
export const isMeant = (
  { memberID, alarm }: pb.AlarmMember,
  meant: { readonly memberId: bigint; readonly kind: AlarmKind | null } | undefined,
): boolean => meant === undefined || (memberID === meant.memberId && kindOf(alarm) === meant.kind)

export const alarmOf = ({ memberID, alarm }: pb.AlarmMember): Alarm => ({
  memberId: memberID,
  kind: kindOf(alarm),
})

export const hashKvOf = (message: pb.HashKVResponse): HashKv => ({
  memberId: message.header?.member_id ?? 0n,
  hash: message.hash,
  hashRevision: message.hash_revision,
  compactRevision: message.compact_revision,
})
