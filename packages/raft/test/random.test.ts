import { nextDue, propose, proposeConfig, transferLeadership } from '@kvorum/raft'
import type { ConfigChange, Message } from '@kvorum/raft'
import { seedRandom, nextBelow } from '#src/random.js'
import t from 'tap'
import {
  addHost,
  answerFetch,
  apply,
  ask,
  configOf,
  crash,
  createLab,
  deliver,
  describeConfig,
  emptyConfig,
  feed,
  flush,
  install,
  loseState,
  purge,
  rid,
  start,
  sync,
  turn,
  wipe,
} from './lab.js'
import type { Host, Lab } from './lab.js'
import { checkLogs, createOracle } from './oracle.js'

/**
 * Random event streams: every event is drawn from the seed, the oracle looks after each of them; then everything
 * heals, and the group has to get on. `SEEDS=7 node random.test.js` runs one seed, `SEEDS=1-500` several.
 */
const [firstSeed, lastSeed] = (process.env['SEEDS'] ?? '1-600').split('-').map(Number)
const EVENTS = Number(process.env['EVENTS'] ?? 6000)

interface World {
  readonly lab: Lab
  readonly below: (bound: number) => number
  /** Old messages, for replays long after. */
  readonly old: Message[]
  /** "from to" of links that carry nothing. */
  readonly cut: Set<string>
  readonly chaos: Chaos
  nextId: number
  nextContext: number
  values: number
  /** Replicas that came back with an empty disk: they listen and are never admitted. */
  readonly wiped: Set<Host['id']>
  /** Replicas whose process is stopped; their messages wait. */
  readonly paused: Set<Host['id']>
}

/** How much of what; each kind of fault is on in half of the seeds. */
interface Chaos {
  readonly drop: number
  readonly repeat: number
  readonly reorder: boolean
  readonly crashes: boolean
  readonly cuts: boolean
  readonly changes: boolean
  readonly transfers: boolean
  readonly purges: boolean
  readonly losses: boolean
  readonly slowDisks: boolean
  readonly wipes: boolean
  readonly pauses: boolean
}

/** Rare things that the seeds together must have come by; a fault that never strikes finds nothing. */
const marks = new Map<string, number>()
const MARKS = [
  'is preCandidate',
  'is candidate',
  'is leader',
  'outgoing',
  'keep',
  'replace',
  'read',
  'at nothing',
  'streams',
  'installs',
  'fetches',
  'truncates',
]

function mark(line: string): void {
  for (const name of MARKS) if (line.includes(name)) marks.set(name, (marks.get(name) ?? 0) + 1)
}

function createWorld(seed: number): World {
  const random = seedRandom(seed)
  const below = (bound: number): number => nextBelow(random, bound)
  const coin = (): boolean => below(2) === 0
  const tiny = coin()
  const options = {
    seed,
    appendBytesMax: tiny ? 60 : 4096,
    inflightAppendsMax: 1 + below(8),
    inflightBytesMax: tiny ? 300 : 65_536,
    cacheBytesMax: coin() ? 200 : 1_000_000,
    uncommittedBytesMax: coin() ? 1000 : 1_000_000,
  }
  const lab = createLab(createOracle(), options, mark)
  const size = [1, 2, 3, 3, 3, 5][below(6)] as number
  const voters = Array.from({ length: size }, (_, at) => at + 1)
  const wipes = size >= 3 && below(4) === 0
  const chaos: Chaos = {
    drop: coin() ? below(30) : 0,
    repeat: coin() ? below(30) : 0,
    reorder: coin(),
    crashes: coin(),
    cuts: coin(),
    changes: coin() && !wipes,
    transfers: coin(),
    purges: coin(),
    losses: below(4) === 0 && !wipes,
    slowDisks: coin(),
    pauses: coin(),
    // Somebody whose disk was wiped is lost for its group: with other losses there might be no quorum left.
    wipes,
  }
  for (const id of voters) addHost(lab, id, configOf(voters))
  return {
    lab,
    below,
    old: [],
    cut: new Set(),
    chaos,
    nextId: size + 1,
    nextContext: 1,
    values: 0,
    wiped: new Set(),
    paused: new Set(),
  }
}

const hostsOf = ({ lab }: World): Host[] => [...lab.hosts.values()]
const pick = <Item>(world: World, items: readonly Item[]): Item | undefined =>
  items[world.below(items.length)]

function moveOne(world: World): void {
  const { lab, below, chaos, old } = world
  if (lab.flight.length === 0) return
  const at = chaos.reorder ? below(Math.min(lab.flight.length, 10)) : 0
  const [message] = lab.flight.splice(at, 1) as [Message]
  if (world.paused.has(message.to)) return void lab.flight.push(message)
  if (below(20) === 0 && old.length < 200) old.push(message)
  if (world.cut.has(`${message.from} ${message.to}`) || below(100) < chaos.drop) return
  if (below(100) < chaos.repeat) lab.flight.push(message)
  deliver(lab, message)
}

function pass(world: World, ms: number): void {
  const { lab } = world
  lab.now += ms
  for (const host of hostsOf(world))
    if (host.raft && !world.paused.has(host.id) && nextDue(host.raft) <= lab.now)
      feed(lab, host, { kind: 'tick', now: lab.now })
}

function work(world: World, host: Host): void {
  const { lab, below, chaos } = world
  turn(lab, host)
  if (!chaos.slowDisks || below(4) === 0) sync(lab, host)
  if (below(2) === 0) apply(lab, host, below(2) === 0 ? 1 : 1_000_000)
  if (below(3) === 0) answerFetch(lab, host)
  if (below(5) === 0) install(lab, host)
  if (below(8) === 0) flush(host)
}

function offer(world: World, host: Host): void {
  const { lab, below } = world
  if (!host.raft) return
  const items = Array.from({ length: 1 + below(3) }, () => ({
    kind: 'normal' as const,
    data: new TextEncoder().encode(`v${world.values++}`),
  }))
  propose(host.raft, lab.now, items)
}

/** A state that every voter has lost is lost: the operator of the group must not let it come to that. */
function othersHaveState(world: World, { id, raft }: Host, gone: readonly Host['id'][]): boolean {
  const hosts = hostsOf(world)
  if (!raft || hosts.some(host => host.raft === null)) return false
  // A change that only some have heard of may take the vote of the one that is counted on.
  const others = raft.config.voters.filter(
    other => other !== id && !gone.includes(other) && hosts.every(host => isOwnVoter(host, other)),
  )
  // What others have purged can only come from a machine that has it.
  const floor = Math.max(...hosts.map(({ disk, raft: known }) => known?.base.index ?? disk.base.index))
  return hosts.some(
    ({ id: other, flushed }) => others.includes(other) && !flushed.lost && flushed.index >= floor,
  )
}

const isOwnVoter = ({ raft }: Host, id: Host['id']): boolean =>
  raft === null || raft.config.voters.length === 0 || raft.config.voters.includes(id)

function change(world: World, host: Host): void {
  const { lab, below } = world
  const { raft } = host
  if (raft?.role !== 'leader') return
  const wish = { addVoters: [], addLearners: [], promote: [], demote: [], remove: [] } as {
    -readonly [Key in keyof ConfigChange]: ConfigChange[Key][number][]
  }
  const id = (): { id: Host['id']; node: never } => ({
    id: rid(world.nextId),
    node: BigInt(world.nextId) as never,
  })
  const kind = below(6)
  if (kind === 0 && raft.config.voters.length < 5) wish.addVoters.push(id())
  if (kind === 1 && raft.config.learners.length < 2) wish.addLearners.push(id())
  if (kind === 2 || kind === 5) wish.promote.push(...raft.config.learners.slice(0, 1))
  if (kind === 3 && raft.config.voters.length > 1)
    wish.demote.push(pick(world, raft.config.voters) as Host['id'])
  if (kind >= 4 && raft.config.voters.length > 1)
    wish.remove.push(pick(world, raft.config.voters) as Host['id'])
  if (raft.lost || !othersHaveState(world, host, [...wish.remove, ...wish.demote])) return
  if (!proposeConfig(raft, lab.now, wish).ok) return
  if (wish.addVoters.length + wish.addLearners.length > 0) addHost(lab, world.nextId++, emptyConfig)
}

/** It believes what it believed when it was stopped, and a client is the first to speak to it. */
function resume(world: World, host: Host): void {
  world.paused.delete(host.id)
  ask(world.lab, host, world.nextContext++)
  turn(world.lab, host)
}

function disturb(world: World): void {
  const { lab, below, chaos } = world
  const host = pick(world, hostsOf(world)) as Host
  if (world.paused.has(host.id)) {
    if (below(3) === 0) resume(world, host)
    return
  }
  // One at a time, and rather a leader: the others are to go on without it.
  if (chaos.pauses && world.paused.size === 0 && below(host.raft?.role === 'leader' ? 2 : 20) === 0)
    world.paused.add(host.id)
  if (chaos.crashes && below(3) === 0) {
    if (host.raft) crash(lab, host)
    else start(lab, host, !world.wiped.has(host.id))
  }
  if (chaos.wipes && below(20) === 0 && world.wiped.size === 0) {
    crash(lab, host)
    wipe(lab, host)
    world.wiped.add(host.id)
  }
  if (chaos.cuts && below(3) === 0) {
    if (below(2) === 0) world.cut.clear()
    else for (const other of hostsOf(world)) if (below(2) === 0) world.cut.add(`${host.id} ${other.id}`)
  }
  if (chaos.transfers && host.raft && below(3) === 0)
    transferLeadership(host.raft, lab.now, (pick(world, hostsOf(world)) as Host).id)
  if (chaos.losses && below(20) === 0 && othersHaveState(world, host, [])) loseState(lab, host)
  if (below(10) === 0) {
    const to = (pick(world, hostsOf(world)) as Host).id
    feed(lab, host, { kind: 'unreachable', to })
  }
  if (below(10) === 0) feed(lab, host, { kind: 'campaign', now: lab.now })
}

function randomEvent(world: World): void {
  const { lab, below, chaos } = world
  const host = pick(world, hostsOf(world)) as Host
  const dice = world.paused.has(host.id) ? below(2) * 75 : below(100)
  if (dice < 44) moveOne(world)
  else if (dice < 72) work(world, host)
  else if (dice < 79) pass(world, below(10) === 0 ? below(2000) : below(120))
  else if (dice < 85) offer(world, host)
  else if (dice < 89) ask(lab, host, world.nextContext++)
  else if (dice < 92) disturb(world)
  else if (dice < 95 && chaos.changes)
    change(
      world,
      pick(
        world,
        hostsOf(world).filter(({ raft }) => raft?.role === 'leader'),
      ) ?? host,
    )
  else if (dice < 97 && chaos.purges) purge(lab, host, host.machine.index - below(5))
  else if (chaos.repeat > 0) {
    const message = pick(world, world.old)
    if (message && !world.paused.has(message.to)) deliver(lab, message)
  }
}

/** Everything that is possible happens, until nothing is left or time has to pass. */
function settle(world: World): void {
  const { lab } = world
  for (let round = 0; round < 5000; round++) {
    let busy = false
    for (const host of hostsOf(world)) {
      busy = turn(lab, host) || busy
      busy = sync(lab, host) || busy
      busy = apply(lab, host) || busy
      busy = answerFetch(lab, host) || busy
      busy = install(lab, host) || busy
    }
    for (const message of lab.flight.splice(0)) {
      busy = true
      deliver(lab, message)
    }
    if (!busy) return
  }
  throw new Error(`it never settles\n${describeWorld(world)}`)
}

/** No more faults: soon there is a leader, it commits, and all its members follow. */
function heal(world: World): void {
  const { lab } = world
  world.cut.clear()
  world.paused.clear()
  for (const host of hostsOf(world)) if (!host.raft) start(lab, host, !world.wiped.has(host.id))
  let value = 0
  let term = 0
  for (let waited = 0; waited < 60_000; waited += 50) {
    settle(world)
    const leader = hostsOf(world).find(({ raft }) => raft?.role === 'leader' && isHighest(world, raft.term))
    if (leader?.raft) {
      // What an earlier leader was given may be gone with it.
      if (term !== leader.raft.term) value = 0
      term = leader.raft.term
      if (value === 0) {
        const proposed = propose(leader.raft, lab.now, [{ kind: 'normal', data: new Uint8Array([1]) }])
        if (proposed.ok) value = proposed.index
      }
      const { voters, outgoing, learners } = leader.raft.config
      const ids = [...voters, ...outgoing, ...learners].filter(id => !world.wiped.has(id))
      const members = ids.map(id => lab.hosts.get(id) as Host)
      const done = members.every(({ raft, machine }) => !raft?.lost && machine.index >= value)
      if (value > 0 && done && outgoing.length === 0) return
    }
    pass(world, 50)
  }
  throw new Error(`no progress after all faults are gone\n${describeWorld(world)}`)
}

const describeWorld = (world: World): string =>
  hostsOf(world)
    .map(({ id, raft, machine }) => {
      if (!raft) return `${id} down`
      const { role, term, leader, base, applied, commit, stable, lastIndex, config, lost } = raft
      const { configIndex, index } = { configIndex: raft.configs.at(-1)?.index, index: machine.index }
      return JSON.stringify({
        id,
        role,
        term,
        leader,
        base,
        applied,
        commit,
        stable,
        lastIndex,
        lost,
        configIndex,
        index,
        config: describeConfig(config),
        progress: [...raft.progress.values()],
      })
    })
    .join('\n')

const isHighest = (world: World, term: number): boolean =>
  hostsOf(world).every(({ raft }) => raft === null || raft.role !== 'leader' || raft.term <= term)

/** Every read gets an answer, if only that there is none. */
function checkReads(world: World): void {
  for (let waited = 0; waited < 4000; waited += 50) {
    pass(world, 50)
    settle(world)
  }
  for (const name of world.lab.oracle.reads.keys()) {
    const [id, life] = name.split(' ').map(Number)
    const host = world.lab.hosts.get(rid(id as number))
    if (host?.lives === life) throw new Error(`read ${name} was never answered`)
  }
}

function runSeed(seed: number): World {
  const world = createWorld(seed)
  for (let at = 0; at < EVENTS; at++) {
    randomEvent(world)
    if (at % 100 === 99) checkLogs(world.lab)
  }
  heal(world)
  checkLogs(world.lab)
  checkReads(world)
  return world
}

t.test('random event streams keep every invariant and get on when faults end', t => {
  let committed = 0
  for (let seed = firstSeed as number; seed <= (lastSeed ?? (firstSeed as number)); seed++) {
    try {
      committed += runSeed(seed).lab.oracle.committed.length
    } catch (error) {
      t.fail(`seed ${seed}: ${(error as Error).stack ?? ''}`)
      break
    }
  }
  t.ok(committed > 0, `${committed} entries committed`)
  if (lastSeed !== undefined) for (const name of MARKS) t.ok(marks.get(name), `seen: ${name}`)
  t.comment(Object.fromEntries(marks))
  t.end()
})
