import {
  META_GROUP,
  TRUSTED,
  type AlarmKind,
  type Guard,
  type MemberAlarm,
  type Millis,
  type ReplyHeader,
} from '@kvorum/model'
import { hasPhysicalCompaction, reclaimable } from '@kvorum/machine'
import type { Alarms } from '@kvorum/placement'
import { answerCall, openCall, type Call } from './calls.js'
import { leads, metaOf } from './membership.js'
import { proposeOwn } from './ownCommands.js'
import { bytesHeld, quotaLeft } from './shardQuota.js'
import type { Group, NodeState, Turn } from './state.js'
import { routeCall } from './writes.js'

/**
 * Alarms are state of the meta group. Data shards refuse by a copy of it in their own logs, the guard: the leader
 * of a shard proposes one whenever its own differs from what the meta group says and from its quota.
 *
 *     client --> meta log --> alarms --> leader of each shard --> guard in the shard's log --> all replicas
 *                                                                      |
 *     client <-- answer, once this node has applied the guard <--------+
 */
export interface AlarmDuty {
  /** Changes that are made, and wait until the shards refuse by them. */
  waiting: Settling[]
  /** The quota refused something at this node, which leads: there has to be an alarm. */
  spaceRanOut: boolean
  /** This node asks for the same alarm no more often than this. */
  readonly askedUntil: Map<string, Millis>
}

interface Settling {
  readonly call: Call
  readonly header: ReplyHeader
  readonly body: Uint8Array
  readonly version: number
  /** How long an answer waits for compactions under way, so that the room they make is there when it comes. */
  readonly roomBy: Millis
}

export const createAlarmDuty = (): AlarmDuty => ({
  waiting: [],
  spaceRanOut: false,
  askedUntil: new Map(),
})

export const alarmsOf = (state: NodeState): Alarms | null => metaOf(state)?.alarms ?? null

/**
 * Asks the meta group to raise or clear an alarm, unless it is so already. False: the same was asked for a moment ago,
 * and may have been undone since; try again.
 */
export function changeOwnAlarm(turn: Turn, change: 'raise' | 'clear', alarm: MemberAlarm): boolean {
  const { state, now } = turn
  const alarms = alarmsOf(state)
  if (alarms === null) return false
  if (isUp(alarms, alarm) === (change === 'raise')) return true
  const name = `${change} ${alarm.alarm} ${alarm.member}`
  if (now < (state.alarms.askedUntil.get(name) ?? 0)) return false
  const due = now + state.options.electionTimeoutMs * 2
  state.alarms.askedUntil.set(name, due)
  // The node's own judgement: nobody's rights are asked.
  const request = { kind: 'alarm' as const, change, ...alarm, authority: TRUSTED }
  const call = openCall(turn, { kind: 'self' }, request, due)
  if (call !== null) routeCall(turn, call)
  return true
}

const isUp = (alarms: Alarms, { member, alarm }: MemberAlarm): boolean =>
  alarms.active.some(other => other.member === member && other.alarm === alarm)

const hasAlarm = ({ active }: Alarms, kind: AlarmKind): boolean => active.some(({ alarm }) => alarm === kind)

/** Tells the shard that this node leads what to refuse, if it does not know yet. */
function driveGuard(turn: Turn, group: Group, held: number): void {
  const { shard, installing } = group.machine
  const alarms = alarmsOf(turn.state)
  if (shard === null || installing || alarms === null || !leads(group)) return
  const guard: Guard = {
    version: alarms.version,
    quota: quotaLeft(turn.state.options.maintenance.quotaBytes, held, shard),
    noSpace: hasAlarm(alarms, 'noSpace'),
    corrupt: hasAlarm(alarms, 'corrupt'),
  }
  if (guard.version < shard.guard.version || isSame(guard, shard.guard)) return
  group.own.guard = proposeOwn(turn, group, group.own.guard, { kind: 'guard', guard })
}

const isSame = (a: Guard, b: Guard): boolean =>
  a.version === b.version && a.quota === b.quota && a.noSpace === b.noSpace && a.corrupt === b.corrupt

/** Tells the shard that this node leads how much its compactions have freed, once this node has removed it all. */
export function driveReclaim(turn: Turn, group: Group): void {
  const { shard, installing } = group.machine
  if (shard === null || installing || !leads(group)) return
  const freed = reclaimable(shard)
  if (freed !== null) {
    group.own.reclaim = proposeOwn(turn, group, group.own.reclaim, { kind: 'reclaim', ...freed })
  }
}

/** The meta group has applied a change of alarms. */
export function alarmsChanged(turn: Turn): void {
  const held = bytesHeld(turn.state)
  for (const group of turn.state.groups.values()) driveGuard(turn, group, held)
}

const ROOM_MS = 2_000

/** The change is made; its answer goes out when no later write can miss it. */
export function answerAlarm(turn: Turn, call: Call, header: ReplyHeader, body: Uint8Array): void {
  const { state } = turn
  const version = alarmsOf(state)?.version ?? 0
  state.alarms.waiting.push({ call, header, body, version, roomBy: turn.now + ROOM_MS })
  settleAlarms(turn)
}

export function settleAlarms(turn: Turn): void {
  const { alarms, groups } = turn.state
  if (alarms.waiting.length === 0) return
  const shards = [...groups.values()].filter(
    ({ range, quarantined }) => range !== null && quarantined === null,
  )
  // Who has been told of a timeout waits no longer, whatever becomes of the shards.
  const waiting = alarms.waiting.filter(({ call }) => !call.done)
  const settled = waiting.filter(item => shards.every(group => isSettled(turn, group, item)))
  alarms.waiting = waiting.filter(item => !settled.includes(item))
  for (const { call, header, body } of settled) answerCall(turn, call, header, body)
}

function isSettled(turn: Turn, { machine: { shard } }: Group, { version, roomBy }: Settling): boolean {
  if (shard === null || shard.guard.version < version) return false
  return turn.now >= roomBy || !(hasPhysicalCompaction(shard) || reclaimable(shard) !== null)
}

/** Room below which an alarm is taken back by itself, where the operator wants that: a share of the quota. */
const ROOMY = 0.9

/** Part of the duties. */
export function tendAlarms(turn: Turn, share: Iterable<Group>): void {
  const { state } = turn
  const held = bytesHeld(state)
  for (const group of share) {
    driveGuard(turn, group, held)
    driveReclaim(turn, group)
  }
  settleAlarms(turn)
  if (state.alarms.spaceRanOut) {
    const asked = changeOwnAlarm(turn, 'raise', { member: state.options.self, alarm: 'noSpace' })
    state.alarms.spaceRanOut = !asked
  }
  disarmByItself(turn)
}

/** The leader of the meta group for all, where it has all shards; else each member for itself: its own store is full. */
function disarmByItself(turn: Turn): void {
  const { options, groups, shards } = turn.state
  const { autoDisarmNoSpace, quotaBytes } = options.maintenance
  const meta = groups.get(META_GROUP)
  if (!autoDisarmNoSpace || meta === undefined || !isRoomy(turn.state, quotaBytes)) return
  const judgesAll = leads(meta) && shards.shards.every(({ group }) => groups.has(group))
  for (const alarm of alarmsOf(turn.state)?.active ?? []) {
    const isJudged = judgesAll || alarm.member === options.self
    if (alarm.alarm === 'noSpace' && isJudged) changeOwnAlarm(turn, 'clear', alarm)
  }
}

function isRoomy(state: NodeState, quotaBytes: number): boolean {
  const shards = [...state.groups.values()].filter(({ range }) => range !== null)
  if (shards.some(({ machine }) => machine.shard === null)) return false
  return quotaBytes === 0 || bytesHeld(state) < quotaBytes * ROOMY
}
