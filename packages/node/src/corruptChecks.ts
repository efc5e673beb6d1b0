import { LIMITS, type Revision } from '@kvorum/model'
import { changeOwnAlarm } from './alarms.js'
import { beginComparison, isAnswered, verdictOf } from './comparison.js'
import type { HashVerdict } from './hashVerdict.js'
import { leads } from './membership.js'
import { fatal, note, type Group, type Turn } from './state.js'

/** A check at the start that could not be decided is tried again after this long. */
const START_AGAIN_MS = 1_000
/** A later check that left somebody out is repeated once after this long, for those who were a moment late. */
const REPEAT_MS = 5_000

/**
 * Checks that a shard's data is the same on all its members, where the operator wants them (decision 0012):
 *
 *     at the start        before a client gets anything from this member: it waits until most members have what it
 *                         has, and ends when its data differs
 *     from time to time,  by the shard's leader: who differs gets the alarm CORRUPT, and then the whole cluster
 *     after a compaction  answers nothing, as in etcd
 *
 * A member that gives no hash passes no check and gets no alarm.
 */
export function driveChecks(turn: Turn): void {
  const { atStart, everyMs, afterCompactionMs } = turn.state.options.maintenance.corruptCheck
  const checksLater = everyMs > 0 || afterCompactionMs > 0
  if (!atStart && !checksLater) return
  for (const group of turn.state.groups.values()) {
    if (group.range === null || group.quarantined !== null) continue
    if (!checksLater && group.checking.trusted && group.checking.comparison === null) continue
    if (!group.checking.trusted) checkAtStart(turn, group)
    else checkLater(turn, group)
  }
}

function checkAtStart(turn: Turn, group: Group): void {
  const { checking } = group
  if (!leads(group)) checking.leadsSince = 0
  else if (checking.leadsSince === 0) checking.leadsSince = turn.now
  const { comparison } = checking
  if (comparison === null) {
    if (turn.now < checking.startAt || !canReachMost(turn, group)) return
    checking.startAt = turn.now + START_AGAIN_MS
    checking.comparison = beginComparison(turn, group, 0, checking.patienceMs)
    return
  }
  const verdict = verdictOf(turn, group, comparison)
  if (verdict !== null && isDecided(turn, group, verdict)) checking.comparison = null
  else if (comparison.failed || isAnswered(comparison)) {
    checking.comparison = null
    if (verdict !== null && turn.now >= comparison.until) waitLonger(turn, group, verdict)
  }
}

/** Who does not answer is left out, and asked again. It may have much to read: then it gets the time for that. */
function waitLonger(turn: Turn, group: Group, { unknown }: HashVerdict): void {
  const { checking } = group
  note(turn, 'warn', 'Members did not answer the check at the start in time: it begins again', {
    group: group.id,
    members: unknown.map(node => node.toString(16)).join(' '),
    ms: checking.patienceMs,
  })
  checking.patienceMs = Math.min(LIMITS.hashMsMax, checking.patienceMs * 2)
}

/** Hashing is worth it only when there are enough members to compare with. */
function canReachMost({ state }: Turn, { raft }: Group): boolean {
  const nodes = (raft?.config.replicas ?? []).filter(({ id }) => raft!.config.voters.includes(id))
  const reached = nodes.filter(
    ({ node }) => node === state.options.self || state.peers.get(node)?.trusted === true,
  )
  return reached.length * 2 > nodes.length
}

function isDecided(turn: Turn, group: Group, verdict: HashVerdict): boolean {
  const { self } = turn.state.options
  const { differing, confirmed, unknown } = verdict
  const isOdd = differing.includes(self)
  // All have been heard and no data is that of most: nobody can say whose is right.
  if (isOdd || (unknown.length === 0 && !confirmed)) {
    fatal(
      turn,
      `The data of this member differs from that of the other members (group ${group.id}): it does not serve. ` +
        'Keep the directory for inspection, and have a new member in its place with kvorum member replace.',
    )
    return true
  }
  if (!confirmed) return false
  group.checking.trusted = true
  group.checking.leadsSince = 0
  // Leases may have run out meanwhile.
  turn.touched.add(group)
  for (const node of differing)
    note(turn, 'error', 'The data of another member differs', { group: group.id, member: node.toString(16) })
  note(turn, 'info', 'The data of this member is that of most members', { group: group.id })
  return true
}

function checkLater(turn: Turn, group: Group): void {
  const { checking } = group
  planChecks(turn, group)
  const { comparison } = checking
  if (comparison === null) return
  if (comparison.failed) {
    checking.comparison = null
    note(turn, 'warn', 'This member could not hash its own data to compare it', { group: group.id })
    return
  }
  const verdict = verdictOf(turn, group, comparison)
  if (verdict === null || !isAnswered(comparison)) return
  checking.comparison = null
  for (const member of verdict.differing) {
    note(turn, 'error', 'The data of a member differs from that of the others', {
      group: group.id,
      member: member.toString(16),
      revision: comparison.own!.revision,
    })
    changeOwnAlarm(turn, 'raise', { member, alarm: 'corrupt' })
  }
  leftOut(turn, group, verdict)
}

function planChecks(turn: Turn, group: Group): void {
  const { checking, machine } = group
  const { everyMs, afterCompactionMs } = turn.state.options.maintenance.corruptCheck
  const { now } = turn
  if (everyMs > 0 && now >= checking.everyAt) {
    const isDue = checking.everyAt > 0
    checking.everyAt = now + everyMs
    if (isDue) begin(turn, group, 0)
  }
  if (afterCompactionMs > 0 && now >= checking.compactedAt) {
    const isDue = checking.compactedAt > 0
    checking.compactedAt = now + afterCompactionMs
    const compacted = machine.shard?.compactRevision ?? 0
    if (isDue && compacted > checking.comparedCompact) begin(turn, group, compacted)
  }
}

function begin(turn: Turn, group: Group, revision: Revision): void {
  const { checking } = group
  if (!leads(group) || checking.comparison !== null) return
  checking.comparison = beginComparison(turn, group, revision, LIMITS.hashMsMax)
  checking.comparing = revision
}

function leftOut(turn: Turn, group: Group, { unknown }: HashVerdict): void {
  const { checking } = group
  if (unknown.length === 0) {
    checking.repeated = 0
    checking.comparedCompact = Math.max(checking.comparedCompact, checking.comparing)
    return
  }
  if (checking.repeated === 0 && checking.comparing === 0 && checking.everyAt > turn.now + REPEAT_MS) {
    checking.repeated = 1
    checking.everyAt = turn.now + REPEAT_MS
    return
  }
  checking.repeated = 0
  note(turn, 'warn', 'Members could not be compared with the others', {
    group: group.id,
    members: unknown.map(node => node.toString(16)).join(' '),
  })
}
