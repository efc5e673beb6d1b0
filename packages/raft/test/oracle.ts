import { isJoint, termAt } from '@kvorum/raft'
import type { Message, Persist, ReadState } from '@kvorum/raft'
import type { Entry, ReplicaId } from '@kvorum/model'
import type { Disk, Host, Lab } from './lab.js'

/**
 * What nobody inside knows: everything. It checks the invariants of the Raft papers from outside, against the
 * disks as they are, after every event. The numbers are those of the project's list of invariants.
 */
export interface Oracle {
  /** Term -> who led it. */
  readonly leaders: Map<number, ReplicaId>
  /** Index -> the term of the entry that was committed there first. */
  readonly committed: number[]
  /** "index/term" -> the entry's bytes, as text. */
  readonly contents: Map<string, string>
  /** Index -> digest of the state machine after it. */
  readonly digests: Map<number, number>
  readonly seen: Map<ReplicaId, Seen>
  /** Context of a read -> what was committed when it was asked for. */
  readonly reads: Map<string, number>
}

interface Seen {
  life: number
  term: number
  vote: number
  commit: number
  role: string
  last: number
  matches: ReadonlyMap<ReplicaId, number>
}

export const createOracle = (): Oracle => ({
  leaders: new Map(),
  committed: [0],
  contents: new Map(),
  digests: new Map(),
  seen: new Map(),
  reads: new Map(),
})

function must(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Error(message())
}

const raftOf = (host: Host): NonNullable<Host['raft']> => host.raft as NonNullable<Host['raft']>

/** After every step of a replica. */
export function onStepped(lab: Lab, host: Host): void {
  const { raft } = host
  if (!raft) return
  const { oracle } = lab
  const before = oracle.seen.get(host.id)
  if (before?.life === host.lives) checkSameLife(before, host)
  if (raft.role === 'leader') checkLeader(lab, host, before)
  if (raft.commit > (before?.life === host.lives ? before.commit : 0)) checkCommit(lab, host)
  oracle.seen.set(host.id, {
    life: host.lives,
    term: raft.term,
    vote: raft.vote,
    commit: raft.commit,
    role: raft.role,
    last: raft.lastIndex,
    matches: new Map([...raft.progress.values()].map(({ id, match }) => [id, match])),
  })
}

/** I6 and I2. */
function checkSameLife(before: Seen, host: Host): void {
  const raft = raftOf(host)
  must(raft.term >= before.term, () => `I6: term of ${host.id} fell`)
  must(raft.term > before.term || before.vote === 0 || raft.vote === before.vote, () => {
    return `I6: ${host.id} changed its vote in term ${raft.term}`
  })
  must(raft.commit >= before.commit, () => `I6: commit of ${host.id} fell`)
  const leads = raft.role === 'leader' && before.role === 'leader' && raft.term === before.term
  must(!leads || raft.lastIndex >= before.last, () => `I2: leader ${host.id} shortened its log`)
}

function checkLeader(lab: Lab, host: Host, before: Seen | undefined): void {
  const raft = raftOf(host)
  const { oracle } = lab
  const known = oracle.leaders.get(raft.term)
  must(known === undefined || known === host.id, () => `I1: ${known} and ${host.id} lead term ${raft.term}`)
  oracle.leaders.set(raft.term, host.id)
  if (before?.role !== 'leader' || before.term !== raft.term)
    for (let index = raft.base.index + 1; index < oracle.committed.length; index++)
      must(termAt(raft, index) === oracle.committed[index], () => `I4: leader ${host.id} lacks ${index}`)
  const open = raft.configs.filter(({ index }) => index > raft.commit)
  must(open.length <= 1, () => `I12: leader ${host.id} has ${open.length} uncommitted changes`)
  for (const { id, match, next } of raft.progress.values()) {
    const seen = before?.life === host.lives && before.term === raft.term ? before.matches.get(id) : undefined
    must(seen === undefined || match >= seen, () => `I15: match ${match} of ${id} fell from ${seen}`)
    must(next > match, () => `I15: next ${next} of ${id} is not beyond match ${match}`)
    const follower = lab.hosts.get(id)
    // Later terms may have replaced what it held.
    if (!follower || follower.disk.hard.term > raft.term) continue
    must(
      holds(follower.wiped ?? follower.disk, match, termAt(raft, match)),
      () => `I15: ${id} does not hold match ${match}`,
    )
  }
}

/** Whether a replica's disk has the entry; what was purged or snapshotted it has. */
export function holds(disk: Disk, index: number, term: number | null): boolean {
  if (index <= disk.base.index) return true
  const entry = disk.entries[index - disk.base.index - 1]
  return entry !== undefined && (term === null || entry.term === term)
}

/** I9 and I8: what is committed first is on the disks of a quorum of both halves; later it is never different. */
function checkCommit(lab: Lab, host: Host): void {
  const raft = raftOf(host)
  const { committed } = lab.oracle
  const known = committed.length - 1
  for (let index = raft.base.index + 1; index <= Math.min(raft.commit, known); index++)
    must(termAt(raft, index) === committed[index], () => `I9: ${host.id} commits another ${index}`)
  if (raft.commit <= known) return
  must(raft.role === 'leader' || lab.oracle.leaders.size > 0, () => `${host.id} commits without a leader`)
  const term = termAt(raft, raft.commit)
  // The step may have changed the configuration after it committed under the one before.
  const configs = raft.configs.slice(-2).map(({ config }) => config)
  const onQuorum = (voters: readonly ReplicaId[]): boolean => {
    const disks = voters.map(id => lab.hosts.get(id) as Host).map(({ wiped, disk }) => wiped ?? disk)
    const count = disks.filter(disk => holds(disk, raft.commit, term)).length
    return voters.length === 0 || count > voters.length / 2
  }
  must(
    configs.some(({ voters, outgoing }) => onQuorum(voters) && onQuorum(outgoing)),
    () => {
      return `I8: ${host.id} commits ${raft.commit} without a quorum of disks`
    },
  )
  for (let index = known + 1; index <= raft.commit; index++) committed[index] = termAt(raft, index) as number
}

/** I10: what a message claims is on the disk of its sender. */
export function onPosted(lab: Lab, host: Host, message: Message): void {
  must(host.raft?.mayVote === true, () => `I13: ${host.id} speaks, but was not admitted`)
  const { hard } = host.disk
  const asks = message.kind === 'preVote' || (message.kind === 'preVoteReply' && message.granted)
  must(
    asks || message.term <= hard.term,
    () => `I10: ${host.id} speaks in term ${message.term} before it is durable`,
  )
  const voted =
    message.kind === 'vote'
      ? message.from
      : message.kind === 'voteReply' && message.granted
        ? message.to
        : null
  must(voted === null || hard.term > message.term || hard.vote === voted, () => {
    return `I10: ${host.id} speaks of a vote for ${voted} before it is durable`
  })
  if (message.kind !== 'appendReply' || message.rejected || hard.term > message.term) return
  const leader = lab.hosts.get(message.to)?.raft
  const term =
    leader?.role === 'leader' && leader.term === message.term ? termAt(leader, message.match) : null
  must(
    holds(host.disk, message.match, term),
    () => `I10: ${host.id} acknowledges ${message.match} before it is durable`,
  )
}

/** I3: an index and a term name one entry. */
export function onWritten(lab: Lab, _host: Host, write: Persist): void {
  for (const entry of write.entries) {
    const name = `${entry.index}/${entry.term}`
    const content = `${entry.kind} ${entry.time} ${entry.data.join(' ')}`
    const known = lab.oracle.contents.get(name)
    must(known === undefined || known === content, () => `I3: two entries ${name}`)
    lab.oracle.contents.set(name, content)
  }
}

/** I5 and I7: all machines go through the same states, over durable entries that are committed. */
export function onCommitted(lab: Lab, host: Host, entry: Entry, digest: number): void {
  must(
    lab.oracle.committed[entry.index] === entry.term,
    () => `I5: ${host.id} applies an uncommitted ${entry.index}`,
  )
  must(
    holds(host.disk, entry.index, entry.term),
    () => `I7: ${host.id} applies ${entry.index} before it is durable`,
  )
  const known = lab.oracle.digests.get(entry.index)
  must(known === undefined || known === digest, () => `I5: ${host.id} differs at ${entry.index}`)
  lab.oracle.digests.set(entry.index, digest)
}

export function onReadAsked(lab: Lab, host: Host, context: number): void {
  lab.oracle.reads.set(`${host.id} ${host.lives} ${context}`, lab.oracle.committed.length - 1)
}

/** Thesis 6.4: a read sees everything that was committed when it was asked for. */
export function onRead(lab: Lab, host: Host, { context, index }: ReadState): void {
  const name = `${host.id} ${host.lives} ${context}`
  const floor = lab.oracle.reads.get(name)
  must(floor !== undefined, () => `read ${name} is answered twice or was never asked`)
  lab.oracle.reads.delete(name)
  must(index === null || index >= floor, () => `stale read: ${index} where ${floor} was committed`)
}

/** I3: where two logs agree, they agree on everything before. Costly, so only now and then. */
export function checkLogs(lab: Lab): void {
  const rafts = [...lab.hosts.values()].flatMap(({ raft }) => (raft ? [raft] : []))
  for (const one of rafts)
    for (const other of rafts) {
      if (one.id >= other.id) continue
      const floor = Math.max(one.base.index, other.base.index)
      let agree = false
      for (let index = Math.min(one.lastIndex, other.lastIndex); index > floor; index--) {
        const same = termAt(one, index) === termAt(other, index)
        must(same || !agree, () => `I3: logs of ${one.id} and ${other.id} differ at ${index}, but not above`)
        agree ||= same
      }
    }
  for (const raft of rafts)
    must(!isJoint(raft.config) || raft.config.voters.length > 0, () => `joint without voters at ${raft.id}`)
}
