import t from 'tap'
import {
  InvariantSet,
  quorumsIntersect,
  StoreHashes,
  Violation,
  type At,
  type EntryMark,
  type InvariantId,
  type Observation,
  type Positions,
} from '@kvorum/sim'
import {
  groupId,
  incarnation,
  leaseId,
  replicaId,
  utf8,
  type GroupConfig,
  type KeyValue,
  type ReplicaId,
  type WatchEvent,
} from '@kvorum/model'
import type { Message, MessageBody } from '@kvorum/raft'

const GROUP = groupId(1)
const at = (replica: number): At => ({ node: replica - 1, group: GROUP, replica: replicaId(replica) })
const mark = (index: number, term: number, hash = 1000 * term + index): EntryMark => ({ index, term, hash })

const config = (voters: readonly number[], outgoing: readonly number[] = []): GroupConfig => ({
  voters: voters.map(replicaId),
  outgoing: outgoing.map(replicaId),
  learners: [],
  learnersNext: [],
  replicas: [],
})

const positions = (more: Partial<Positions> = {}): Positions => ({
  term: 0,
  vote: replicaId(0),
  purged: 0,
  snapshot: 0,
  applied: 0,
  commit: 0,
  last: 0,
  configIndex: 0,
  ...more,
})

/** A story of observations in short words, for a group of three (or the given voters). */
class Story {
  readonly set: InvariantSet
  readonly #now = new Map<number, Positions>()

  constructor(voters: readonly number[] = [1, 2, 3], more: readonly StoreHashes[] = []) {
    this.set = new InvariantSet({ dense: true, more })
    for (const replica of voters) this.start(replica, { voters })
  }

  see(...observations: Observation[]): this {
    for (const observation of observations) this.set.observe(observation)
    return this
  }

  start(
    replica: number,
    more: {
      voters?: readonly number[]
      life?: bigint
      mayVote?: boolean
      damaged?: boolean
      entries?: readonly EntryMark[]
      positions?: Partial<Positions>
      node?: number
      storeAhead?: number
    } = {},
  ): this {
    const entries = more.entries ?? []
    this.#now.set(replica, positions({ last: entries.length, ...more.positions }))
    return this.see({
      kind: 'started',
      at: { ...at(replica), node: more.node ?? replica - 1 },
      incarnation: incarnation(more.life ?? BigInt(replica)),
      mayVote: more.mayVote ?? true,
      damaged: more.damaged ?? false,
      positions: this.#now.get(replica)!,
      storeAhead: more.storeAhead ?? null,
      base: { index: 0, term: 0 },
      entries,
      configs: [{ index: 0, config: config(more.voters ?? [1, 2, 3]) }],
    })
  }

  stop(replica: number): this {
    return this.see({ kind: 'stopped', at: at(replica) })
  }

  move(replica: number, more: Partial<Positions>): this {
    const next = { ...this.#now.get(replica)!, ...more }
    this.#now.set(replica, next)
    return this.see({ kind: 'positions', at: at(replica), positions: next })
  }

  /** In memory and, unless told otherwise, durable. */
  append(
    replica: number,
    entries: readonly EntryMark[],
    how: { durable?: boolean; proposed?: boolean } = {},
  ): this {
    this.see({
      kind: 'appended',
      at: at(replica),
      entries,
      configs: [],
      proposed: how.proposed ?? false,
      commit: this.#now.get(replica)!.commit,
    })
    return how.durable === false ? this : this.durable(replica, { entries })
  }

  durable(
    replica: number,
    what: { entries?: readonly EntryMark[]; term?: number; vote?: number; commit?: number },
  ): this {
    const { term, vote = 0, commit = 0, entries = [] } = what
    const hardState = term === undefined ? null : { term, vote: replicaId(vote), commit }
    return this.see({ kind: 'durable', at: at(replica), hardState, entries, reset: null })
  }

  /** Durable votes of the voters, then the leadership. */
  elect(leader: number, term: number, voters: readonly number[]): this {
    for (const voter of voters) {
      this.durable(voter, { term, vote: leader })
      this.move(voter, { term, vote: replicaId(leader) })
    }
    return this.see({ kind: 'leader', at: at(leader), term })
  }

  send(from: number, to: number, term: number, body: MessageBody): this {
    const message: Message = { from: replicaId(from), to: replicaId(to), term, ...body }
    return this.see({ kind: 'sent', at: at(from), message })
  }

  apply(replica: number, entry: EntryMark, digest = `state ${entry.index}`): this {
    return this.see({ kind: 'applied', at: at(replica), entry, digest })
  }
}

/** Runs a good and a bad end of one story: the first must pass, the second must break exactly this invariant. */
function pair(t: Tap, id: InvariantId, name: string, good: () => unknown, bad: () => unknown): void {
  t.doesNotThrow(good, `${id} ${name}: holds`)
  try {
    bad()
    t.fail(`${id} ${name}: not noticed`)
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    t.equal(error.id, id, `${name}: ${error.message}`)
    t.ok(Object.keys(error.facts).length > 0)
  }
}

type Tap = Pick<typeof t, 'doesNotThrow' | 'fail' | 'equal' | 'ok'>

/** Leader 1 of term 1 has replicated entry 1 to replica 2. */
const replicated = (): Story => {
  const story = new Story().elect(1, 1, [1, 2])
  return story.append(1, [mark(1, 1)], { proposed: true }).append(2, [mark(1, 1)])
}

const committed = (): Story => replicated().move(1, { last: 1, commit: 1 }).move(2, { last: 1, commit: 1 })

void t.test('elections', async t => {
  const elected = (): Story => new Story().elect(1, 1, [1, 2])
  pair(
    t,
    'I1',
    'one leader per term',
    () => elected().elect(3, 2, [3, 2]),
    () => elected().see({ kind: 'leader', at: at(3), term: 1 }),
  )
  pair(
    t,
    'I13',
    'elected by durable votes of a quorum',
    () => new Story().elect(1, 1, [1, 3]),
    () => new Story().elect(1, 1, [1]),
  )
  pair(
    t,
    'I13',
    'learners and strangers do not elect',
    () => new Story([1, 2]).elect(1, 1, [1, 2]),
    () => new Story([1, 2]).start(3, { voters: [1, 2] }).elect(1, 1, [1, 3]),
  )
  pair(
    t,
    'I4',
    'a leader holds what was committed before',
    () => committed().elect(2, 2, [2, 3]),
    () => committed().elect(3, 2, [3, 2]),
  )
  t.doesNotThrow(() => {
    const story = committed()
      .elect(2, 3, [2, 3])
      .append(2, [mark(2, 3)])
      .append(3, [mark(1, 1), mark(2, 3)])
    story.move(2, { last: 2, commit: 2 }).durable(1, { term: 2, vote: 1 })
  }, 'a later term is no promise to an earlier one')
})

void t.test('logs', async t => {
  pair(
    t,
    'I2',
    'a leader only appends',
    () => replicated().append(1, [mark(2, 1)], { proposed: true }),
    () => replicated().append(1, [mark(1, 1)], { proposed: true }),
  )
  pair(
    t,
    'I3',
    'one entry per index and term',
    () => replicated().append(3, [mark(1, 1)]),
    () => replicated().append(3, [mark(1, 1, 99)]),
  )
  pair(
    t,
    'I3',
    'and one past',
    () =>
      replicated()
        .append(2, [mark(2, 2)])
        .append(1, [mark(2, 1)]),
    () =>
      replicated()
        .append(2, [mark(2, 3)])
        .append(3, [mark(1, 2), mark(2, 3)]),
  )
  pair(
    t,
    'I3',
    'also for what a restart finds',
    () =>
      replicated()
        .stop(2)
        .start(2, { entries: [mark(1, 1)], positions: { term: 1, vote: replicaId(1) } }),
    () =>
      replicated()
        .stop(2)
        .start(2, { entries: [mark(1, 1, 5)], damaged: true, mayVote: false }),
  )
})

void t.test('commits', async t => {
  pair(
    t,
    'I8',
    'durable on a quorum',
    () => committed(),
    () =>
      replicated()
        .append(1, [mark(2, 1)], { proposed: true })
        .append(2, [mark(2, 1)], { durable: false })
        .move(1, { last: 2, commit: 2 }),
  )
  pair(
    t,
    'I8',
    'the leader counts itself after its own sync',
    () =>
      new Story([1])
        .elect(1, 1, [1])
        .append(1, [mark(1, 1)])
        .move(1, { last: 1, commit: 1 }),
    () =>
      new Story([1])
        .elect(1, 1, [1])
        .append(1, [mark(1, 1)], { durable: false })
        .move(1, { last: 1, commit: 1 }),
  )
  pair(
    t,
    'I8',
    'only entries of its own term',
    () =>
      replicated()
        .elect(2, 2, [2, 3])
        .append(2, [mark(2, 2)])
        .append(3, [mark(1, 1), mark(2, 2)])
        .move(2, { last: 2, commit: 2 }),
    () =>
      replicated()
        .elect(2, 2, [2, 3])
        .append(3, [mark(1, 1)])
        .move(2, { last: 1, commit: 1 }),
  )
  pair(
    t,
    'I9',
    'committed for ever',
    () =>
      committed()
        .append(3, [mark(1, 1)])
        .move(3, { term: 1, last: 1, commit: 1 }),
    () =>
      committed()
        .append(3, [mark(1, 2)])
        .move(3, { term: 2, last: 1, commit: 1 }),
  )
  pair(
    t,
    'I9',
    'what is committed is in the log',
    () => committed(),
    () => committed().move(3, { term: 1, last: 1, commit: 1 }),
  )
  pair(
    t,
    'I5',
    'one entry per applied index',
    () => committed().apply(1, mark(1, 1)).apply(2, mark(1, 1)),
    () => committed().apply(1, mark(1, 1)).apply(2, mark(1, 2)),
  )
  pair(
    t,
    'I5',
    'and one state after it',
    () => committed().apply(1, mark(1, 1)),
    () => committed().apply(1, mark(1, 1)).apply(2, mark(1, 1), 'another state'),
  )
})

void t.test('joint configurations commit with both halves', async t => {
  const joint = (durableAt: readonly number[]): Story => {
    const story = new Story([1, 2, 3, 4, 5])
    story
      .elect(1, 1, [1, 2, 3])
      .append(1, [mark(1, 1)], { proposed: true })
      .append(2, [mark(1, 1)])
      .append(3, [mark(1, 1)])
    story.move(1, { last: 1, commit: 1 }).see({
      kind: 'appended',
      at: at(1),
      entries: [mark(2, 1)],
      proposed: true,
      commit: 1,
      configs: [{ index: 2, config: config([1, 4, 5], [1, 2, 3, 4, 5]) }],
    })
    for (const replica of durableAt) story.durable(replica, { entries: [mark(1, 1), mark(2, 1)] })
    return story.move(1, { last: 2, commit: 2, configIndex: 2 })
  }
  pair(
    t,
    'I8',
    'both halves',
    () => joint([1, 4, 2]),
    () => joint([1, 2, 3]),
  )
  const proposing = (durableAt: readonly number[], between: Partial<Positions>): Story => {
    const story = new Story([1, 2, 3]).elect(1, 1, [1, 2, 3])
    for (const replica of durableAt) story.durable(replica, { entries: [mark(1, 1)] })
    return story
      .see({ kind: 'appended', at: at(1), entries: [mark(1, 1)], configs: [], proposed: true, commit: 0 })
      .move(1, { last: 1 })
      .see({
        kind: 'appended',
        at: at(1),
        entries: [mark(2, 1)],
        configs: [{ index: 2, config: config([1, 3], [1, 2, 3]) }],
        proposed: true,
        commit: 1,
      })
      .move(1, { last: 2, configIndex: 2, ...between })
      .move(1, { commit: 1 })
  }
  pair(
    t,
    'I8',
    'by the configuration it had, where the next one is proposed in the same turn',
    () => proposing([1, 2], { commit: 1 }),
    () => proposing([1, 2], {}),
  )
})

void t.test('positions', async t => {
  const base = { term: 3, vote: replicaId(2), last: 9, commit: 7, applied: 6, snapshot: 4, purged: 2 }
  const story = (): Story => {
    const entries = Array.from({ length: 9 }, (_, i) => mark(i + 1, 1))
    return new Story().append(1, entries).move(1, base)
  }
  for (const name of ['term', 'purged', 'snapshot', 'applied', 'commit'] as const) {
    pair(
      t,
      'I6',
      `${name} does not go back`,
      () => story().move(1, { [name]: base[name] }),
      () => story().move(1, { [name]: base[name] - 1 }),
    )
  }
  pair(
    t,
    'I6',
    'a vote is not changed within its term',
    () => story().move(1, { term: 4, vote: replicaId(3) }),
    () => story().move(1, { vote: replicaId(3) }),
  )
  pair(
    t,
    'I6',
    'a restart finds the durable vote',
    () =>
      new Story()
        .durable(1, { term: 2, vote: 3 })
        .stop(1)
        .start(1, { positions: { term: 2, vote: replicaId(3) } }),
    () =>
      new Story()
        .durable(1, { term: 2, vote: 3 })
        .stop(1)
        .start(1, { positions: { term: 2 } }),
  )
  pair(
    t,
    'I6',
    'a restart finds the durable state store',
    () =>
      committed()
        .see({ kind: 'storeDurable', at: at(1), applied: 1 })
        .stop(1)
        .start(1, {
          entries: [mark(1, 1)],
          positions: { term: 1, vote: replicaId(1), commit: 1, applied: 1, snapshot: 1 },
        }),
    () =>
      committed()
        .see({ kind: 'storeDurable', at: at(1), applied: 1 })
        .stop(1)
        .start(1, { entries: [mark(1, 1)], positions: { term: 1, vote: replicaId(1), commit: 1 } }),
  )
  const ahead = { entries: [mark(1, 1)], positions: { term: 1, vote: replicaId(1), commit: 1 } }
  const restarted = (storeAhead: number): Story =>
    committed()
      .see({ kind: 'storeDurable', at: at(1), applied: 7 })
      .stop(1)
      .start(1, { ...ahead, storeAhead })
  pair(
    t,
    'I6',
    'a restart finds the snapshot that the log has not heard of',
    () => restarted(7),
    () => restarted(6),
  )
  for (const [name, value] of [
    ['purged', 5],
    ['snapshot', 7],
    ['applied', 8],
    ['last', 6],
  ] as const) {
    pair(
      t,
      'I7',
      `${name} keeps its place in the order`,
      () => story(),
      () => story().move(1, { [name]: value }),
    )
  }
})

void t.test('no message claims what is not durable', async t => {
  const voter = (): Story => new Story().durable(2, { term: 2, vote: 1, entries: [mark(1, 1)] })
  const vote = { kind: 'vote', lastIndex: 0, lastTerm: 0, transfer: false } as const
  pair(
    t,
    'I10',
    'a granted vote',
    () => voter().send(2, 1, 2, { kind: 'voteReply', granted: true }),
    () => voter().send(2, 3, 2, { kind: 'voteReply', granted: true }),
  )
  pair(
    t,
    'I10',
    'a term',
    () => voter().send(2, 1, 2, { kind: 'heartbeatReply', round: 1, needSnapshot: false }),
    () => voter().send(2, 1, 3, { kind: 'heartbeatReply', round: 1, needSnapshot: false }),
  )
  pair(
    t,
    'I10',
    'the vote of a candidate for itself',
    () => new Story().durable(1, { term: 2, vote: 1 }).send(1, 2, 2, vote),
    () => voter().send(2, 1, 2, vote),
  )
  pair(
    t,
    'I10',
    'a match index',
    () => voter().send(2, 1, 2, { kind: 'appendReply', prevIndex: 0, rejected: false, match: 1 }),
    () => voter().send(2, 1, 2, { kind: 'appendReply', prevIndex: 0, rejected: false, match: 2 }),
  )
  t.doesNotThrow(
    () => voter().send(2, 1, 9, { kind: 'preVote', lastIndex: 1, lastTerm: 1 }),
    'a pre-vote claims nothing',
  )
})

void t.test('restarts', async t => {
  const found = { term: 1, vote: replicaId(1) }
  pair(
    t,
    'I11',
    'durable entries are there again',
    () =>
      replicated()
        .stop(2)
        .start(2, { entries: [mark(1, 1)], positions: found }),
    () => replicated().stop(2).start(2, { positions: found }),
  )
  const restartedWith = (term: number): Story =>
    replicated()
      .append(2, [mark(2, 3)])
      .stop(2)
      .start(2, {
        entries: [mark(1, 1), mark(2, term)],
        positions: { ...found, term: 4, vote: replicaId(0) },
      })
  pair(
    t,
    'I11',
    'in place of a durable entry that of a later leader, whose append was under way',
    () => restartedWith(4),
    () => restartedWith(2),
  )
  pair(
    t,
    'I11',
    'a damaged log does not vote',
    () => replicated().stop(2).start(2, { positions: found, damaged: true, mayVote: false }),
    () => replicated().stop(2).start(2, { positions: found, damaged: true }),
  )
  const ack = { kind: 'appendReply', prevIndex: 0, rejected: false, match: 0 } as const
  pair(
    t,
    'I13',
    'who may not vote acknowledges nothing',
    () =>
      new Story()
        .start(4, { mayVote: false })
        .see({ kind: 'admitted', at: at(4) })
        .send(4, 1, 0, ack),
    () => new Story().start(4, { mayVote: false }).send(4, 1, 0, ack),
  )
  pair(
    t,
    'I13',
    'the dead do not speak',
    () => new Story().send(2, 1, 0, ack),
    () => new Story().see({ kind: 'destroyed', at: at(2) }).send(2, 1, 0, ack),
  )
  pair(
    t,
    'I14',
    'one instance at a time',
    () => new Story().stop(2).start(2),
    () => new Story().start(2),
  )
  pair(
    t,
    'I14',
    'one replica of a group on a node',
    () => new Story().stop(2).start(7, { node: 1 }),
    () => new Story().start(7, { node: 1 }),
  )
  pair(
    t,
    'I14',
    'an id is not used by another life',
    () => new Story().stop(2).start(2, { life: 2n }),
    () => new Story().stop(2).start(2, { life: 9n }),
  )
  pair(
    t,
    'I14',
    'a destroyed replica stays destroyed',
    () => new Story().see({ kind: 'destroyed', at: at(2) }).start(8, { node: 1 }),
    () => new Story().see({ kind: 'destroyed', at: at(2) }).start(2),
  )
})

void t.test('configurations', async t => {
  const propose = (
    story: Story,
    index: number,
    voters: number[],
    outgoing: number[],
    commit: number,
  ): Story =>
    story.see({
      kind: 'appended',
      at: at(1),
      entries: [mark(index, 1)],
      proposed: true,
      commit,
      configs: [{ index, config: config(voters, outgoing) }],
    })
  const elected = (): Story => new Story().elect(1, 1, [1, 2])
  const story = (): Story =>
    elected().see({
      kind: 'appended',
      at: at(1),
      entries: [mark(1, 1)],
      proposed: true,
      commit: 0,
      configs: [],
    })
  pair(
    t,
    'I12',
    'quorums of neighbours meet',
    () => propose(story(), 2, [3, 4, 5], [1, 2, 3], 1),
    () => propose(story(), 2, [3, 4, 5], [], 1),
  )
  pair(
    t,
    'I12',
    'one change at a time',
    () => propose(propose(story(), 2, [1, 2, 4], [1, 2, 3], 1), 3, [1, 2, 4], [], 2),
    () => propose(propose(story(), 2, [1, 2, 4], [1, 2, 3], 1), 3, [1, 2, 4], [], 1),
  )
  pair(
    t,
    'I12',
    'none before an entry of the term is committed',
    () => propose(story(), 2, [1, 2, 4], [1, 2, 3], 1),
    () => propose(story(), 2, [1, 2, 4], [1, 2, 3], 0),
  )
  pair(
    t,
    'I12',
    'the one in force comes from the log',
    () => propose(story(), 2, [1, 2, 4], [1, 2, 3], 1).move(1, { last: 2, configIndex: 2 }),
    () => propose(story(), 2, [1, 2, 4], [1, 2, 3], 1).move(1, { last: 2 }),
  )
  t.ok(quorumsIntersect(config([1, 2, 3]), config([1, 2, 3, 4])))
  t.notOk(quorumsIntersect(config([1, 2, 3, 4]), config([1, 2, 5])))
  t.ok(quorumsIntersect(config([1]), config([2], [1])))
  t.notOk(quorumsIntersect(config([1]), config([2])))
})

void t.test('progress', async t => {
  const see = (match: number, next: number, inflightBytes: number): Story =>
    replicated().see({ kind: 'progress', at: at(1), follower: replicaId(2), match, next, inflightBytes })
  pair(
    t,
    'I15',
    'next is beyond match',
    () => see(1, 2, 0),
    () => see(1, 1, 0),
  )
  pair(
    t,
    'I15',
    'match is on the disk',
    () => see(1, 2, 0),
    () => see(2, 3, 0),
  )
  pair(
    t,
    'I15',
    'nothing in flight when idle',
    () => see(0, 1, 7),
    () => see(1, 2, 7),
  )
  pair(
    t,
    'I15',
    'never negative',
    () => see(0, 1, 0),
    () => see(0, 1, -1),
  )
})

void t.test('storage', async t => {
  const story = (): Story => committed().apply(1, mark(1, 1))
  const replayed = (digest: string): Observation => ({ kind: 'replayed', group: GROUP, index: 1, digest })
  pair(
    t,
    'I16',
    'snapshot and log are the state',
    () => story().see(replayed('state 1')),
    () => story().see(replayed('other')),
  )
  const opened = (digest: string): Observation => ({ kind: 'storeOpened', at: at(2), applied: 1, digest })
  pair(
    t,
    'I17',
    'applied index and data go together',
    () => story().see(opened('state 1')),
    () => story().see(opened('state 0')),
  )
  const recovered = (fingerprint: string, pristine: boolean): Observation => ({
    kind: 'recovered',
    node: 0,
    fingerprint,
    pristine,
  })
  pair(
    t,
    'I18',
    'recovery again is the same',
    () => story().see(recovered('a', false), recovered('a', true), recovered('b', false)),
    () => story().see(recovered('a', false), recovered('b', true)),
  )
  const stored: Observation = { kind: 'storeDurable', at: at(1), applied: 1 }
  pair(
    t,
    'I19',
    'the log is cut only behind the store',
    () => story().see(stored, { kind: 'purged', at: at(1), index: 1 }),
    () => story().see(stored, { kind: 'logDeleted', at: at(1), index: 2 }),
  )
  const read = (damaged: boolean, yielded: boolean): Observation => ({
    kind: 'recordRead',
    node: 0,
    file: 'log',
    damaged,
    yielded,
  })
  pair(
    t,
    'I20',
    'damage yields nothing',
    () => story().see(read(false, true), read(true, false)),
    () => story().see(read(true, true)),
  )
})

const kv = (key: string, create: number, mod: number, version: number): KeyValue => ({
  key: utf8(key),
  create,
  mod,
  version,
  value: utf8(`${mod}`),
  lease: leaseId(0n),
})
const put = (now: KeyValue, prev: KeyValue | null = null): WatchEvent => ({ kind: 'put', kv: now, prev })
const remove = (key: string, mod: number, prev: KeyValue): WatchEvent => ({
  kind: 'delete',
  kv: { ...kv(key, 0, mod, 0), value: utf8('') },
  prev,
})

void t.test('revisions', async t => {
  const write = (revision: number, ...events: WatchEvent[]): Observation => ({
    kind: 'revision',
    group: GROUP,
    change: { revision, events },
  })
  const first = write(2, put(kv('a', 2, 2, 1)))
  const second = put(kv('a', 2, 3, 2), kv('a', 2, 2, 1))
  pair(
    t,
    'I21',
    'dense',
    () => new Story().see(first, write(3, second)),
    () => new Story().see(first, write(4, second)),
  )
  pair(
    t,
    'I21',
    'never again',
    () => new Story().see(first),
    () => new Story().see(first, write(2, put(kv('b', 2, 2, 1)))),
  )
  t.doesNotThrow(() => {
    const set = new InvariantSet({ dense: false })
    set.observe(first)
    set.observe({
      kind: 'revision',
      group: groupId(2),
      change: { revision: 2, events: [put(kv('z', 2, 2, 1))] },
    })
    set.observe(write(9, put(kv('b', 9, 9, 1))))
  }, 'the oracle leaves gaps, and a transaction has one revision in two groups')
  pair(
    t,
    'I22',
    'version counts',
    () => new Story().see(first, write(3, second)),
    () => new Story().see(first, write(3, put(kv('a', 2, 3, 1), kv('a', 2, 2, 1)))),
  )
  const gone = write(3, remove('a', 3, kv('a', 2, 2, 1)))
  pair(
    t,
    'I22',
    'a delete starts anew',
    () => new Story().see(first, gone, write(4, put(kv('a', 4, 4, 1)))),
    () => new Story().see(first, gone, write(4, put(kv('a', 2, 4, 2)))),
  )
  pair(
    t,
    'I22',
    'only what is there is deleted',
    () => new Story().see(first, gone),
    () => new Story().see(first, gone, write(4, remove('a', 4, kv('a', 2, 2, 1)))),
  )
})

void t.test('compaction and hashes', async t => {
  const compacted = (revision: number): Observation => ({ kind: 'compacted', node: 0, revision })
  const read = (revision: number, rows: string | null): Observation => ({
    kind: 'pastRead',
    revision,
    compacted: 5,
    range: 'a-z',
    rows,
  })
  pair(
    t,
    'I23',
    'grows',
    () => new Story().see(compacted(5), compacted(5)),
    () => new Story().see(compacted(5), compacted(4)),
  )
  pair(
    t,
    'I23',
    'refused below',
    () => new Story().see(read(4, null)),
    () => new Story().see(read(4, 'rows')),
  )
  pair(
    t,
    'I23',
    'answered from there on',
    () => new Story().see(read(5, 'rows')),
    () => new Story().see(read(5, null)),
  )
  pair(
    t,
    'I23',
    'for ever the same',
    () => new Story().see(read(5, 'rows'), read(5, 'rows'), read(6, 'others')),
    () => new Story().see(read(5, 'rows'), read(5, 'others')),
  )
  const hash = (node: number, value: number | null, revision = 7): Observation => ({
    kind: 'storeHash',
    node,
    revision,
    compacted: 5,
    hash: value,
  })
  const asked = (...seen: Observation[]): void =>
    new Story([1], [new StoreHashes([0, 1])]).see(...seen).set.finish()
  pair(
    t,
    'I24',
    'equal',
    () => asked(hash(0, 1), hash(1, 1)),
    () => asked(hash(0, 1), hash(1, 2)),
  )
  pair(
    t,
    'I24',
    'no answer is no pass',
    () => asked(hash(0, 1), hash(1, 1, 8)),
    () => asked(hash(0, 1), hash(1, null)),
  )
})

void t.test('clients', async t => {
  const sent = (session = false): Observation => ({ kind: 'writeSent', value: 'v', session })
  const applied = (revision: number): Observation => ({ kind: 'writeApplied', value: 'v', revision })
  const answered = (revision: number): Observation => ({ kind: 'writeAnswered', value: 'v', revision })
  const refused: Observation = { kind: 'writeRefused', value: 'v' }
  pair(
    t,
    'I41',
    'at most once per sending',
    () => new Story().see(sent(), sent(), applied(2), applied(3)),
    () => new Story().see(sent(), applied(2), applied(3)),
  )
  pair(
    t,
    'I41',
    'once in a session',
    () => new Story().see(sent(true), sent(true), applied(2), answered(2)),
    () => new Story().see(sent(true), sent(true), applied(2), applied(3)),
  )
  pair(
    t,
    'I41',
    'an answer speaks of what was applied',
    () => new Story().see(sent(), applied(2), answered(2)),
    () => new Story().see(sent(), answered(2)),
  )
  pair(
    t,
    'I42',
    'refused, then applied',
    () => new Story().see(sent(), refused),
    () => new Story().see(sent(), refused, applied(2)),
  )
  pair(
    t,
    'I42',
    'applied, then refused',
    () => new Story().see(sent(), sent(), refused, applied(2)),
    () => new Story().see(sent(), applied(2), refused),
  )
  const read = (connection: number, revision: number): Observation => ({
    kind: 'localRead',
    client: 1,
    connection,
    revision,
  })
  pair(
    t,
    'I40',
    'one connection does not go back',
    () => new Story().see(read(1, 5), read(2, 4), read(2, 4)),
    () => new Story().see(read(1, 5), read(1, 4)),
  )
})

void t.test('long logs cost nothing per event', async t => {
  const story = new Story().elect(1, 1, [1, 2])
  for (let index = 1; index <= 20_000; index++) {
    story.append(1, [mark(index, 1)], { proposed: true }).append(2, [mark(index, 1)])
    story.move(1, { last: index, commit: index })
  }
  t.ok(story.set.checked > 60_000)
  const ids: ReplicaId[] = [...story.set.ledger.group(GROUP).replicas.keys()]
  t.same(ids, [1, 2, 3])
  t.equal(story.set.ledger.group(GROUP).committed.size, 20_000)
})
