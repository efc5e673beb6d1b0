import {
  committedEntries,
  createRaft,
  decodeConfig,
  hasReady,
  purgeLog,
  readIndex,
  step,
  takeReady,
} from '@kvorum/raft'
import type { Message, Persist, Raft, RaftOptions, Ready, ReadState } from '@kvorum/raft'
import { entryBytes } from '@kvorum/model'
import type { Entry, GroupConfig, GroupId, HardState, LogBase, NodeId, ReplicaId } from '@kvorum/model'
import { onCommitted, onPosted, onRead, onReadAsked, onStepped, onWritten } from './oracle.js'
import type { Oracle } from './oracle.js'

/**
 * Several replicas with disks and state machines in memory, and messages that somebody else moves. Nothing
 * happens by itself: a test decides what is next, the oracle looks at everything that does.
 */
export interface Lab {
  now: number
  readonly hosts: Map<ReplicaId, Host>
  /** Sent and not delivered, in order of sending. */
  flight: Message[]
  readonly options: Partial<RaftOptions>
  readonly oracle: Oracle
  /** Called with what happened, for transcripts. */
  readonly tell: (line: string) => void
}

export interface Host {
  readonly id: ReplicaId
  /** Null while it is down. */
  raft: Raft | null
  /** What a crash leaves. */
  disk: Disk
  /** What was on the disk before it was wiped: acknowledged once, and counted by who had heard it. */
  wiped: Disk | null
  write: Persist | null
  /** Messages that wait for `write`. */
  waiting: readonly Message[]
  machine: Machine
  /** The copy of the machine that a crash leaves. */
  flushed: Machine
  fetch: Ready['fetch']
  install: Ready['install']
  reads: ReadState[]
  /** Followers that wait for `snapshotSent`. */
  streams: ReplicaId[]
  lives: number
}

export interface Disk {
  hard: HardState
  base: LogBase
  baseConfig: GroupConfig
  entries: Entry[]
}

/** The state machine: a digest over all entries, and the configuration as the log left it. */
export interface Machine {
  index: number
  term: number
  digest: number
  config: GroupConfig
  configIndex: number
  lost: boolean
}

export const rid = (id: number): ReplicaId => id as ReplicaId

export function configOf(voters: readonly number[], learners: readonly number[] = []): GroupConfig {
  const replicas = [...voters, ...learners].sort((one, other) => one - other)
  return {
    voters: voters.map(rid),
    outgoing: [],
    learners: learners.map(rid),
    learnersNext: [],
    replicas: replicas.map(id => ({ id: rid(id), node: BigInt(id) as NodeId })),
  }
}

export const emptyConfig: GroupConfig = configOf([])

export const defaults: Omit<RaftOptions, 'id'> = {
  group: 1 as GroupId,
  seed: 1,
  electionTimeoutMs: 1000,
  heartbeatMs: 100,
  appendBytesMax: 4096,
  inflightBytesMax: 65_536,
  inflightAppendsMax: 16,
  cacheBytesMax: 1_000_000,
  uncommittedBytesMax: 1_000_000,
}

export function createLab(
  oracle: Oracle,
  options: Partial<RaftOptions> = {},
  tell: Lab['tell'] = () => {},
): Lab {
  return { now: 0, hosts: new Map(), flight: [], options, oracle, tell }
}

/** A new replica. One without members is as a node creates it for a group that it hears of: without state. */
export function addHost(lab: Lab, id: number, config: GroupConfig): Host {
  const fresh = config.voters.length === 0
  const machine = { index: 0, term: 0, digest: 7, config, configIndex: 0, lost: fresh }
  const host: Host = {
    id: rid(id),
    raft: null,
    disk: emptyDisk(config),
    wiped: null,
    write: null,
    waiting: [],
    machine: { ...machine },
    flushed: { ...machine },
    fetch: null,
    install: null,
    reads: [],
    streams: [],
    lives: 0,
  }
  lab.hosts.set(host.id, host)
  start(lab, host)
  return host
}

/** An empty disk in the place of the old one. The directory is not the one that the others know. */
export function wipe(lab: Lab, host: Host): void {
  host.wiped = host.disk
  host.disk = emptyDisk(configOf([]))
  host.flushed = { index: 0, term: 0, digest: 7, config: emptyConfig, configIndex: 0, lost: true }
  start(lab, host, false)
}

const emptyDisk = (baseConfig: GroupConfig): Disk => ({
  hard: { term: 0, vote: rid(0), commit: 0 },
  base: { index: 0, term: 0 },
  baseConfig,
  entries: [],
})

/** Starts a replica from what its disk and its flushed machine remember. */
export function start(lab: Lab, host: Host, mayVote = true): void {
  const { disk } = host
  host.machine = { ...host.flushed }
  // A snapshot that was installed before the log could follow it: the log begins at the snapshot.
  const { index, term, config, configIndex, lost } = host.machine
  if (!lost && !disk.entries.some(entry => entry.index === index && entry.term === term)) {
    if (index > disk.base.index)
      Object.assign(disk, { base: { index, term }, baseConfig: config, entries: [] })
  }
  const known = lost ? { config: disk.baseConfig, index: disk.base.index } : { config, index: configIndex }
  const last = disk.entries[disk.entries.length - 1]
  const runs: { first: number; term: number }[] = []
  for (const entry of disk.entries)
    if (runs[runs.length - 1]?.term !== entry.term) runs.push({ first: entry.index, term: entry.term })
  host.lives++
  const configs = disk.entries.filter(entry => entry.kind === 'config' && entry.index > known.index)
  host.raft = createRaft(
    { ...defaults, ...lab.options, id: host.id, seed: (lab.options.seed ?? 1) * 1000 + host.lives },
    {
      now: lab.now,
      hardState: disk.hard,
      base: disk.base,
      config: known.config,
      configIndex: known.index,
      applied: host.machine.index,
      termRuns: runs,
      lastIndex: last?.index ?? disk.base.index,
      configs: configs.map(entry => ({ index: entry.index, config: decodeConfig(entry.data) })),
      // Few, so that the rest has to be fetched.
      entries: disk.entries.slice(-2),
      lastTime: last?.time ?? 0,
      mayVote,
      stateLost: lost,
    },
  )
  onStepped(lab, host)
}

/** Everything that was not synced is gone. */
export function crash(lab: Lab, host: Host): void {
  onStepped(lab, host)
  host.raft = null
  host.write = null
  host.waiting = []
  host.fetch = null
  host.install = null
  host.streams = []
}

type Event = Parameters<typeof step>[1]

export function feed(lab: Lab, host: Host, event: Event): void {
  if (!host.raft) return
  step(host.raft, event)
  onStepped(lab, host)
}

/** Takes the output of one replica; true when there was any. */
export function turn(lab: Lab, host: Host): boolean {
  const { raft } = host
  const diskFree = host.write === null
  if (!raft || !hasReady(raft, diskFree)) return false
  const ready = takeReady(raft, diskFree)
  onStepped(lab, host)
  if (ready.changed)
    lab.tell(`${host.id} is ${raft.role} in term ${raft.term}, leader ${raft.leader || 'unknown'}`)
  for (const message of ready.sendNow) post(lab, host, message)
  if (ready.persist) {
    lab.tell(`${host.id} writes ${describeWrite(ready.persist)}`)
    host.write = ready.persist
    host.waiting = ready.sendAfterPersist
  }
  for (const read of ready.reads) {
    lab.tell(`${host.id} read ${read.context} at ${read.index ?? 'nothing'}`)
    onRead(lab, host, read)
    host.reads.push(read)
  }
  for (const to of ready.snapshots) {
    lab.tell(`${host.id} streams a snapshot to ${to}`)
    host.streams.push(to)
  }
  if (ready.install) {
    const { from, base } = ready.install
    lab.tell(`${host.id} wants the snapshot ${base.index}/${base.term} of ${from}`)
    host.install = ready.install
  }
  if (ready.fetch) {
    lab.tell(`${host.id} fetches ${ready.fetch.from}..${ready.fetch.to}`)
    host.fetch = ready.fetch
  }
  return true
}

function post(lab: Lab, host: Host, message: Message): void {
  onPosted(lab, host, message)
  lab.tell(describeMessage(message))
  lab.flight.push(message)
}

/** The write that is out becomes durable. */
export function sync(lab: Lab, host: Host): boolean {
  const { write, waiting } = host
  if (!host.raft || !write) return false
  writeDisk(lab, host, write)
  host.write = null
  host.waiting = []
  onWritten(lab, host, write)
  for (const message of waiting) post(lab, host, message)
  feed(lab, host, { kind: 'persisted' })
  return true
}

function writeDisk(lab: Lab, host: Host, write: Persist): void {
  const { disk } = host
  const { reset, entries, hardState } = write
  if (reset) {
    disk.base = reset.base
    for (const entry of disk.entries)
      if (entry.index <= reset.base.index && entry.kind === 'config')
        disk.baseConfig = decodeConfig(entry.data)
    disk.entries = reset.keep ? disk.entries.filter(entry => entry.index > reset.base.index) : []
  }
  const [first] = entries
  if (first) {
    const kept = disk.entries.filter(entry => entry.index < first.index)
    if (kept.length < disk.entries.length) lab.tell(`${host.id} truncates from ${first.index}`)
    disk.entries = kept
    const end = disk.base.index + disk.entries.length
    if (end + 1 !== first.index) throw new Error(`write at ${first.index} leaves a hole after ${end}`)
    disk.entries.push(...entries)
  }
  if (hardState) disk.hard = hardState
}

/** Applies what may be applied. */
export function apply(lab: Lab, host: Host, bytesMax = 1_000_000): boolean {
  const { raft, machine } = host
  if (!raft) return false
  const entries = committedEntries(raft, bytesMax)
  for (const entry of entries) {
    if (entry.index !== machine.index + 1) throw new Error(`applies ${entry.index} after ${machine.index}`)
    machine.index = entry.index
    machine.term = entry.term
    machine.digest = digestOf(machine.digest, entry)
    if (entry.kind === 'config')
      Object.assign(machine, { config: decodeConfig(entry.data), configIndex: entry.index })
    onCommitted(lab, host, entry, machine.digest)
  }
  const last = entries[entries.length - 1]
  if (!last) return false
  feed(lab, host, { kind: 'applied', index: last.index })
  return true
}

function digestOf(before: number, entry: Entry): number {
  let digest = Math.imul(before ^ entry.index, 0x01000193) ^ entry.term
  for (const byte of entry.data) digest = Math.imul(digest ^ byte, 0x01000193)
  return digest >>> 0
}

/** The machine's memory reaches its disk. */
export function flush(host: Host): void {
  if (host.raft) host.flushed = { ...host.machine }
}

export function purge(lab: Lab, host: Host, to: number): void {
  if (!host.raft) return
  purgeLog(host.raft, Math.min(to, host.flushed.index, host.raft.applied))
  onStepped(lab, host)
}

export function answerFetch(lab: Lab, host: Host): boolean {
  const { fetch, disk } = host
  if (!host.raft || !fetch) return false
  host.fetch = null
  const entries: Entry[] = []
  let bytes = 0
  for (const entry of disk.entries) {
    if (entry.index < fetch.from || entry.index > fetch.to) continue
    bytes += entryBytes(entry)
    if (bytes > fetch.bytesMax && entries.length > 0) break
    entries.push(entry)
  }
  feed(lab, host, { kind: 'fetched', entries })
  return true
}

/** A snapshot that was asked for is pulled and installed, if who has it is there and ahead. */
export function install(lab: Lab, host: Host): boolean {
  const { install: wanted, raft } = host
  if (!raft || !wanted) return false
  host.install = null
  const source = lab.hosts.get(wanted.from)
  const ends = (ok: boolean): void => {
    if (source?.streams.includes(host.id)) {
      source.streams = source.streams.filter(id => id !== host.id)
      feed(lab, source, { kind: 'snapshotSent', to: host.id, ok })
    }
  }
  if (!source?.raft || source.machine.lost || source.machine.index < wanted.base.index) {
    ends(false)
    return true
  }
  const useful = raft.lost ? source.machine.index >= raft.base.index : source.machine.index > raft.commit
  if (useful) {
    const { index, term, config, digest } = source.machine
    lab.tell(`${host.id} installs ${index}/${term}`)
    host.machine = { ...source.machine, configIndex: index, digest }
    flush(host)
    feed(lab, host, { kind: 'installed', base: { index, term }, config })
  }
  ends(true)
  return true
}

/** Half-installed or damaged: the machine has to be rebuilt. */
export function loseState(lab: Lab, host: Host): void {
  if (!host.raft) return
  host.machine = { ...host.machine, index: host.raft.base.index, lost: true }
  flush(host)
  feed(lab, host, { kind: 'stateLost' })
}

export function ask(lab: Lab, host: Host, context: number): string | null {
  if (!host.raft) return 'down'
  const refusal = readIndex(host.raft, lab.now, context)
  if (refusal === null) onReadAsked(lab, host, context)
  return refusal
}

export function deliver(lab: Lab, message: Message): void {
  const host = lab.hosts.get(message.to)
  if (host) feed(lab, host, { kind: 'receive', now: lab.now, message })
}

const text = (data: Uint8Array): string => new TextDecoder().decode(data)

export function describeEntry({ index, term, kind, data }: Entry): string {
  if (kind === 'normal') return `${index}/${term} ${text(data)}`
  return kind === 'noop'
    ? `${index}/${term} noop`
    : `${index}/${term} {${describeConfig(decodeConfig(data))}}`
}

export function describeConfig(config: GroupConfig): string {
  const part = (name: string, ids: readonly number[]): string =>
    ids.length > 0 ? ` ${name} ${ids.join(' ')}` : ''
  return `voters ${config.voters.join(' ')}${part('outgoing', config.outgoing)}${part(
    'learners',
    config.learners,
  )}${part('next', config.learnersNext)}`
}

function describeEntries(entries: readonly Entry[]): string {
  if (entries.length > 4) {
    const [first, last] = [entries[0] as Entry, entries[entries.length - 1] as Entry]
    return `[${describeEntry(first)} ... ${describeEntry(last)}]`
  }
  return `[${entries.map(describeEntry).join(', ')}]`
}

function describeWrite({ hardState, entries, reset }: Persist): string {
  const parts: string[] = []
  if (reset) parts.push(`base ${reset.base.index}/${reset.base.term} ${reset.keep ? 'keep' : 'replace'}`)
  if (entries.length > 0) parts.push(describeEntries(entries))
  if (hardState) parts.push(`term ${hardState.term} vote ${hardState.vote} commit ${hardState.commit}`)
  return parts.join(', ')
}

export function describeMessage(message: Message): string {
  return `${message.from}->${message.to} ${message.kind} term ${message.term}${describeBody(message)}`
}

function describeBody(message: Message): string {
  switch (message.kind) {
    case 'preVote':
    case 'vote':
      return ` last ${message.lastIndex}/${message.lastTerm}${'transfer' in message && message.transfer ? ' transfer' : ''}`
    case 'preVoteReply':
    case 'voteReply':
      return message.granted ? ' granted' : ' refused'
    case 'append':
      return ` prev ${message.prevIndex}/${message.prevTerm} ${describeEntries(message.entries)} commit ${message.commit}`
    case 'appendReply':
      return message.rejected
        ? ` prev ${message.prevIndex} rejected, hint ${message.hintIndex}/${message.hintTerm}${message.needSnapshot ? ', needs snapshot' : ''}`
        : ` prev ${message.prevIndex} match ${message.match}`
    case 'heartbeat':
      return ` commit ${message.commit} round ${message.round}`
    case 'heartbeatReply':
      return ` round ${message.round}${message.needSnapshot ? ', needs snapshot' : ''}`
    case 'snapshot':
      return ` ${message.index}/${message.snapshotTerm} {${describeConfig(message.config)}}`
    case 'readIndex':
      return ` context`
    case 'readIndexReply':
      return ` index ${message.index ?? 'none'}`
    default:
      return ''
  }
}
