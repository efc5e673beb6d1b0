import {
  committedEntries,
  peekCommitted,
  createRaft,
  decodeConfig,
  encodeConfig,
  enterJoint,
  hasReady,
  isReadyToVote,
  leaveJoint,
  nextDue,
  propose,
  proposeConfig,
  purgeLog,
  readIndex,
  step,
  takeReady,
  termAt,
  transferLeadership,
} from '@kvorum/raft'
import type { ConfigChange, Message, MessageBody, Raft, RaftInitial, Ready } from '@kvorum/raft'
import type { Entry, GroupConfig, NodeId } from '@kvorum/model'
import t from 'tap'
import { configOf, defaults, emptyConfig, rid } from './lab.js'

/**
 * One replica by itself, and one sentence of the paper (Ongaro and Ousterhout, extended version, figure 2 unless
 * said) or of the thesis (Ongaro, 2014) per test: a state, one or two events, what must have happened.
 */

const bytes = new Uint8Array([120])

const entriesOf = (first: number, ...terms: readonly number[]): Entry[] =>
  terms.map((term, at) => ({ index: first + at, term, kind: 'normal', time: 0, data: bytes }))

interface Given {
  readonly config?: GroupConfig
  readonly term?: number
  readonly vote?: number
  readonly commit?: number
  readonly applied?: number
  readonly base?: { index: number; term: number }
  /** The terms of the entries after the base. */
  readonly terms?: readonly number[]
  readonly cached?: number
  readonly mayVote?: boolean
  readonly stateLost?: boolean
}

function initialOf(given: Given): RaftInitial {
  const { base = { index: 0, term: 0 }, terms = [], config = configOf([1, 2, 3]) } = given
  const entries = entriesOf(base.index + 1, ...terms)
  const termRuns: { first: number; term: number }[] = []
  for (const { index, term } of entries)
    if (termRuns[termRuns.length - 1]?.term !== term) termRuns.push({ first: index, term })
  return {
    now: 0,
    hardState: {
      term: given.term ?? terms[terms.length - 1] ?? base.term,
      vote: rid(given.vote ?? 0),
      commit: given.commit ?? base.index,
    },
    base,
    config,
    configIndex: base.index,
    applied: given.applied ?? base.index,
    termRuns,
    lastIndex: base.index + terms.length,
    configs: [],
    entries: entries.slice(entries.length - (given.cached ?? entries.length)),
    lastTime: 0,
    mayVote: given.mayVote ?? true,
    stateLost: given.stateLost ?? false,
  }
}

const make = (given: Given = {}, options: Partial<typeof defaults> = {}): Raft =>
  createRaft({ ...defaults, ...options, id: rid(1) }, initialOf(given))

const message = (from: number, term: number, body: MessageBody): Message => ({
  from: rid(from),
  to: rid(1),
  term,
  ...body,
})

const receive = (raft: Raft, from: number, term: number, body: MessageBody, now = raft.now): void =>
  step(raft, { kind: 'receive', now, message: message(from, term, body) })

/** Takes a Ready and finishes its write; all that left, in order. */
function drain(raft: Raft): Message[] {
  const sent: Message[] = []
  for (let turns = 0; hasReady(raft, true) && turns < 20; turns++) {
    const ready = takeReady(raft, true)
    sent.push(...ready.sendNow)
    if (!ready.persist) continue
    sent.push(...ready.sendAfterPersist)
    step(raft, { kind: 'persisted' })
  }
  return sent
}

const ofKind = <Kind extends Message['kind']>(
  messages: readonly Message[],
  kind: Kind,
): Extract<Message, { kind: Kind }>[] =>
  messages.filter((one): one is Extract<Message, { kind: Kind }> => one.kind === kind)

const append = (
  prevIndex: number,
  prevTerm: number,
  entries: readonly Entry[] = [],
  commit = 0,
): MessageBody => ({ kind: 'append', prevIndex, prevTerm, entries, commit })

const vote = (lastIndex: number, lastTerm: number, transfer = false): MessageBody => ({
  kind: 'vote',
  lastIndex,
  lastTerm,
  transfer,
})

const acknowledge = (raft: Raft, from: number, match: number, prevIndex = match): void =>
  receive(raft, from, raft.term, { kind: 'appendReply', prevIndex, rejected: false, match })

/** A candidate whose vote for itself is durable. */
function candidate(given: Given = {}, options: Partial<typeof defaults> = {}): Raft {
  const raft = make(given, options)
  step(raft, { kind: 'campaign', now: raft.now })
  for (const id of raft.config.voters)
    if (id !== 1) receive(raft, id, raft.term + 1, { kind: 'preVoteReply', granted: true })
  drain(raft)
  return raft
}

/** A leader that has written its no-op, with nobody's acknowledgement. */
function leader(given: Given = {}, options: Partial<typeof defaults> = {}): Raft {
  const raft = candidate(given, options)
  for (const id of raft.config.voters)
    if (id !== 1 && raft.role === 'candidate')
      receive(raft, id, raft.term, { kind: 'voteReply', granted: true })
  drain(raft)
  return raft
}

/** A leader whose no-op is committed. */
function settled(given: Given = {}, options: Partial<typeof defaults> = {}): Raft {
  const raft = leader(given, options)
  for (const id of raft.config.voters) if (id !== 1) acknowledge(raft, id, raft.lastIndex)
  drain(raft)
  return raft
}

const noChange: ConfigChange = { addVoters: [], addLearners: [], promote: [], demote: [], remove: [] }
const replica = (id: number): { id: ReturnType<typeof rid>; node: NodeId } => ({
  id: rid(id),
  node: BigInt(id) as NodeId,
})
const items = (count: number, size = 1): { kind: 'normal'; data: Uint8Array }[] =>
  Array.from({ length: count }, () => ({ kind: 'normal', data: new Uint8Array(size) }))

t.test('rules for all servers', t => {
  t.test('5.1: a later term in any message makes a follower of everybody', t => {
    for (const from of [candidate(), leader(), make()]) {
      receive(from, 2, 9, { kind: 'appendReply', prevIndex: 0, rejected: false, match: 0 })
      t.match({ role: from.role, term: from.term, vote: from.vote }, { role: 'follower', term: 9, vote: 0 })
    }
    t.end()
  })
  t.test('5.1: a request with an old term is refused, and its sender learns ours', t => {
    const raft = make({ term: 5 })
    receive(raft, 2, 3, vote(9, 3))
    receive(raft, 2, 3, append(0, 0, entriesOf(1, 3)))
    t.match(drain(raft), [
      { kind: 'voteReply', term: 5, granted: false },
      { kind: 'heartbeatReply', term: 5 },
    ])
    t.equal(raft.lastIndex, 0)
    t.end()
  })
  t.test('an old answer is ignored', t => {
    const raft = settled({ term: 5 })
    propose(raft, 0, items(1))
    receive(raft, 2, 5, { kind: 'appendReply', prevIndex: 1, rejected: false, match: 2 })
    t.equal(raft.commit, 1)
    t.end()
  })
  t.test('what is for somebody else, or from ourselves, is ignored', t => {
    const raft = make()
    step(raft, { kind: 'receive', now: 0, message: { ...message(2, 9, vote(0, 0)), to: rid(3) } })
    receive(raft, 1, 9, vote(0, 0))
    t.equal(raft.term, 0)
    t.end()
  })
  t.test('committed entries are applied in order, each once', t => {
    const raft = settled()
    propose(raft, 0, items(5))
    drain(raft)
    acknowledge(raft, 2, 6)
    t.strictSame(
      committedEntries(raft, 120).map(({ index }) => index),
      [1, 2],
    )
    t.strictSame(
      committedEntries(raft, 1e6).map(({ index }) => index),
      [3, 4, 5, 6],
    )
    t.strictSame(committedEntries(raft, 1e6), [])
    step(raft, { kind: 'applied', index: 4 })
    t.equal(raft.applied, 4)
    t.end()
  })
  t.test('one entry is handed out even when it is larger than the limit', t => {
    const raft = settled()
    t.equal(committedEntries(raft, 1).length, 1)
    t.end()
  })
  t.test('what is committed and not durable here is not applied', t => {
    const raft = settled()
    propose(raft, 0, items(1))
    takeReady(raft, true)
    acknowledge(raft, 2, 2)
    acknowledge(raft, 3, 2)
    t.match([raft.commit, raft.stable], [2, 1])
    t.strictSame(
      committedEntries(raft, 1e6).map(({ index }) => index),
      [1],
    )
    step(raft, { kind: 'persisted' })
    t.strictSame(
      committedEntries(raft, 1e6).map(({ index }) => index),
      [2],
    )
    t.end()
  })
  t.end()
})

t.test('persistent state is on disk before anybody is answered', t => {
  t.test('a granted vote', t => {
    const raft = make({ term: 1 })
    receive(raft, 2, 2, vote(0, 0))
    const ready = takeReady(raft, true)
    t.strictSame(ready.sendNow, [])
    t.match(ready.persist, { hardState: { term: 2, vote: 2 } })
    t.match(ready.sendAfterPersist, [{ kind: 'voteReply', granted: true, term: 2 }])
    t.end()
  })
  t.test('the vote for itself, before it asks', t => {
    const raft = make()
    step(raft, { kind: 'campaign', now: 0 })
    receive(raft, 2, 1, { kind: 'preVoteReply', granted: true })
    const ready = takeReady(raft, true)
    t.equal(ofKind(ready.sendNow, 'vote').length, 0)
    t.match(ready.persist, { hardState: { term: 1, vote: 1 } })
    t.equal(ofKind(ready.sendAfterPersist, 'vote').length, 2)
    t.end()
  })
  t.test('entries, before they are acknowledged', t => {
    const raft = make({ term: 1 })
    receive(raft, 2, 1, append(0, 0, entriesOf(1, 1, 1)))
    const ready = takeReady(raft, true)
    t.strictSame(ready.sendNow, [])
    t.equal(ready.persist?.entries.length, 2)
    t.match(ready.sendAfterPersist, [{ kind: 'appendReply', match: 2 }])
    t.end()
  })
  t.test('a later term, before a message speaks of it', t => {
    const raft = make({ term: 1 })
    receive(raft, 2, 4, { kind: 'heartbeat', commit: 0, round: 1 })
    const ready = takeReady(raft, true)
    t.strictSame(ready.sendNow, [])
    t.match(ready.sendAfterPersist, [{ kind: 'heartbeatReply', term: 4 }])
    t.end()
  })
  t.test('nothing that stands on a write leaves while the disk is busy, the rest does', t => {
    const raft = make({ term: 1 })
    receive(raft, 2, 1, append(0, 0, entriesOf(1, 1)))
    takeReady(raft, true)
    receive(raft, 2, 1, append(1, 1, entriesOf(2, 1)))
    receive(raft, 2, 1, { kind: 'heartbeat', commit: 0, round: 7 })
    const busy = takeReady(raft, false)
    t.match(busy.sendNow, [{ kind: 'heartbeatReply', round: 7 }])
    t.equal(busy.persist, null)
    t.strictSame(busy.sendAfterPersist, [])
    t.equal(hasReady(raft, false), false)
    step(raft, { kind: 'persisted' })
    t.match(takeReady(raft, true).sendAfterPersist, [{ kind: 'appendReply', match: 2 }])
    t.end()
  })
  t.test('a claim whose write has ended in the meantime leaves without another', t => {
    const raft = make({ term: 1 })
    receive(raft, 2, 1, append(0, 0, entriesOf(1, 1)))
    takeReady(raft, true)
    receive(raft, 2, 1, append(0, 0, entriesOf(1, 1)))
    takeReady(raft, false)
    step(raft, { kind: 'persisted' })
    const ready = takeReady(raft, true)
    t.equal(ready.persist, null)
    t.match(ready.sendNow, [{ kind: 'appendReply', match: 1 }])
    t.end()
  })
  t.test('claims of a term that is over are not sent', t => {
    const raft = make({ term: 1 })
    receive(raft, 2, 1, append(0, 0, entriesOf(1, 1)))
    receive(raft, 3, 2, { kind: 'heartbeat', commit: 0, round: 1 })
    const { sendAfterPersist } = takeReady(raft, true)
    t.match(sendAfterPersist, [{ kind: 'heartbeatReply', term: 2 }])
    t.end()
  })
  t.test('only one write is out', t => {
    const raft = make({ term: 1 })
    receive(raft, 2, 1, append(0, 0, entriesOf(1, 1)))
    takeReady(raft, true)
    receive(raft, 2, 1, append(1, 1, entriesOf(2, 1)))
    t.throws(() => takeReady(raft, true), /two writes/)
    t.end()
  })
  t.test('who was not admitted says nothing at all, and listens', t => {
    const raft = make({ term: 1, mayVote: false })
    receive(raft, 2, 2, vote(0, 0))
    receive(raft, 2, 2, { kind: 'preVote', lastIndex: 0, lastTerm: 0 })
    receive(raft, 3, 2, append(0, 0, entriesOf(1, 2)))
    receive(raft, 3, 2, { kind: 'heartbeat', commit: 0, round: 1 })
    step(raft, { kind: 'tick', now: 1e6 })
    step(raft, { kind: 'campaign', now: 1e6 })
    t.strictSame(drain(raft), [])
    t.match([raft.vote, raft.lastIndex, raft.stable, raft.role], [0, 1, 1, 'follower'])
    step(raft, { kind: 'admitted' })
    receive(raft, 3, 2, append(1, 2))
    t.match(drain(raft), [{ kind: 'appendReply', match: 1 }])
    t.end()
  })
  t.end()
})

t.test('RequestVote', t => {
  const answer = (given: Given, from: number, term: number, body: MessageBody): boolean | undefined => {
    const raft = make(given)
    receive(raft, from, term, body)
    return ofKind(drain(raft), 'voteReply')[0]?.granted
  }
  t.test('1: false if term < currentTerm', t => {
    t.equal(answer({ term: 5 }, 2, 4, vote(9, 4)), false)
    t.end()
  })
  t.test('2: granted if votedFor is null or the candidate', t => {
    t.equal(answer({ term: 5 }, 2, 5, vote(0, 0)), true)
    t.equal(answer({ term: 5, vote: 2 }, 2, 5, vote(0, 0)), true)
    t.equal(answer({ term: 5, vote: 3 }, 2, 5, vote(0, 0)), false)
    t.equal(answer({ term: 5, vote: 3 }, 2, 6, vote(0, 0)), true)
    t.end()
  })
  t.test('5.4.1: and the log is at least as up to date, last term first, then length', t => {
    const rows: [terms: number[], lastIndex: number, lastTerm: number, granted: boolean][] = [
      [[1, 1], 2, 1, true],
      [[1, 1], 3, 1, true],
      [[1, 1], 1, 1, false],
      [[1, 1, 1], 1, 2, true],
      [[1, 2], 5, 1, false],
      [[1, 3], 1, 2, false],
      [[], 0, 0, true],
    ]
    for (const [terms, lastIndex, lastTerm, granted] of rows)
      t.equal(
        answer({ terms }, 2, 9, vote(lastIndex, lastTerm)),
        granted,
        `${terms.join(' ')} and ${lastIndex}/${lastTerm}`,
      )
    t.end()
  })
  t.test('5.4.1: entries that are not durable yet are compared, too', t => {
    const raft = make({ term: 1 })
    receive(raft, 3, 1, append(0, 0, entriesOf(1, 1)))
    receive(raft, 2, 2, vote(0, 0, true))
    t.equal(ofKind(drain(raft), 'voteReply')[0]?.granted, false)
    t.end()
  })
  t.test('thesis 4.1: a learner, and one who is in no configuration, votes when it is asked', t => {
    t.equal(answer({ config: configOf([2, 3], [1]) }, 2, 1, vote(0, 0)), true)
    t.equal(answer({ config: emptyConfig }, 2, 1, vote(0, 0)), true)
    t.end()
  })
  t.test('thesis 4.2.3: not while a leader is heard, unless that leader wants it', t => {
    const raft = make({ term: 1 })
    receive(raft, 3, 1, { kind: 'heartbeat', commit: 0, round: 0 }, 100)
    receive(raft, 2, 2, vote(0, 0), 1099)
    t.equal(raft.term, 1)
    receive(raft, 2, 2, vote(0, 0), 1100)
    t.equal(raft.vote, 2)
    const other = make({ term: 1 })
    receive(other, 3, 1, { kind: 'heartbeat', commit: 0, round: 0 }, 100)
    receive(other, 2, 2, vote(0, 0, true), 200)
    t.equal(other.vote, 2)
    t.end()
  })
  t.test('a granted vote starts the election timer anew, a refused one of the same term does not', t => {
    const raft = make({ term: 1, terms: [1] })
    const due = nextDue(raft)
    receive(raft, 2, 1, vote(0, 0), 500)
    t.equal(nextDue(raft), due)
    receive(raft, 2, 1, vote(1, 1), 500)
    t.ok(nextDue(raft) >= 1500)
    t.end()
  })
  t.end()
})

t.test('pre-vote (thesis 9.6)', t => {
  const ask = (raft: Raft, term: number, lastIndex: number, lastTerm: number): Message | undefined => {
    receive(raft, 2, term, { kind: 'preVote', lastIndex, lastTerm }, 5000)
    return drain(raft).find(({ kind }) => kind === 'preVoteReply')
  }
  t.test('granted in the term that was asked about, and nothing changes', t => {
    const raft = make({ term: 3, terms: [3] })
    const due = nextDue(raft)
    t.match(ask(raft, 4, 1, 3), { granted: true, term: 4 })
    t.match([raft.term, raft.vote, nextDue(raft)], [3, 0, due])
    t.end()
  })
  t.test('refused in our own term: it may be the later one', t => {
    t.match(ask(make({ term: 3, terms: [3] }), 4, 0, 0), { granted: false, term: 3 })
    t.match(ask(make({ term: 7 }), 4, 0, 0), { granted: false, term: 7 })
    t.end()
  })
  t.test('a later term in a refusal is adopted', t => {
    const raft = make({ term: 3 })
    step(raft, { kind: 'campaign', now: 0 })
    receive(raft, 2, 8, { kind: 'preVoteReply', granted: false })
    t.match([raft.term, raft.role], [8, 'follower'])
    t.end()
  })
  t.test('a grant for an earlier campaign does not count', t => {
    const raft = make({ term: 3 })
    step(raft, { kind: 'campaign', now: 0 })
    receive(raft, 2, 3, { kind: 'preVoteReply', granted: true })
    receive(raft, 3, 5, { kind: 'preVoteReply', granted: true })
    t.equal(raft.role, 'preCandidate')
    t.end()
  })
  t.test('the term grows only with a majority', t => {
    const raft = make({ term: 3, config: configOf([1, 2, 3, 4, 5]) })
    step(raft, { kind: 'tick', now: 2000 })
    receive(raft, 2, 4, { kind: 'preVoteReply', granted: true })
    receive(raft, 2, 4, { kind: 'preVoteReply', granted: true })
    t.match([raft.term, raft.role], [3, 'preCandidate'])
    receive(raft, 3, 4, { kind: 'preVoteReply', granted: true })
    t.match([raft.term, raft.role], [4, 'candidate'])
    t.end()
  })
  t.end()
})

t.test('candidates (5.2)', t => {
  t.test('to begin: a new term, a vote for itself, a request to all others', t => {
    const raft = make({ term: 4, terms: [4, 4] })
    step(raft, { kind: 'tick', now: 1999 })
    receive(raft, 3, 5, { kind: 'preVoteReply', granted: true })
    t.match([raft.term, raft.vote, raft.role], [5, 1, 'candidate'])
    const asked = ofKind(drain(raft), 'vote')
    t.strictSame(
      asked.map(({ to, lastIndex, lastTerm }) => [to, lastIndex, lastTerm]),
      [
        [2, 2, 4],
        [3, 2, 4],
      ],
    )
    t.end()
  })
  t.test('a majority makes it leader, its own durable vote included', t => {
    const raft = make({ term: 0 })
    step(raft, { kind: 'campaign', now: 0 })
    receive(raft, 2, 1, { kind: 'preVoteReply', granted: true })
    takeReady(raft, true)
    // Nobody can have heard of the campaign yet; a forged or crossed grant alone must not do.
    receive(raft, 2, 1, { kind: 'voteReply', granted: true })
    t.equal(raft.role, 'candidate')
    step(raft, { kind: 'persisted' })
    t.equal(raft.role, 'leader')
    t.end()
  })
  t.test('repeated answers count once', t => {
    const raft = candidate({ config: configOf([1, 2, 3, 4, 5]) })
    receive(raft, 2, 1, { kind: 'voteReply', granted: true })
    receive(raft, 2, 1, { kind: 'voteReply', granted: true })
    t.equal(raft.role, 'candidate')
    t.end()
  })
  t.test('a leader of the term turns it into a follower', t => {
    const raft = candidate()
    receive(raft, 3, 1, append(0, 0, entriesOf(1, 1)))
    t.match([raft.role, raft.leader, raft.lastIndex], ['follower', 3, 1])
    t.end()
  })
  t.test('a lost or undecided election is tried again, after another timeout', t => {
    const raft = candidate()
    step(raft, { kind: 'tick', now: 2100 })
    t.equal(raft.role, 'preCandidate')
    const lost = candidate()
    receive(lost, 2, 1, { kind: 'voteReply', granted: false })
    receive(lost, 3, 1, { kind: 'voteReply', granted: false })
    t.equal(lost.role, 'follower')
    t.end()
  })
  t.test('9.3: timeouts are spread over [T, 2T)', t => {
    const due = new Set<number>()
    for (let seed = 0; seed < 300; seed++) {
      const at = nextDue(make({}, { seed }))
      t.ok(at >= 1000 && at < 2000)
      due.add(Math.floor(at / 100))
    }
    t.equal(due.size, 10)
    t.end()
  })
  t.test('a configuration that comes with a snapshot can end a campaign', t => {
    const raft = make({ term: 1 })
    step(raft, { kind: 'campaign', now: 0 })
    step(raft, { kind: 'installed', base: { index: 5, term: 1 }, config: configOf([2, 3]) })
    receive(raft, 2, 2, { kind: 'preVoteReply', granted: true })
    receive(raft, 3, 2, { kind: 'preVoteReply', granted: true })
    t.match([raft.role, raft.term], ['follower', 1])
    t.end()
  })
  t.test('what the store has and the log has not brings its term with it, and no vote', t => {
    const raft = make({ term: 1, vote: 3 })
    step(raft, { kind: 'installed', base: { index: 5, term: 4 }, config: configOf([1, 2, 3]) })
    t.match([raft.role, raft.term, raft.vote], ['follower', 4, 0])
    t.end()
  })
  t.test('late answers after the election change nothing', t => {
    const raft = leader()
    receive(raft, 3, 1, { kind: 'voteReply', granted: false })
    receive(raft, 3, 2, { kind: 'preVoteReply', granted: true })
    t.match([raft.role, raft.term], ['leader', 1])
    t.end()
  })
  t.test('learners and the removed do not campaign', t => {
    for (const config of [configOf([2, 3], [1]), configOf([2, 3]), emptyConfig]) {
      const raft = make({ config })
      t.equal(nextDue(raft), Infinity)
      step(raft, { kind: 'campaign', now: 5000 })
      t.equal(raft.role, 'follower')
    }
    t.end()
  })
  t.end()
})

t.test('AppendEntries', t => {
  const answer = (raft: Raft, term: number, body: MessageBody): Message | undefined => {
    receive(raft, 2, term, body)
    return drain(raft).find(({ kind }) => kind === 'appendReply')
  }
  t.test('2: refused if the log has no entry at prevIndex with prevTerm', t => {
    t.match(answer(make({ terms: [1, 1], term: 2 }), 2, append(3, 1)), {
      rejected: true,
      hintIndex: 2,
      hintTerm: 1,
    })
    t.match(answer(make({ terms: [1, 2], term: 3 }), 3, append(2, 1)), {
      rejected: true,
      hintIndex: 1,
      hintTerm: 1,
    })
    t.end()
  })
  t.test('the hint skips every entry of a later term than the leader has there', t => {
    const raft = make({ terms: [1, 1, 4, 4, 4, 6, 6], term: 9 })
    t.match(answer(raft, 9, append(7, 3)), { rejected: true, hintIndex: 2, hintTerm: 1 })
    t.end()
  })
  t.test('3: an entry that conflicts is deleted with all that follow it', t => {
    const raft = make({ terms: [1, 1, 1, 1], term: 2 })
    t.match(answer(raft, 2, append(1, 1, entriesOf(2, 2))), { rejected: false, match: 2 })
    t.match([raft.lastIndex, termAt(raft, 2), termAt(raft, 3)], [2, 2, null])
    t.end()
  })
  t.test('3: only if it conflicts: an old append does not shorten the log', t => {
    const raft = make({ terms: [1, 1, 1, 1], term: 1 })
    t.match(answer(raft, 1, append(0, 0, entriesOf(1, 1, 1))), { match: 2 })
    t.match(answer(raft, 1, append(1, 1)), { match: 1 })
    t.equal(raft.lastIndex, 4)
    t.end()
  })
  t.test('4: entries that are new are appended', t => {
    const raft = make({ terms: [1], term: 1 })
    t.match(answer(raft, 1, append(0, 0, entriesOf(1, 1, 1, 1))), { match: 3 })
    t.match([raft.lastIndex, raft.stable], [3, 3])
    t.end()
  })
  t.test('5: commitIndex = min(leaderCommit, index of the last new entry)', t => {
    const raft = make({ terms: [1, 1, 1], term: 2 })
    answer(raft, 2, append(1, 1, [], 3))
    t.equal(raft.commit, 1, 'what follows was not compared')
    answer(raft, 2, append(1, 1, entriesOf(2, 2), 9))
    t.equal(raft.commit, 2)
    t.end()
  })
  t.test('5: and never falls', t => {
    const raft = make({ terms: [1, 1, 1], term: 1, commit: 3 })
    t.match(answer(raft, 1, append(0, 0, entriesOf(1, 1), 1)), { rejected: false, match: 3 })
    t.equal(raft.commit, 3)
    t.end()
  })
  t.test('a heartbeat beyond our log is not believed', t => {
    const raft = make({ terms: [1, 1], term: 1 })
    receive(raft, 2, 1, { kind: 'heartbeat', commit: 5, round: 0 })
    t.equal(raft.commit, 0)
    receive(raft, 2, 1, { kind: 'heartbeat', commit: 2, round: 0 })
    t.equal(raft.commit, 2)
    t.end()
  })
  t.test('what reaches below our base is taken from there on', t => {
    const raft = make({ base: { index: 5, term: 2 }, terms: [2], term: 2 })
    t.match(answer(raft, 2, append(2, 1, entriesOf(3, 1, 1, 2, 2, 2))), { rejected: false, match: 7 })
    t.match(answer(raft, 2, append(1, 1, entriesOf(2, 1))), { rejected: false, match: 5 })
    t.equal(raft.lastIndex, 7)
    t.end()
  })
  t.test('a leader without our committed entries cannot be', t => {
    const raft = make({ terms: [1, 1], term: 2, commit: 2 })
    t.throws(() => receive(raft, 2, 2, append(2, 2)), /lacks the committed/)
    t.end()
  })
  t.test('two leaders in one term cannot be', t => {
    t.throws(() => receive(leader(), 2, 1, append(0, 0)), /both lead/)
    t.end()
  })
  t.test(
    'the configuration of an entry is in force at once, and gone when it is replaced (thesis 4.1)',
    t => {
      const raft = make({ terms: [1], term: 1 })
      const data = encodeConfig(configOf([1, 2, 3, 4]))
      const entry: Entry = { index: 2, term: 1, kind: 'config', time: 0, data }
      answer(raft, 1, append(1, 1, [entry]))
      t.strictSame(raft.config.voters, [1, 2, 3, 4])
      answer(raft, 2, append(1, 1, entriesOf(2, 2)))
      t.strictSame(raft.config.voters, [1, 2, 3])
      t.end()
    },
  )
  t.test('a truncation while a write is out limits what that write makes durable', t => {
    const raft = make({ term: 1 })
    receive(raft, 2, 1, append(0, 0, entriesOf(1, 1, 1, 1)))
    takeReady(raft, true)
    receive(raft, 3, 2, append(1, 1, entriesOf(2, 2, 2)))
    step(raft, { kind: 'persisted' })
    t.match([raft.stable, raft.lastIndex], [1, 3])
    const { persist } = takeReady(raft, true)
    t.strictSame(
      persist?.entries.map(({ index, term }) => [index, term]),
      [
        [2, 2],
        [3, 2],
      ],
    )
    t.end()
  })
  t.end()
})

t.test('leaders', t => {
  t.test('5.2: heartbeats at once and in every interval; 8: a no-op opens the term', t => {
    const raft = candidate()
    receive(raft, 2, 1, { kind: 'voteReply', granted: true })
    t.match(
      ofKind(drain(raft), 'append').map(({ to, entries }) => [to, entries[0]?.kind]),
      [
        [2, 'noop'],
        [3, 'noop'],
      ],
    )
    t.equal(nextDue(raft), 100)
    step(raft, { kind: 'tick', now: 100 })
    t.equal(ofKind(drain(raft), 'heartbeat').length, 2)
    t.equal(nextDue(raft), 200)
    t.end()
  })
  t.test('a leader of one has nothing to do when nothing comes in', t => {
    const raft = leader({ config: configOf([1]) })
    t.match([raft.role, raft.commit, nextDue(raft)], ['leader', 1, Infinity])
    t.end()
  })
  t.test('a command is appended; the answer says where', t => {
    const raft = settled()
    t.match(propose(raft, 0, items(3)), { ok: true, index: 2, term: 1 })
    t.match(propose(raft, 0, items(1)), { ok: true, index: 5 })
    t.match(propose(make(), 0, items(1)), { ok: false, refusal: 'noLeader' })
    t.end()
  })
  t.test('time does not fall along the log', t => {
    const raft = settled()
    propose(raft, 50, items(1))
    propose(raft, 20, items(1))
    propose(raft, 70, items(1))
    const { persist } = takeReady(raft, true)
    t.strictSame(
      persist?.entries.map(({ time }) => time),
      [50, 50, 70],
    )
    t.end()
  })
  t.test('appends are pipelined within the window, and cut to size', t => {
    const raft = settled({}, { appendBytesMax: 150, inflightAppendsMax: 2 })
    propose(raft, 0, items(10, 2))
    const sent = ofKind(takeReady(raft, true).sendNow, 'append').filter(({ to }) => to === 2)
    t.strictSame(
      sent.map(({ prevIndex, entries }) => [prevIndex, entries.length]),
      [
        [1, 3],
        [4, 3],
      ],
    )
    acknowledge(raft, 2, 4, 1)
    t.equal(ofKind(takeReady(raft, false).sendNow, 'append').filter(({ to }) => to === 2).length, 1)
    t.end()
  })
  t.test('5.3: a refusal makes it go back, with hints by whole terms', t => {
    const raft = leader({ terms: [1, 1, 2, 2, 2, 5, 5, 5], term: 6 })
    drain(raft)
    receive(raft, 2, 7, {
      kind: 'appendReply',
      prevIndex: 8,
      rejected: true,
      hintIndex: 7,
      hintTerm: 4,
      needSnapshot: false,
    } as MessageBody)
    t.match(ofKind(drain(raft), 'append'), [{ to: 2, prevIndex: 5, prevTerm: 2 }])
    t.end()
  })
  t.test('a late refusal does not move a follower back', t => {
    const raft = settled()
    propose(raft, 0, items(4))
    drain(raft)
    acknowledge(raft, 2, 5)
    const reject: MessageBody = {
      ...({ kind: 'appendReply', prevIndex: 3, rejected: true, hintIndex: 0 } as const),
      ...({ hintTerm: 0, needSnapshot: false } as const),
    }
    receive(raft, 2, 1, reject)
    t.match(raft.progress.get(rid(2)), { kind: 'replicate', match: 5, next: 6 })
    acknowledge(raft, 2, 3)
    t.match(raft.progress.get(rid(2)), { match: 5, next: 6 })
    t.end()
  })
  t.test('an acknowledgement of more than there is is not about our log', t => {
    const raft = settled()
    acknowledge(raft, 2, 99)
    t.equal(raft.progress.get(rid(2))?.match, 1)
    t.end()
  })
  t.test('5.3, 5.4: N is committed when a majority has it and log[N].term = currentTerm', t => {
    const raft = leader({ terms: [1, 1], term: 1, config: configOf([1, 2, 3, 4, 5]) })
    t.equal(raft.term, 2)
    acknowledge(raft, 2, 2)
    acknowledge(raft, 3, 2)
    t.equal(raft.commit, 0, 'an old term is not committed by counting (figure 8)')
    acknowledge(raft, 2, 3)
    t.equal(raft.commit, 0, 'three of five are needed')
    acknowledge(raft, 3, 3)
    t.equal(raft.commit, 3)
    t.end()
  })
  t.test('thesis 10.2.1: it counts itself only for what is durable', t => {
    const raft = settled()
    propose(raft, 0, items(1))
    takeReady(raft, true)
    acknowledge(raft, 2, 2)
    t.equal(raft.commit, 1)
    step(raft, { kind: 'persisted' })
    t.equal(raft.commit, 2)
    t.end()
  })
  t.test('learners are not counted', t => {
    const raft = settled({ config: configOf([1, 2, 3], [4, 5]) })
    propose(raft, 0, items(1))
    drain(raft)
    acknowledge(raft, 4, 2)
    acknowledge(raft, 5, 2)
    t.equal(raft.commit, 1)
    t.end()
  })
  t.test('a heartbeat says no more than the follower is known to hold', t => {
    const raft = settled()
    propose(raft, 0, items(3))
    drain(raft)
    acknowledge(raft, 2, 4)
    step(raft, { kind: 'tick', now: 100 })
    t.strictSame(
      ofKind(drain(raft), 'heartbeat').map(({ to, commit }) => [to, commit]),
      [
        [2, 4],
        [3, 1],
      ],
    )
    t.end()
  })
  t.test('too many uncommitted bytes are refused, one large batch is not', t => {
    const raft = settled({}, { uncommittedBytesMax: 200 })
    t.equal(propose(raft, 0, items(1, 5000)).ok, true)
    t.match(propose(raft, 0, items(1)), { ok: false, refusal: 'busy' })
    drain(raft)
    acknowledge(raft, 2, 2)
    t.equal(raft.uncommittedBytes, 0)
    t.equal(propose(raft, 0, items(1)).ok, true)
    t.end()
  })
  t.test('thesis 6.2: without a quorum for an election timeout it steps down, learners do not help', t => {
    const raft = settled({ config: configOf([1, 2, 3], [4]) })
    for (let now = 100; now < 1000; now += 100) {
      step(raft, { kind: 'tick', now })
      receive(raft, 4, 1, { kind: 'heartbeatReply', round: 0, needSnapshot: false }, now)
    }
    t.equal(raft.role, 'leader')
    step(raft, { kind: 'tick', now: 1000 })
    t.match([raft.role, raft.term], ['follower', 1])
    t.end()
  })
  t.test('thesis 4.2.3: it does not step down for a stranger with a later term', t => {
    const raft = settled()
    receive(raft, 9, 7, { kind: 'heartbeatReply', round: 0, needSnapshot: false })
    receive(raft, 9, 7, vote(9, 7))
    receive(raft, 2, 7, { kind: 'preVote', lastIndex: 9, lastTerm: 7 })
    t.match([raft.role, raft.term], ['leader', 1])
    t.end()
  })
  t.test('a member in a later term is won back by stepping down', t => {
    const raft = settled()
    receive(raft, 2, 7, { kind: 'heartbeatReply', round: 0, needSnapshot: false })
    t.match([raft.role, raft.term], ['follower', 7])
    t.end()
  })
  t.end()
})

t.test('ReadIndex (thesis 6.4)', t => {
  const heartbeatReply = (round: number): MessageBody => ({
    kind: 'heartbeatReply',
    round,
    needSnapshot: false,
  })
  t.test('1: not before an entry of its own term is committed', t => {
    const raft = leader({ terms: [1], term: 1 })
    t.equal(readIndex(raft, 0, 5), null)
    drain(raft)
    t.equal(raft.reads.round, 0)
    acknowledge(raft, 2, 2)
    t.equal(ofKind(takeReady(raft, true).sendNow, 'heartbeat').length, 2)
    t.end()
  })
  t.test('2, 3: commitIndex is noted before the round, and a majority must answer it', t => {
    const raft = settled()
    readIndex(raft, 0, 5)
    drain(raft)
    propose(raft, 0, items(1))
    drain(raft)
    acknowledge(raft, 2, 2)
    receive(raft, 2, 1, heartbeatReply(0))
    t.strictSame(takeReady(raft, true).reads, [])
    receive(raft, 2, 1, heartbeatReply(1))
    t.strictSame(takeReady(raft, true).reads, [{ context: 5, index: 1 }])
    t.end()
  })
  t.test('an answer to a later round does for an earlier one, never the other way round', t => {
    const raft = settled()
    readIndex(raft, 0, 5)
    drain(raft)
    readIndex(raft, 0, 6)
    drain(raft)
    receive(raft, 2, 1, heartbeatReply(1))
    t.strictSame(
      takeReady(raft, true).reads.map(({ context }) => context),
      [5],
    )
    receive(raft, 3, 1, heartbeatReply(2))
    t.strictSame(
      takeReady(raft, true).reads.map(({ context }) => context),
      [6],
    )
    receive(raft, 3, 1, heartbeatReply(99))
    readIndex(raft, 0, 7)
    drain(raft)
    t.equal(raft.reads.rounds.length, 1, 'a round from the future confirms nothing')
    t.end()
  })
  t.test('a joint configuration needs both majorities', t => {
    const raft = settled()
    const change = { addVoters: [replica(4), replica(5)], remove: [rid(2), rid(3)] }
    proposeConfig(raft, 0, { ...noChange, ...change })
    drain(raft)
    readIndex(raft, 0, 5)
    drain(raft)
    const { round } = raft.reads
    receive(raft, 2, 1, heartbeatReply(round))
    receive(raft, 3, 1, heartbeatReply(round))
    t.strictSame(takeReady(raft, true).reads, [])
    receive(raft, 4, 1, heartbeatReply(round))
    t.match(takeReady(raft, true).reads, [{ context: 5 }])
    t.end()
  })
  t.test('lost leadership answers every read with nothing', t => {
    const raft = settled()
    readIndex(raft, 0, 5)
    drain(raft)
    readIndex(raft, 0, 6)
    receive(raft, 2, 9, append(1, 1))
    t.strictSame(takeReady(raft, true).reads, [
      { context: 5, index: null },
      { context: 6, index: null },
    ])
    t.end()
  })
  t.test('a follower asks its leader, once per Ready, and gives up after an election timeout', t => {
    const raft = make({ term: 1 })
    t.equal(readIndex(raft, 0, 5), 'noLeader')
    receive(raft, 2, 1, { kind: 'heartbeat', commit: 0, round: 0 }, 10)
    readIndex(raft, 20, 5)
    readIndex(raft, 20, 6)
    const [asked, ...more] = ofKind(drain(raft), 'readIndex')
    t.equal(more.length, 0)
    const context = asked?.context as number
    receive(raft, 2, 1, { kind: 'readIndexReply', context: context + 1, index: 9 })
    receive(raft, 2, 1, { kind: 'readIndexReply', context, index: 4 })
    receive(raft, 2, 1, { kind: 'readIndexReply', context, index: 4 })
    t.strictSame(takeReady(raft, true).reads, [
      { context: 5, index: 4 },
      { context: 6, index: 4 },
    ])
    readIndex(raft, 30, 7)
    drain(raft)
    t.equal(Math.min(nextDue(raft), 1030), nextDue(raft))
    receive(raft, 2, 1, { kind: 'heartbeat', commit: 0, round: 0 }, 1000)
    step(raft, { kind: 'tick', now: 1030 })
    t.strictSame(takeReady(raft, true).reads, [{ context: 7, index: null }])
    t.end()
  })
  t.test('two lives of a follower do not use the same contexts', t => {
    const contexts = [1, 2].map(seed => {
      const raft = make({ term: 1 }, { seed })
      receive(raft, 2, 1, { kind: 'heartbeat', commit: 0, round: 0 })
      readIndex(raft, 0, 5)
      return ofKind(drain(raft), 'readIndex')[0]?.context
    })
    t.not(contexts[0], contexts[1])
    t.end()
  })
  t.test('a leader answers who forwarded; who does not lead says so', t => {
    const raft = settled()
    receive(raft, 3, 1, { kind: 'readIndex', context: 77 })
    drain(raft)
    receive(raft, 2, 1, heartbeatReply(1))
    t.match(drain(raft), [{ kind: 'readIndexReply', to: 3, context: 77, index: 1 }])
    const other = make({ term: 1 })
    receive(other, 3, 1, { kind: 'readIndex', context: 77 })
    t.match(drain(other), [{ kind: 'readIndexReply', context: 77, index: null }])
    t.end()
  })
  t.end()
})

t.test('membership (thesis 4)', t => {
  t.test('4.3: a change is a joint configuration, in force from append', t => {
    const raft = settled()
    t.match(proposeConfig(raft, 0, { ...noChange, addVoters: [replica(4)], remove: [rid(2)] }), {
      ok: true,
      index: 2,
    })
    t.match(raft.config, { voters: [1, 3, 4], outgoing: [1, 2, 3] })
    t.strictSame([...raft.progress.keys()], [2, 3, 4])
    t.end()
  })
  t.test('4.3: committed by a majority of both, then left at once', t => {
    const raft = settled()
    proposeConfig(raft, 0, { ...noChange, addVoters: [replica(4), replica(5)], remove: [rid(2), rid(3)] })
    drain(raft)
    acknowledge(raft, 2, 2)
    acknowledge(raft, 3, 2)
    t.equal(raft.commit, 1)
    acknowledge(raft, 4, 2)
    t.equal(raft.commit, 2)
    t.match(raft.config, { voters: [1, 4, 5], outgoing: [] })
    t.strictSame([...raft.progress.keys()], [4, 5])
    t.equal(raft.lastIndex, 3)
    t.end()
  })
  t.test('one change at a time, and only in a term that has committed something', t => {
    const change = { ...noChange, remove: [rid(3)] }
    t.match(proposeConfig(make(), 0, change), { refusal: 'noLeader' })
    t.match(proposeConfig(leader({ terms: [1] }), 0, change), { refusal: 'notReady' })
    const raft = settled()
    t.equal(proposeConfig(raft, 0, change).ok, true)
    t.match(proposeConfig(raft, 0, change), { refusal: 'pendingChange' })
    drain(raft)
    acknowledge(raft, 2, 2)
    t.match(
      proposeConfig(raft, 0, change),
      { refusal: 'pendingChange' },
      'the leaving entry is not committed',
    )
    drain(raft)
    acknowledge(raft, 2, 3)
    t.equal(proposeConfig(raft, 0, { ...noChange, addLearners: [replica(4)] }).ok, true)
    t.end()
  })
  t.test('a new leader that finds a joint configuration leaves it when its no-op is committed', t => {
    const config = { ...configOf([1, 2, 3]), voters: [1, 2].map(rid), outgoing: [1, 2, 3].map(rid) }
    const raft = leader({ config, terms: [1], commit: 1 })
    t.equal(raft.config.outgoing.length, 3)
    acknowledge(raft, 2, 2)
    t.match(raft.config, { voters: [1, 2], outgoing: [] })
    t.end()
  })
  t.test('4.2.2: a leader that is no voter any more does not count itself, commits, and steps down', t => {
    const raft = settled()
    proposeConfig(raft, 0, { ...noChange, remove: [rid(1)] })
    drain(raft)
    acknowledge(raft, 2, 2)
    t.equal(raft.commit, 1, 'of {2 3} one is missing; 1 is not counted there')
    acknowledge(raft, 3, 2)
    drain(raft)
    t.match([raft.role, raft.commit, raft.config.voters], ['leader', 2, [2, 3]])
    acknowledge(raft, 2, 3)
    acknowledge(raft, 3, 3)
    t.match([raft.role, raft.commit], ['follower', 3])
    const sent = drain(raft)
    t.match(ofKind(sent, 'append').at(-1), { commit: 3 })
    t.equal(ofKind(sent, 'timeoutNow').length, 1)
    t.equal(nextDue(raft), Infinity)
    t.end()
  })
  t.test('a promotion needs a learner that has caught up', t => {
    const raft = settled({ config: configOf([1, 2, 3], [4]) })
    t.match(proposeConfig(raft, 0, { ...noChange, promote: [rid(4)] }), { refusal: 'notReady' })
    acknowledge(raft, 4, 1)
    const isPromoted = (): boolean => proposeConfig(raft, 0, { ...noChange, promote: [rid(4)] }).ok
    t.equal(isPromoted(), false, 'it has not said that it has more than the log')
    receive(raft, 4, raft.term, { kind: 'heartbeatReply', round: 0, needSnapshot: true })
    t.equal(isPromoted(), false, 'it has not')
    receive(raft, 4, raft.term, { kind: 'heartbeatReply', round: 0, needSnapshot: false })
    t.equal(isPromoted(), true)
    t.end()
  })
  t.test('the owner of a leader knows whether a learner has more than the log', t => {
    const raft = settled({ config: configOf([1, 2, 3], [4]) })
    const ready = (): boolean => isReadyToVote(raft, raft.progress.get(rid(4))!)
    const says = (needSnapshot: boolean): void =>
      receive(raft, 4, raft.term, { kind: 'heartbeatReply', round: 0, needSnapshot })
    acknowledge(raft, 4, 1)
    t.equal(ready(), false, 'it has not said that it has its state')
    says(false)
    t.equal(ready(), true)
    says(true)
    t.equal(ready(), false, 'it has lost it')
    t.end()
  })
  t.test('changes that do not fit are refused', t => {
    const config = configOf([1, 2, 3], [4])
    const wrong: Partial<ConfigChange>[] = [
      {},
      { addVoters: [replica(2)] },
      { addLearners: [replica(4)] },
      { addVoters: [replica(0)] },
      { promote: [rid(2)] },
      { promote: [rid(9)] },
      { demote: [rid(4)] },
      { remove: [rid(9)] },
      { remove: [rid(1), rid(2), rid(3)] },
      { demote: [rid(3)], remove: [rid(3)] },
      { addVoters: [replica(5)], addLearners: [replica(5)] },
    ]
    for (const change of wrong)
      t.equal(enterJoint(config, { ...noChange, ...change }), null, Object.keys(change).join(' '))
    const joint = enterJoint(config, { ...noChange, remove: [rid(3)] }) as GroupConfig
    t.equal(enterJoint(joint, { ...noChange, remove: [rid(2)] }), null)
    t.end()
  })
  t.test('promote, demote, add and remove in one change', t => {
    const joint = enterJoint(configOf([1, 2, 3], [4, 5]), {
      addVoters: [replica(6)],
      addLearners: [replica(7)],
      promote: [rid(4)],
      demote: [rid(2)],
      remove: [rid(3), rid(5)],
    }) as GroupConfig
    t.match(joint, { voters: [1, 4, 6], outgoing: [1, 2, 3], learners: [7], learnersNext: [2] })
    t.strictSame(
      joint.replicas.map(({ id }) => id),
      [1, 2, 3, 4, 6, 7],
    )
    const left = leaveJoint(joint)
    t.match(left, { voters: [1, 4, 6], outgoing: [], learners: [2, 7], learnersNext: [] })
    t.strictSame(
      left.replicas.map(({ id }) => id),
      [1, 2, 4, 6, 7],
    )
    t.strictSame(decodeConfig(encodeConfig(joint)), joint)
    t.end()
  })
  t.end()
})

t.test('leadership transfer (thesis 3.10)', t => {
  t.test('to a voter that holds everything: at once', t => {
    const raft = settled()
    t.equal(transferLeadership(raft, 0, rid(2)), null)
    t.match(drain(raft), [{ kind: 'timeoutNow', to: 2 }])
    t.match(propose(raft, 0, items(1)), { refusal: 'transferring' })
    t.equal(transferLeadership(raft, 0, rid(2)), null)
    t.equal(transferLeadership(raft, 0, rid(3)), 'transferring')
    t.end()
  })
  t.test('to one that lags: when it has caught up', t => {
    const raft = settled()
    propose(raft, 0, items(1))
    drain(raft)
    transferLeadership(raft, 0, rid(2))
    t.strictSame(drain(raft), [])
    acknowledge(raft, 2, 2)
    t.equal(ofKind(drain(raft), 'timeoutNow').length, 1)
    t.end()
  })
  t.test('given up after an election timeout', t => {
    const raft = settled()
    transferLeadership(raft, 0, rid(2))
    for (let now = 100; now <= 1000; now += 100) {
      step(raft, { kind: 'tick', now })
      receive(raft, 3, 1, { kind: 'heartbeatReply', round: 0, needSnapshot: false }, now)
    }
    t.equal(propose(raft, 0, items(1)).ok, true)
    t.end()
  })
  t.test('not to ourselves, a learner, a stranger or one that is unknown to have caught up', t => {
    const raft = settled({ config: configOf([1, 2, 3], [4]) })
    t.equal(transferLeadership(raft, 0, rid(1)), 'badTarget')
    t.equal(transferLeadership(raft, 0, rid(4)), 'badTarget')
    t.equal(transferLeadership(raft, 0, rid(9)), 'badTarget')
    t.equal(transferLeadership(make(), 0, rid(2)), 'noLeader')
    t.equal(transferLeadership(leader(), 0, rid(2)), 'notReady')
    step(raft, { kind: 'unreachable', to: rid(3) })
    t.equal(transferLeadership(raft, 0, rid(3)), 'notReady')
    t.end()
  })
  t.test('the target campaigns without asking first, once', t => {
    const raft = make({ term: 1 })
    receive(raft, 2, 1, { kind: 'heartbeat', commit: 0, round: 0 })
    receive(raft, 3, 1, { kind: 'timeoutNow' })
    t.equal(raft.role, 'follower', 'not from somebody else')
    receive(raft, 2, 1, { kind: 'timeoutNow' })
    t.match([raft.role, raft.term], ['candidate', 2])
    t.match(ofKind(drain(raft), 'vote'), [{ transfer: true }, { transfer: true }])
    receive(raft, 2, 1, { kind: 'timeoutNow' })
    t.equal(raft.term, 2)
    t.end()
  })
  t.end()
})

t.test('snapshots (thesis 5)', t => {
  const offer = (index: number, snapshotTerm: number): MessageBody => ({
    kind: 'snapshot',
    index,
    snapshotTerm,
    config: configOf([1, 2, 3, 4]),
  })
  const install = (raft: Raft, index: number, term: number): void =>
    step(raft, { kind: 'installed', base: { index, term }, config: configOf([1, 2, 3, 4]) })

  t.test('wanted when it is beyond our log, not when we have it', t => {
    const raft = make({ terms: [1, 1, 1], term: 2, commit: 1 })
    receive(raft, 2, 2, offer(9, 2))
    t.match(takeReady(raft, true).install, { from: 2, base: { index: 9, term: 2 } })
    receive(raft, 2, 2, offer(3, 1))
    t.equal(raft.commit, 3, 'the log has all of it')
    receive(raft, 2, 2, offer(2, 1))
    const ready = takeReady(raft, true)
    t.equal(ready.install, null)
    t.match(ready.sendNow, [
      { kind: 'appendReply', match: 3 },
      { kind: 'appendReply', match: 3 },
    ])
    t.end()
  })
  t.test('figure 13.7: it replaces a log that does not have its last entry', t => {
    const raft = make({ terms: [1, 1, 1], term: 2 })
    receive(raft, 2, 2, { kind: 'heartbeat', commit: 0, round: 0 })
    drain(raft)
    install(raft, 2, 2)
    t.match(raft, { base: { index: 2, term: 2 }, lastIndex: 2, commit: 2, applied: 2 })
    t.strictSame(raft.config.voters, [1, 2, 3, 4])
    const ready = takeReady(raft, true)
    t.match(ready.persist?.reset, { base: { index: 2, term: 2 }, keep: false })
    t.strictSame(ready.sendNow, [], 'not before it is durable')
    t.match(ready.sendAfterPersist, [{ kind: 'appendReply', match: 2 }])
    t.end()
  })
  t.test('figure 13.6: it keeps what follows when the log has its last entry', t => {
    const raft = make({ terms: [1, 1, 1], term: 2 })
    install(raft, 2, 1)
    t.match(raft, { base: { index: 2, term: 1 }, lastIndex: 3, stable: 3 })
    t.match(takeReady(raft, true).persist?.reset, { keep: true })
    t.end()
  })
  t.test('what follows it and is not on disk yet is written with the new base', t => {
    const raft = make({ term: 2 })
    receive(raft, 2, 2, append(0, 0, entriesOf(1, 2, 2, 2)))
    install(raft, 2, 2)
    const { persist } = takeReady(raft, true)
    t.match(persist?.reset, { base: { index: 2, term: 2 }, keep: false })
    t.strictSame(
      persist?.entries.map(({ index }) => index),
      [3],
    )
    t.end()
  })
  t.test('a write that was out when it came says nothing about the new log', t => {
    const raft = make({ term: 2 })
    receive(raft, 2, 2, append(0, 0, entriesOf(1, 2, 2, 2, 2)))
    takeReady(raft, true)
    install(raft, 3, 3)
    step(raft, { kind: 'persisted' })
    t.match([raft.stable, raft.lastIndex], [3, 3])
    t.match(takeReady(raft, true).persist?.reset, { base: { index: 3 }, keep: false })
    t.end()
  })
  t.test('an acknowledgement waits for the base to be durable, also one that comes later', t => {
    const raft = make({ term: 2 })
    receive(raft, 2, 2, { kind: 'heartbeat', commit: 0, round: 0 })
    drain(raft)
    install(raft, 9, 2)
    takeReady(raft, true)
    receive(raft, 2, 2, append(9, 2))
    t.strictSame(takeReady(raft, false).sendNow, [])
    step(raft, { kind: 'persisted' })
    t.match(takeReady(raft, true).sendNow, [{ kind: 'appendReply', match: 9 }])
    t.end()
  })
  t.test('a leader offers one to who needs what is gone, and goes on when it is there', t => {
    const raft = settled({ base: { index: 5, term: 1 }, terms: [1, 1], term: 1, commit: 7, applied: 6 })
    const reject: MessageBody = {
      ...({ kind: 'appendReply', prevIndex: 7, rejected: true, hintIndex: 2 } as const),
      ...({ hintTerm: 1, needSnapshot: false } as const),
    }
    step(raft, { kind: 'unreachable', to: rid(2) })
    const progress = raft.progress.get(rid(2)) as NonNullable<ReturnType<Raft['progress']['get']>>
    Object.assign(progress, { match: 0, next: 8 })
    receive(raft, 2, 2, reject)
    const ready = takeReady(raft, true)
    t.match(ofKind(ready.sendNow, 'snapshot'), [{ to: 2, index: 6, snapshotTerm: 1 }])
    t.strictSame(ready.snapshots, [2])
    t.equal(progress.kind, 'snapshot')
    acknowledge(raft, 2, 6)
    t.match(progress, { kind: 'replicate', next: 7, match: 6 })
    t.end()
  })
  t.test('a failed stream is offered again later, a finished one is not offered at once', t => {
    const raft = settled({ terms: [1, 1], term: 1, commit: 2, applied: 2 })
    const needs = (now: number): Ready => {
      receive(raft, 2, 2, { kind: 'heartbeatReply', round: 0, needSnapshot: true }, now)
      receive(raft, 3, 2, { kind: 'heartbeatReply', round: 0, needSnapshot: false }, now)
      return takeReady(raft, true)
    }
    t.strictSame(needs(0).snapshots, [2])
    step(raft, { kind: 'snapshotSent', to: rid(2), ok: false })
    t.strictSame(needs(500).snapshots, [])
    t.strictSame(needs(1000).snapshots, [2])
    step(raft, { kind: 'snapshotSent', to: rid(2), ok: true })
    t.strictSame(needs(3000).snapshots, [])
    t.strictSame(needs(12_000).snapshots, [2])
    t.end()
  })
  t.test('a lost state is asked for, and applies nothing until then', t => {
    const raft = make({ terms: [1, 1], term: 1, commit: 2, stateLost: true })
    t.strictSame(committedEntries(raft, 1e6), [])
    receive(raft, 2, 1, { kind: 'heartbeat', commit: 2, round: 0 })
    t.match(drain(raft), [{ kind: 'heartbeatReply', needSnapshot: true }])
    receive(raft, 2, 1, offer(1, 1))
    t.match(takeReady(raft, true).install, { base: { index: 1 } })
    install(raft, 1, 1)
    t.strictSame(
      committedEntries(raft, 1e6).map(({ index }) => index),
      [2],
    )
    t.end()
  })
  t.test('the log is purged only up to what is applied, and says so', t => {
    const raft = settled()
    propose(raft, 0, items(3))
    drain(raft)
    acknowledge(raft, 2, 4)
    committedEntries(raft, 1e6)
    step(raft, { kind: 'applied', index: 3 })
    t.throws(() => purgeLog(raft, 4), /beyond the applied/)
    purgeLog(raft, 3)
    t.match(raft.base, { index: 3, term: 1 })
    t.match(takeReady(raft, true).persist, { reset: { base: { index: 3, term: 1 }, keep: true } })
    t.match([termAt(raft, 2), termAt(raft, 3), termAt(raft, 4)], [null, 1, 1])
    t.end()
  })
  t.end()
})

t.test('entries that left the memory are fetched', t => {
  t.test('for applying after a restart', t => {
    const raft = make({ terms: [1, 1, 1, 1], commit: 3, applied: 1, cached: 1 })
    t.strictSame(committedEntries(raft, 1e6), [])
    t.match(takeReady(raft, true).fetch, { from: 2, to: 3 })
    t.strictSame(committedEntries(raft, 1e6), [])
    t.equal(hasReady(raft, true), false, 'one is out at a time')
    step(raft, { kind: 'fetched', entries: entriesOf(2, 1) })
    t.strictSame(
      committedEntries(raft, 1e6).map(({ index }) => index),
      [2],
    )
    t.strictSame(committedEntries(raft, 1e6), [])
    t.match(takeReady(raft, true).fetch, { from: 3, to: 3 })
    t.end()
  })
  t.test('for looking ahead of what was handed out, which hands out nothing', t => {
    const raft = make({ terms: [1, 1, 1, 1], commit: 3, applied: 1, cached: 1 })
    t.strictSame(peekCommitted(raft, 3, 1e6), [])
    t.match(takeReady(raft, true).fetch, { from: 3, to: 3 })
    step(raft, { kind: 'fetched', entries: entriesOf(3, 1) })
    t.strictSame(
      peekCommitted(raft, 3, 1e6).map(({ index }) => index),
      [3],
    )
    t.strictSame(peekCommitted(raft, 4, 1e6), [], 'not what is not committed')
    t.equal(raft.handed, 1)
    t.strictSame(committedEntries(raft, 1e6), [])
    t.match(takeReady(raft, true).fetch, { from: 2, to: 3 })
    step(raft, { kind: 'fetched', entries: entriesOf(2, 1, 1) })
    t.equal(committedEntries(raft, 1e6).length, 2)
    t.throws(() => peekCommitted(raft, 3, 1e6), /handed out/)
    t.end()
  })
  t.test('what was truncated or purged meanwhile is not used', t => {
    const raft = make({ terms: [1, 1, 1], commit: 3, cached: 0 })
    committedEntries(raft, 1e6)
    takeReady(raft, true)
    step(raft, { kind: 'fetched', entries: entriesOf(1, 7) })
    t.strictSame(committedEntries(raft, 1e6), [])
    t.end()
  })
  t.test('what is truncated after it was fetched is not used', t => {
    const raft = make({ terms: [1, 1, 1], commit: 1, term: 2, cached: 0 })
    committedEntries(raft, 1e6)
    takeReady(raft, true)
    step(raft, { kind: 'fetched', entries: entriesOf(1, 1, 1, 1) })
    receive(raft, 2, 2, append(1, 1, entriesOf(2, 2), 2))
    drain(raft)
    t.strictSame(
      [...committedEntries(raft, 1e6), ...committedEntries(raft, 1e6)].map(({ index, term }) => [
        index,
        term,
      ]),
      [
        [1, 1],
        [2, 2],
      ],
    )
    t.end()
  })
  t.test('a disk that brings nothing is asked again, but not at once', t => {
    const raft = make({ terms: [1, 1, 1], commit: 3, cached: 0 })
    committedEntries(raft, 1e6)
    takeReady(raft, true)
    step(raft, { kind: 'fetched', entries: [] })
    committedEntries(raft, 1e6)
    t.equal(takeReady(raft, true).fetch, null)
    t.equal(nextDue(raft), 100)
    step(raft, { kind: 'tick', now: 100 })
    t.match(takeReady(raft, true).fetch, { from: 1 })
    t.end()
  })
  t.test(
    'slow applying does not fill the memory: what is committed and durable leaves, and is fetched',
    t => {
      const raft = settled({}, { cacheBytesMax: 100 })
      propose(raft, 0, items(20))
      takeReady(raft, true)
      acknowledge(raft, 2, 21)
      acknowledge(raft, 3, 21)
      step(raft, { kind: 'persisted' })
      t.ok(raft.cache.bytes <= 200)
      t.strictSame(committedEntries(raft, 1e6), [])
      t.match(takeReady(raft, true).fetch, { from: 1 })
      t.end()
    },
  )
  t.test('the cache keeps what is not applied, and shrinks below its bound after', t => {
    const raft = settled({}, { cacheBytesMax: 300 })
    propose(raft, 0, items(10))
    drain(raft)
    acknowledge(raft, 2, 11)
    t.equal(raft.cache.first, 1)
    committedEntries(raft, 1e6)
    step(raft, { kind: 'applied', index: 8 })
    t.equal(raft.cache.first, 6)
    t.end()
  })
  t.end()
})

t.test('a start that contradicts itself is refused', t => {
  const wrong: [string, Partial<RaftInitial>][] = [
    ['committed beyond the log', { hardState: { term: 1, vote: rid(0), commit: 9 } }],
    ['applied beyond the log', { applied: 9 }],
    ['log before its base', { base: { index: 9, term: 1 } }],
    ['terms from elsewhere', { termRuns: [{ first: 2, term: 1 }] }],
    ['a configuration beyond the log', { configs: [{ index: 9, config: emptyConfig }] }],
  ]
  for (const [name, change] of wrong)
    t.throws(
      () => createRaft({ ...defaults, id: rid(1) }, { ...initialOf({ terms: [1, 1] }), ...change }),
      { name: 'InvariantError' },
      name,
    )
  t.throws(() => make({}, { electionTimeoutMs: 10 }), /electionTimeoutMs/)
  t.end()
})

t.test(
  'a log of a later term than the hard state: that term, no vote in it, and not a word before it is durable',
  t => {
    const raft = createRaft(
      { ...defaults, id: rid(1) },
      { ...initialOf({ terms: [1, 4] }), hardState: { term: 2, vote: rid(3), commit: 0 } },
    )
    t.match([raft.term, raft.vote], [4, 0])
    receive(raft, 2, 4, append(2, 4))
    const ready = takeReady(raft, true)
    t.strictSame(ready.sendNow, [])
    t.match(ready.persist, { hardState: { term: 4, vote: 0 } })
    t.match(ready.sendAfterPersist, [{ kind: 'appendReply', match: 2 }])
    t.end()
  },
)

t.test('a restart knows what was applied, even when the hard state does not', t => {
  const raft = make({ terms: [1, 1, 1], commit: 1, applied: 2 })
  t.equal(raft.commit, 2)
  t.end()
})
