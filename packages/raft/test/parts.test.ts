import { committedIndex, decodeConfig, encodeConfig, hasQuorum, majority, voteResult } from '@kvorum/raft'
import type { Message, MessageBody, MessageKind, Role } from '@kvorum/raft'
import {
  answerHeartbeat,
  createRaft,
  hasReady,
  noteHeartbeatReply,
  propose,
  readIndex,
  step,
  takeMessages,
  takeReady,
  transferLeadership,
} from '@kvorum/raft'
import type { Entry, GroupConfig } from '@kvorum/model'
import {
  cacheAt,
  cacheCount,
  cachePurge,
  cachePush,
  cacheShrink,
  cacheSlice,
  cacheTruncate,
  createCache,
} from '#src/cache.js'
import { nextBelow, seedRandom } from '#src/random.js'
import { extendRuns, lastNotAbove, purgeRuns, runTerm, truncateRuns } from '#src/termRuns.js'
import type { TermRun } from '#src/termRuns.js'
import t from 'tap'
import { configOf, defaults, rid } from './lab.js'

/** The small parts, each against the simplest thing that does the same; and the table of role by message. */

const random = seedRandom(42)
const below = (bound: number): number => nextBelow(random, bound)

t.test('term runs say what a list of terms says', t => {
  for (let round = 0; round < 300; round++) {
    const terms: number[] = []
    const runs: TermRun[] = []
    let base = 0
    for (let at = 0; at < 30; at++) {
      const last = base + terms.length
      const dice = below(10)
      if (dice < 7) {
        const term = (terms[terms.length - 1] ?? 1) + (below(3) === 0 ? 1 + below(2) : 0)
        terms.push(term)
        extendRuns(runs, last + 1, term)
      } else if (dice < 9 && terms.length > 0) {
        const cut = base + 1 + below(terms.length)
        terms.length = cut - base - 1
        truncateRuns(runs, cut)
      } else {
        const drop = below(terms.length + 1)
        purgeRuns(runs, base + drop, last)
        terms.splice(0, drop)
        base += drop
      }
    }
    terms.forEach((term, at) => t.equal(runTerm(runs, base + 1 + at), term))
    t.equal(runTerm(runs, base), null)
    const from = base + 1 + below(terms.length + 1)
    const limit = below(8)
    let slow = Math.min(from, base + terms.length)
    while (slow > base && (terms[slow - base - 1] as number) > limit) slow--
    if (terms.length > 0) t.equal(lastNotAbove(runs, Math.min(from, base + terms.length), limit, base), slow)
  }
  t.end()
})

t.test('the cache holds a window of the log', t => {
  const entry = (index: number): Entry => ({
    index,
    term: 1,
    kind: 'normal',
    time: 0,
    data: new Uint8Array(index % 7),
  })
  for (let round = 0; round < 50; round++) {
    const cache = createCache([], 0)
    let first = 1
    let last = 0
    for (let at = 0; at < 800; at++) {
      const dice = below(100)
      if (dice < 85) cachePush(cache, entry(++last))
      else if (dice < 90 && last >= first) {
        const cut = first + below(last - first + 1)
        cacheTruncate(cache, cut)
        last = cut - 1
      } else if (dice < 95 && last >= first) {
        first += below(last - first + 1)
        cachePurge(cache, first - 1)
      } else {
        cacheShrink(cache, 2000, last)
        t.ok(cache.bytes <= 2000)
        first = cache.first
      }
      if (first > last) first = cache.first
    }
    t.equal(cacheCount(cache), last - first + 1)
    const held = cacheSlice(cache, first, last, Infinity)
    t.strictSame(
      held.map(({ index }) => index),
      Array.from({ length: last - first + 1 }, (_, at) => first + at),
    )
    t.equal(
      cache.bytes,
      held.reduce((sum, { data }) => sum + data.length + 48, 0),
    )
    t.equal(cacheAt(cache, first - 1), undefined)
  }
  t.end()
})

t.test('a slice is cut by bytes and never empty', t => {
  const entries = [1, 2, 3].map((index): Entry => ({
    index,
    term: 1,
    kind: 'normal',
    time: 0,
    data: new Uint8Array(52),
  }))
  const cache = createCache(entries, 3)
  t.equal(cacheSlice(cache, 1, 3, 1).length, 1)
  t.equal(cacheSlice(cache, 1, 3, 200).length, 2)
  t.equal(cacheSlice(cache, 1, 2, 1000).length, 2)
  t.strictSame(cacheSlice(cache, 0, 3, 1000), [])
  t.end()
})

t.test('quorums against counting', t => {
  t.strictSame([1, 2, 3, 4, 5].map(majority), [1, 2, 2, 3, 3])
  const counts = (voters: readonly number[], yes: (id: number) => boolean): boolean =>
    voters.length === 0 || voters.filter(yes).length > voters.length / 2
  for (let round = 0; round < 3000; round++) {
    const ids = [1, 2, 3, 4, 5, 6, 7].map(rid)
    const config: GroupConfig = {
      ...configOf([]),
      voters: ids.filter(() => below(2) === 0),
      outgoing: below(2) === 0 ? [] : ids.filter(() => below(2) === 0),
    }
    const match = new Map(ids.map(id => [id, below(5)]))
    const both = (yes: (id: number) => boolean): boolean =>
      config.voters.length + config.outgoing.length > 0 &&
      counts(config.voters, yes) &&
      counts(config.outgoing, yes)
    const reached = [4, 3, 2, 1, 0].find(index => both(id => (match.get(rid(id)) ?? 0) >= index)) ?? 0
    t.equal(
      committedIndex(config, id => match.get(id) ?? 0),
      reached,
    )
    const set = new Set(ids.filter(() => below(2) === 0))
    t.equal(
      hasQuorum(config, set),
      both(id => set.has(rid(id))),
    )
    const votes = new Map(ids.filter(() => below(3) > 0).map(id => [id, below(2) === 0]))
    const won = both(id => votes.get(rid(id)) === true)
    const open = both(id => votes.get(rid(id)) !== false)
    t.equal(voteResult(config, votes), won ? 'won' : open ? 'pending' : 'lost')
  }
  t.end()
})

t.test('a configuration has one encoding, and only that is read', t => {
  const config: GroupConfig = {
    voters: [1, 2, 300].map(rid),
    outgoing: [2, 5].map(rid),
    learners: [70_000].map(rid),
    learnersNext: [5].map(rid),
    replicas: [1, 2, 5, 300, 70_000].map(id => ({
      id: rid(id),
      node: (0xffff_ffff_ffff_0000n + BigInt(id)) as never,
    })),
  }
  config.replicas.slice(4).forEach(replica => Object.assign(replica, { node: 0xffff_ffff_ffff_ffffn }))
  const bytes = encodeConfig(config)
  t.strictSame(decodeConfig(bytes), config)
  for (let length = 0; length < bytes.length; length++)
    t.throws(() => decodeConfig(bytes.subarray(0, length)), { name: 'RangeError' })
  t.throws(() => decodeConfig(Uint8Array.from([...bytes, 0])), /too many/)
  t.throws(() => decodeConfig(Uint8Array.from([2, ...bytes.subarray(1)])), /version 2/)
  t.throws(() => decodeConfig(Uint8Array.from([1, 2, 5, 5, 0, 0, 0, 0])), /ascending/)
  t.throws(() => decodeConfig(Uint8Array.from([1, 0x80, 0, 0, 0, 0, 0])), /needless/)
  // The format is on disks: this is what version 1 is.
  t.equal(
    Buffer.from(encodeConfig(configOf([1, 2], [3]))).toString('hex'),
    '01' +
      '020102' +
      '00' +
      '0103' +
      '00' +
      '03' +
      '010000000000000001' +
      '020000000000000002' +
      '030000000000000003',
  )
  t.end()
})

/** A group of three in term 2, replica 1 in the role; log: one entry of term 1, committed; a leader adds its no-op. */
function inRole(role: Role): ReturnType<typeof createRaft> {
  const entry: Entry = { index: 1, term: 1, kind: 'normal', time: 0, data: new Uint8Array(0) }
  const raft = createRaft(
    { ...defaults, id: rid(1) },
    {
      now: 0,
      base: {
        index: 0,
        term: 0,
      },
      config: configOf([1, 2, 3]),
      configIndex: 0,
      applied: 0,
      termRuns: [
        {
          first: 1,
          term: 1,
        },
      ],
      lastIndex: 1,
      configs: [],
      entries: [entry],
      lastTime: 0,
      hardState: {
        term: role === 'candidate' || role === 'leader' ? 1 : 2,
        vote: rid(0),
        commit: 1,
      },
      mayVote: true,
      stateLost: false,
    },
  )
  const hear = (message: MessageBody & { term: number }): void =>
    step(raft, { kind: 'receive', now: 0, message: { from: rid(2), to: rid(1), ...message } })
  if (role === 'follower') {
    hear({ kind: 'heartbeat', term: 2, commit: 1, round: 0 })
  } else step(raft, { kind: 'campaign', now: 0 })
  if (role === 'candidate' || role === 'leader') hear({ kind: 'preVoteReply', term: 2, granted: true })
  takeAll(raft)
  if (role === 'leader') hear({ kind: 'voteReply', term: 2, granted: true })
  takeAll(raft)
  if (raft.role !== role) throw new Error(`is ${raft.role}, not ${role}`)
  return raft
}

function takeAll(raft: ReturnType<typeof createRaft>): Message[] {
  const ready = takeReady(raft, true)
  if (ready.persist) step(raft, { kind: 'persisted' })
  return [...ready.sendNow, ...ready.sendAfterPersist]
}

const bodies: { readonly [Kind in MessageKind]: MessageBody & { kind: Kind } } = {
  preVote: { kind: 'preVote', lastIndex: 9, lastTerm: 9 },
  preVoteReply: { kind: 'preVoteReply', granted: true },
  vote: { kind: 'vote', lastIndex: 9, lastTerm: 9, transfer: false },
  voteReply: { kind: 'voteReply', granted: true },
  append: { kind: 'append', prevIndex: 1, prevTerm: 1, entries: [], commit: 1 },
  appendReply: { kind: 'appendReply', prevIndex: 1, rejected: false, match: 2 },
  heartbeat: { kind: 'heartbeat', commit: 1, round: 3 },
  heartbeatReply: { kind: 'heartbeatReply', round: 0, needSnapshot: false },
  snapshot: { kind: 'snapshot', index: 7, snapshotTerm: 2, config: configOf([1, 2, 3]) },
  readIndex: { kind: 'readIndex', context: 5 },
  readIndexReply: { kind: 'readIndexReply', context: 5, index: 1 },
  timeoutNow: { kind: 'timeoutNow' },
}

/**
 * From 2, in term 1 | 2 (ours) | 3: role and term afterwards and what is answered; `.` is nothing at all, `!` a
 * broken invariant. A granted preVoteReply of our next term is about our own question.
 */
const table: { readonly [Kind in MessageKind]: { readonly [Of in Role]: string } } = {
  preVote: {
    follower: 'preVoteReply no | preVoteReply no | .',
    preCandidate: 'preVoteReply no | preVoteReply no | preVoteReply yes',
    candidate: 'preVoteReply no | preVoteReply no | preVoteReply yes',
    leader: 'preVoteReply no | preVoteReply no | .',
  },
  preVoteReply: {
    follower: '. | . | .',
    preCandidate: '. | . | candidate 3 vote vote',
    candidate: '. | . | .',
    leader: '. | . | .',
  },
  vote: {
    follower: 'voteReply no | voteReply no | .',
    preCandidate: 'voteReply no | voteReply yes | follower 3 voteReply yes',
    candidate: 'voteReply no | voteReply no | follower 3 voteReply yes',
    leader: 'voteReply no | voteReply no | .',
  },
  voteReply: {
    follower: '. | . | follower 3',
    preCandidate: '. | . | follower 3',
    candidate: '. | leader 2 append append | follower 3',
    leader: '. | . | follower 3',
  },
  append: {
    follower: 'heartbeatReply | appendReply | follower 3 appendReply',
    preCandidate: 'heartbeatReply | follower 2 appendReply | follower 3 appendReply',
    candidate: 'heartbeatReply | follower 2 appendReply | follower 3 appendReply',
    leader: 'heartbeatReply | ! | follower 3 appendReply',
  },
  appendReply: {
    follower: '. | . | follower 3',
    preCandidate: '. | . | follower 3',
    candidate: '. | . | follower 3',
    leader: '. | append | follower 3',
  },
  heartbeat: {
    follower: 'heartbeatReply | heartbeatReply | follower 3 heartbeatReply',
    preCandidate: 'heartbeatReply | follower 2 heartbeatReply | follower 3 heartbeatReply',
    candidate: 'heartbeatReply | follower 2 heartbeatReply | follower 3 heartbeatReply',
    leader: 'heartbeatReply | ! | follower 3 heartbeatReply',
  },
  heartbeatReply: {
    follower: '. | . | follower 3',
    preCandidate: '. | . | follower 3',
    candidate: '. | . | follower 3',
    leader: '. | append | follower 3',
  },
  snapshot: {
    follower: 'heartbeatReply | install | follower 3 install',
    preCandidate: 'heartbeatReply | follower 2 install | follower 3 install',
    candidate: 'heartbeatReply | follower 2 install | follower 3 install',
    leader: 'heartbeatReply | ! | follower 3 install',
  },
  readIndex: {
    follower: '. | readIndexReply | follower 3 readIndexReply',
    preCandidate: '. | readIndexReply | follower 3 readIndexReply',
    candidate: '. | readIndexReply | follower 3 readIndexReply',
    leader: '. | . | follower 3 readIndexReply',
  },
  readIndexReply: {
    follower: '. | . | follower 3',
    preCandidate: '. | . | follower 3',
    candidate: '. | . | follower 3',
    leader: '. | . | follower 3',
  },
  timeoutNow: {
    follower: '. | candidate 3 vote vote | follower 3',
    preCandidate: '. | . | follower 3',
    candidate: '. | . | follower 3',
    leader: '. | . | follower 3',
  },
}

function outcome(role: Role, kind: MessageKind, term: number): string {
  const raft = inRole(role)
  try {
    step(raft, { kind: 'receive', now: 0, message: { from: rid(2), to: rid(1), term, ...bodies[kind] } })
  } catch (error) {
    if ((error as Error).name === 'InvariantError') return '!'
    throw error
  }
  const ready = takeReady(raft, true)
  const state = raft.role === role && raft.term === 2 ? [] : [raft.role, raft.term]
  const sent = [...ready.sendNow, ...ready.sendAfterPersist].map(message =>
    'granted' in message ? `${message.kind} ${message.granted ? 'yes' : 'no'}` : message.kind,
  )
  return [...state, ...sent, ...(ready.install ? ['install'] : [])].join(' ') || '.'
}

t.test('every role and every message', t => {
  for (const kind of Object.keys(bodies) as MessageKind[])
    for (const role of ['follower', 'preCandidate', 'candidate', 'leader'] as const)
      t.equal(
        [1, 2, 3].map(term => outcome(role, kind, term)).join(' | '),
        table[kind][role],
        `${role}: ${kind}`,
      )
  t.end()
})

t.test('events that come at a wrong time are harmless or refused', t => {
  for (const role of ['follower', 'preCandidate', 'candidate', 'leader'] as const) {
    const raft = inRole(role)
    step(raft, { kind: 'unreachable', to: rid(9) })
    step(raft, { kind: 'snapshotSent', to: rid(2), ok: true })
    step(raft, { kind: 'applied', index: 0 })
    step(raft, { kind: 'tick', now: 0 })
    step(raft, { kind: 'admitted' })
    t.equal(raft.role, role)
    t.throws(() => step(raft, { kind: 'persisted' }), /never begun/)
    t.throws(() => step(raft, { kind: 'fetched', entries: [] }), /nobody asked/)
    t.throws(() => step(raft, { kind: 'applied', index: 9 }), /handed out/)
  }
  t.throws(() => propose(inRole('leader'), 0, []), /nothing proposed/)
  t.end()
})

t.test('takeMessages is takeReady where that has only messages to give', t => {
  const roles: readonly Role[] = ['follower', 'preCandidate', 'candidate', 'leader']
  let taken = 0
  for (const role of roles) {
    for (const body of Object.values<MessageBody>(bodies)) {
      for (const term of [1, 2, 3]) {
        const [raft, twin] = [inRole(role), inRole(role)]
        const event = {
          kind: 'receive',
          now: 1,
          message: { from: rid(2), to: rid(1), term, ...body } as Message,
        } as const
        try {
          step(raft, event)
        } catch {
          continue
        }
        step(twin, event)
        const messages = takeMessages(raft)
        const ready = takeReady(twin, true)
        if (messages === null) t.strictSame(takeReady(raft, true), ready, 'nothing was taken')
        else {
          taken++
          const nothing = { persist: null, sendAfterPersist: [], reads: [], fetch: null, snapshots: [] }
          t.strictSame(ready, { ...nothing, sendNow: messages, install: null, changed: false })
          t.notOk(hasReady(raft, true), 'and nothing is left')
        }
      }
    }
  }
  t.ok(taken > 40, `${taken} times`)
  t.end()
})

t.test('the short way of heartbeats is the long one', t => {
  const roles: readonly Role[] = ['follower', 'preCandidate', 'candidate', 'leader']
  let short = 0
  for (const role of roles) {
    for (const body of Object.values<MessageBody>(bodies)) {
      for (const term of [1, 2, 3]) {
        for (const prepare of [() => undefined, following, replicating, reading, transferring]) {
          const [raft, twin] = [inRole(role), inRole(role)]
          for (const one of [raft, twin]) {
            prepare(one)
            takeAll(one)
          }
          const message = { from: rid(2), to: rid(1), term, ...body } as Message
          const before = structuredClone(raft)
          const answer = answerHeartbeat(raft, 7, message)
          const noted = noteHeartbeatReply(raft, 7, message)
          if (answer === null && !noted) {
            t.strictSame(structuredClone(raft), before, 'nothing was changed')
            continue
          }
          short++
          step(twin, { kind: 'receive', now: 7, message })
          t.strictSame(takeAll(twin), answer === null ? [] : [answer])
          t.strictSame(structuredClone(raft), structuredClone(twin), `${role} ${body.kind}`)
        }
      }
    }
  }
  t.ok(short >= 7, `${short} times`)
  t.end()
})

type AnyRaft = ReturnType<typeof createRaft>
function from2(raft: AnyRaft, body: MessageBody): void {
  const message = { from: rid(2), to: rid(1), term: 2, ...body } as Message
  step(raft, { kind: 'receive', now: 2, message })
}

/** Knows its leader. */
function following(raft: AnyRaft): void {
  if (raft.role !== 'leader') from2(raft, bodies.heartbeat)
}

/** The follower has everything. */
function replicating(raft: AnyRaft): void {
  takeAll(raft)
  from2(raft, bodies.appendReply)
  takeAll(raft)
  from2(raft, bodies.appendReply)
}

/** A round is under way. */
function reading(raft: AnyRaft): void {
  replicating(raft)
  readIndex(raft, 3, 1)
}

function transferring(raft: AnyRaft): void {
  replicating(raft)
  transferLeadership(raft, 3, rid(2))
}
