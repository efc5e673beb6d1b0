import {
  appendedSince,
  configsFrom,
  drawLinkFaults,
  hashText,
  InvariantSet,
  markOf,
  MILLISECOND,
  Network,
  positionsOf,
  Random,
  Schedule,
  type At,
  type Station,
} from '@kvorum/sim'
import {
  groupId,
  incarnation,
  nodeId,
  replicaId,
  utf8,
  type Entry,
  type GroupConfig,
  type HardState,
} from '@kvorum/model'
import {
  committedEntries,
  createRaft,
  nextDue,
  propose,
  step,
  takeReady,
  type Message,
  type Raft,
  type RaftEvent,
  type Ready,
} from '@kvorum/raft'

const GROUP = groupId(1)

/** What the disk of one replica holds for certain. */
interface Disk {
  hardState: HardState
  entries: Entry[]
}

interface Node {
  readonly at: At
  readonly disk: Disk
  raft: Raft | null
  /** Counts lives, so that what one began does not reach the next. */
  life: number
  writing: boolean
  digest: string
  role: string
}

/** Deliberate mistakes of the owner of a replica, to see them noticed. */
export type Mistake = 'none' | 'acknowledge before the sync' | 'lose durable entries' | 'forget the vote'

/**
 * The consensus core alone on the simulator's parts: one group, faulty datagrams, disks that take time and lose
 * what was not synced, crashes, observed by all invariants. Not the cluster harness; a proof that the parts fit.
 */
export class RaftGroup {
  readonly schedule: Schedule
  readonly network: Network
  readonly invariants = new InvariantSet({ dense: true })
  readonly nodes: Node[]
  readonly #random: Random
  readonly #mistake: Mistake
  readonly #messages: Message[] = []
  readonly #config: GroupConfig
  /** Small ones make followers learn of commits before they hold the entries. */
  readonly #appendBytesMax: number

  constructor(seed: number, size: number, mistake: Mistake = 'none') {
    this.#random = new Random(seed)
    this.#mistake = mistake
    this.#appendBytesMax = this.#random.pick([1, 300, 2_000])
    this.schedule = new Schedule(this.#random.stream('schedule'))
    this.network = new Network(size, this.schedule, this.#random.stream('network'))
    const faults = drawLinkFaults(this.#random.stream('faults'))
    this.network.setFaults(() => faults)
    const ids = Array.from({ length: size }, (_, i) => replicaId(i + 1))
    const replicas = ids.map(id => ({ id, node: nodeId(BigInt(id)) }))
    this.#config = { voters: ids, outgoing: [], learners: [], learnersNext: [], replicas }
    this.nodes = ids.map((replica, node) => ({
      at: { node, group: GROUP, replica },
      disk: { hardState: { term: 0, vote: replicaId(0), commit: 0 }, entries: [] },
      raft: null,
      life: 0,
      writing: false,
      digest: '',
      role: '',
    }))
    for (const node of this.nodes) this.start(node)
    this.schedule.after(0, 'work', () => this.#work())
  }

  get committed(): number {
    return this.invariants.ledger.group(GROUP).committed.size
  }

  crash(node: Node): void {
    if (node.raft === null) return
    node.raft = null
    node.life++
    node.writing = false
    this.network.detach(node.at.node, 'silent')
    this.invariants.observe({ kind: 'stopped', at: node.at })
    if (this.#mistake === 'lose durable entries') node.disk.entries.pop()
    if (this.#mistake === 'forget the vote')
      node.disk.hardState = { ...node.disk.hardState, vote: replicaId(0) }
  }

  start(node: Node): void {
    const { disk, at } = node
    const last = disk.entries.length
    node.digest = ''
    node.role = ''
    node.raft = createRaft(options(this.#random.uint32(), at, this.#appendBytesMax), {
      now: this.#now,
      hardState: disk.hardState,
      base: { index: 0, term: 0 },
      config: this.#config,
      configIndex: 0,
      applied: 0,
      termRuns: disk.entries.flatMap(({ index, term }, i) =>
        disk.entries[i - 1]?.term === term ? [] : [{ first: index, term }],
      ),
      lastIndex: last,
      configs: [],
      entries: disk.entries,
      lastTime: disk.entries.at(-1)?.time ?? 0,
      mayVote: true,
      stateLost: false,
    })
    this.network.attach(at.node, {
      opened: () => {},
      closed: () => {},
      received: (_, frame) => this.#step(node, this.#receive(frame)),
    })
    this.invariants.observe({
      kind: 'started',
      at,
      incarnation: incarnation(BigInt(at.replica)),
      mayVote: true,
      damaged: false,
      positions: positionsOf(node.raft, 0),
      storeAhead: null,
      base: { index: 0, term: 0 },
      entries: disk.entries.map(markOf),
      configs: [{ index: 0, config: this.#config }],
    })
    this.#arm(node)
  }

  get #now(): number {
    return Math.floor(this.schedule.now / MILLISECOND)
  }

  #receive(frame: Uint8Array): RaftEvent {
    return { kind: 'receive', now: this.#now, message: this.#messages[Buffer.from(frame).readUInt32BE()]! }
  }

  #work(): void {
    for (const node of this.nodes) {
      if (node.raft?.role !== 'leader') continue
      propose(node.raft, this.#now, [{ kind: 'normal', data: utf8(`${this.#random.uint32()}`) }])
      this.#turn(node)
    }
    this.schedule.after(30 * MILLISECOND, 'work', () => this.#work())
  }

  #arm(node: Node): void {
    const { raft, life } = node
    if (raft === null) return
    const delay = Math.max(1, nextDue(raft) - this.#now)
    this.schedule.after(Math.min(delay, 1000) * MILLISECOND, 'tick', () => {
      if (node.life !== life) return
      this.#step(node, { kind: 'tick', now: this.#now })
      this.#arm(node)
    })
  }

  #step(node: Node, event: RaftEvent): void {
    if (node.raft === null) return
    step(node.raft, event)
    this.#turn(node)
  }

  #turn(node: Node): void {
    const raft = node.raft!
    this.#observe(node)
    const ready = takeReady(raft, !node.writing)
    this.#send(node, ready.sendNow)
    if (ready.persist !== null) this.#persist(node, ready)
    const entries = committedEntries(raft, 1_000_000)
    for (const entry of entries) {
      const mark = markOf(entry)
      node.digest = `${hashText(`${node.digest} ${mark.hash}`)}`
      this.invariants.observe({ kind: 'applied', at: node.at, entry: mark, digest: node.digest })
    }
    if (entries.length > 0) this.#step(node, { kind: 'applied', index: entries.at(-1)!.index })
  }

  #observe(node: Node): void {
    const { at } = node
    const raft = node.raft!
    const role = `${raft.role} ${raft.term}`
    const changed = role !== node.role
    node.role = role
    const leads = raft.role === 'leader'
    if (changed && !leads) this.invariants.observe({ kind: 'follower', at, term: raft.term })
    const entries = appendedSince(raft, this.invariants.ledger.replica(at)!.log)
    if (entries.length > 0) {
      const configs = configsFrom(raft, entries[0]!.index)
      const { commit } = raft
      this.invariants.observe({ kind: 'appended', at, entries, configs, proposed: leads, commit })
    }
    if (changed && leads) this.invariants.observe({ kind: 'leader', at, term: raft.term })
    this.invariants.observe({ kind: 'positions', at, positions: positionsOf(raft, 0) })
  }

  #persist(node: Node, { persist, sendAfterPersist }: Ready): void {
    const { life, disk } = node
    const { hardState, entries } = persist!
    const early = this.#mistake === 'acknowledge before the sync'
    node.writing = true
    if (early) this.#send(node, sendAfterPersist)
    this.schedule.after(this.#random.int(100, 20_000), 'sync', () => {
      if (node.life !== life) return
      if (hardState !== null) disk.hardState = hardState
      const first = entries[0]
      if (first !== undefined) disk.entries = [...disk.entries.slice(0, first.index - 1), ...entries]
      const marks = entries.map(markOf)
      this.invariants.observe({ kind: 'durable', at: node.at, hardState, entries: marks, reset: null })
      node.writing = false
      if (!early) this.#send(node, sendAfterPersist)
      this.#step(node, { kind: 'persisted' })
    })
  }

  #send(node: Node, messages: readonly Message[]): void {
    for (const message of messages) {
      this.invariants.observe({ kind: 'sent', at: node.at, message })
      const frame = Buffer.alloc(4)
      frame.writeUInt32BE(this.#messages.push(message) - 1)
      const to: Station = message.to - 1
      this.network.datagram(node.at.node, to, frame)
    }
  }
}

const options = (
  seed: number,
  { group, replica }: At,
  appendBytesMax: number,
): Parameters<typeof createRaft>[0] => ({
  group,
  id: replica,
  seed,
  electionTimeoutMs: 500,
  heartbeatMs: 50,
  appendBytesMax,
  inflightBytesMax: 20_000,
  inflightAppendsMax: 8,
  cacheBytesMax: 1_000_000,
  uncommittedBytesMax: 100_000,
})
