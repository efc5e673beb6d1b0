import {
  ALARM_KINDS,
  ByteReader,
  ByteWriter,
  LIMITS,
  MalformedError,
  ok,
  readAlarms,
  refuse,
  writeAlarms,
  type MemberAlarm,
  type Reply,
  type Result,
} from '@kvorum/model'
import type { MetaState } from './metaState.js'

/** Alarms that are up, and how often they have changed: data shards are told the newest state by that number. */
export interface Alarms {
  readonly version: number
  /** Sorted by member, then by kind. */
  readonly active: readonly MemberAlarm[]
}

export const NO_ALARMS: Alarms = { version: 0, active: [] }

/** What a cluster begins with that is made of another one's state. */
export const restoredAlarms = (active: readonly MemberAlarm[]): Alarms =>
  active.length === 0 ? NO_ALARMS : { version: 1, active: [...active].sort(byMember) }

const ALARMS_FORMAT = 1

/** What was raised or taken back, which is nothing where it was so already. */
export function changeAlarm(
  state: MetaState,
  change: 'raise' | 'clear',
  { member, alarm }: MemberAlarm,
): Result<Reply> {
  const { version, active } = state.alarms
  const others = active.filter(other => other.member !== member || other.alarm !== alarm)
  const isUp = others.length < active.length
  if (isUp === (change === 'raise')) return ok({ kind: 'alarms', alarms: [] })
  if (change === 'raise' && active.length >= LIMITS.alarmsMax) return refuse('tooManyRequests')
  const next = change === 'raise' ? [...others, { member, alarm }].sort(byMember) : others
  state.alarms = { version: version + 1, active: next }
  return ok({ kind: 'alarms', alarms: [{ member, alarm }] })
}

const byMember = (a: MemberAlarm, b: MemberAlarm): number =>
  a.member !== b.member
    ? a.member < b.member
      ? -1
      : 1
    : ALARM_KINDS.indexOf(a.alarm) - ALARM_KINDS.indexOf(b.alarm)

export function encodeAlarms({ alarms }: MetaState): Uint8Array | null {
  if (alarms.version === 0) return null
  const out = new ByteWriter().u8(ALARMS_FORMAT).varint(alarms.version)
  writeAlarms(out, alarms.active)
  return out.finish()
}

export function decodeAlarms(state: Pick<MetaState, 'alarms'>, bytes: Uint8Array): void {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== ALARMS_FORMAT) throw new MalformedError(`format ${format} of alarms is not known`)
  state.alarms = { version: input.varint(), active: readAlarms(input) }
  input.end()
}
