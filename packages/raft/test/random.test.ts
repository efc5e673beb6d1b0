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
} from './lab.js'
import type { Host, Lab } from './lab.js'
import { checkLogs, createOracle } from './oracle.js'

/**
 * Random event streams: every event is drawn from the seed, the oracle looks after each of them; then everything
 * heals, and the group has to get on. `SEEDS=7 node random.test.js` runs one seed, `SEEDS=1-500` several.
 */
const [firstSeed, lastSeed] = (process.env['SEEDS'] ?? '1-300').split('-').map(Number)
const EVENTS = Number(process.env['EVENTS'] ?? 1500)

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
}

function createWorld(seed: number): World {
  const random = seedRandom(seed)
  const below = (bound: number): number => nextBelow(random, bound)
  const coin = (): boolean => below(2) === 0
  const tiny = coin()
  const lab = createLab(createOracle(), {
    seed,
    appendBytesMax: tiny ? 60 : 4096,
    inflightAppendsMax: 1 + below(8),
    inflightBytesMax: tiny ? 300 : 65_536,
    cacheBytesMax: coin() ? 200 : 1_000_000,
    uncommittedBytesMax: coin() ? 1000 : 1_000_000,
  })
  const size = [1, 2, 3, 3, 3, 5][below(6)] as number
  const voters = Array.from({ length: size }, (_, at) => at + 1)
  const chaos: Chaos = {
    drop: coin() ? below(30) : 0,
    repeat: coin() ? below(30) : 0,
    reorder: coin(),
    crashes: coin(),
    cuts: coin(),
    changes: coin(),
    transfers: coin(),
    purges: coin(),
    losses: below(4) === 0,
    slowDisks: coin(),
  }
  for (const id of voters) addHost(lab, id, configOf(voters))
  return { lab, below, old: [], cut: new Set(), chaos, nextId: size + 1, nextContext: 1, values: 0 }
}

const hostsOf = ({ lab }: World): Host[] => [...lab.hosts.values()]
const pick = <Item>(world: World, items: readonly Item[]): Item | undefined =>
  items[world.below(items.length)]

function moveOne(world: World): void {
  const { lab, below, chaos, old } = world
  if (lab.flight.length === 0) return
  const at = chaos.reorder ? below(Math.min(lab.flight.length, 10)) : 0
  const [message] = lab.flight.splice(at, 1) as [Message]
  if (below(20) === 0 && old.length < 200) old.push(message)
  if (world.cut.has(`${message.from} ${message.to}`) || below(100) < chaos.drop) return
  if (below(100) < chaos.repeat) lab.flight.push(message)
  deliver(lab, message)
}

function pass(world: World, ms: number): void {
  const { lab } = world
  lab.now += ms
  for (const host of hostsOf(world))
    if (host.raft && nextDue(host.raft) <= lab.now) feed(lab, host, { kind: 'tick', now: lab.now })
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
  if (!proposeConfig(raft, lab.now, wish).ok) return
  if (wish.addVoters.length + wish.addLearners.length > 0) addHost(lab, world.nextId++, emptyConfig)
}

function disturb(world: World): void {
  const { lab, below, chaos } = world
  const host = pick(world, hostsOf(world)) as Host
  if (chaos.crashes && below(3) === 0) {
    if (host.raft) crash(lab, host)
    else start(lab, host)
  }
  if (chaos.cuts && below(3) === 0) {
    if (below(2) === 0) world.cut.clear()
    else for (const other of hostsOf(world)) if (below(2) === 0) world.cut.add(`${host.id} ${other.id}`)
  }
  if (chaos.transfers && host.raft && below(3) === 0)
    transferLeadership(host.raft, lab.now, (pick(world, hostsOf(world)) as Host).id)
  if (chaos.losses && below(20) === 0) loseState(lab, host)
  if (below(10) === 0) {
    const to = (pick(world, hostsOf(world)) as Host).id
    feed(lab, host, { kind: 'unreachable', to })
  }
  if (below(10) === 0) feed(lab, host, { kind: 'campaign', now: lab.now })
}

function randomEvent(world: World): void {
  const { lab, below, chaos } = world
  const host = pick(world, hostsOf(world)) as Host
  const dice = below(100)
  if (dice < 45) moveOne(world)
  else if (dice < 75) work(world, host)
  else if (dice < 82) pass(world, below(10) === 0 ? below(2000) : below(120))
  else if (dice < 88) offer(world, host)
  else if (dice < 92) ask(lab, host, world.nextContext++)
  else if (dice < 95) disturb(world)
  else if (dice < 96 && chaos.changes) change(world, host)
  else if (dice < 98 && chaos.purges) purge(lab, host, host.machine.index - below(5))
  else if (chaos.repeat > 0) {
    const message = pick(world, world.old)
    if (message) deliver(lab, message)
  }
}

/** Everything that is possible happens, until nothing is left or time has to pass. */
export function settle(world: World): void {
  const { lab } = world
  for (let round = 0; round < 200; round++) {
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
  throw new Error('it never settles')
}

/** No more faults: soon there is a leader, it commits, and all its members follow. */
function heal(world: World): void {
  const { lab } = world
  world.cut.clear()
  for (const host of hostsOf(world)) if (!host.raft) start(lab, host)
  let value = 0
  for (let waited = 0; waited < 60_000; waited += 50) {
    settle(world)
    const leader = hostsOf(world).find(({ raft }) => raft?.role === 'leader' && isHighest(world, raft.term))
    if (leader?.raft) {
      if (value === 0) {
        const proposed = propose(leader.raft, lab.now, [{ kind: 'normal', data: new Uint8Array([1]) }])
        if (proposed.ok) value = proposed.index
      }
      const { voters, outgoing, learners } = leader.raft.config
      const members = [...voters, ...outgoing, ...learners].map(id => lab.hosts.get(id) as Host)
      const done = members.every(({ raft, machine }) => !raft?.lost && machine.index >= value)
      if (value > 0 && done && outgoing.length === 0) return
    }
    pass(world, 50)
  }
  throw new Error('no progress after all faults are gone')
}

const isHighest = (world: World, term: number): boolean =>
  hostsOf(world).every(({ raft }) => raft === null || raft.role !== 'leader' || raft.term <= term)

export function runSeed(seed: number): World {
  const world = createWorld(seed)
  for (let at = 0; at < EVENTS; at++) {
    randomEvent(world)
    if (at % 100 === 99) checkLogs(world.lab)
  }
  heal(world)
  checkLogs(world.lab)
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
  t.end()
})
