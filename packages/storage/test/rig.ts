import type { Entry, GroupId, HardState, LogBase } from '@kvorum/model'
import { clusterId, groupId, incarnation, nodeId, replicaId } from '@kvorum/model'
import {
  abandon,
  confirm,
  decodeEntries,
  DiskError,
  locate,
  MemoryDisk,
  planDelete,
  planMove,
  planPurge,
  recover,
} from '@kvorum/storage'
import type {
  DiskOp,
  LogBatch,
  LogIdentity,
  LogOptions,
  LogState,
  PeerRecord,
  Recovered,
} from '@kvorum/storage'

/** What the tests of the log share: an identity, small options, entries, and a driver in a few lines. */
export const IDENTITY: LogIdentity = {
  clusterId: clusterId(0xc1n),
  nodeId: nodeId(0xa1n),
  incarnation: incarnation(0x1234_5678_9abc_def0n),
}

export const OPTIONS: Partial<LogOptions> = {
  segmentBytes: 4096,
  reserveBytes: 1024,
  pinnedSegmentsMax: 2,
  moveBytesMax: 1500,
}

/** mulberry32: a seed gives the same numbers everywhere. */
export function chance(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export const pick = (random: () => number, bound: number): number => Math.floor(random() * bound)

export const G1 = groupId(1)
export const G2 = groupId(2)

export function entry(
  index: number,
  term: number,
  text = `${index}@${term}`,
  kind: Entry['kind'] = 'normal',
): Entry {
  return { index, term, kind, time: 1000 + index, data: Buffer.from(text) }
}

export const entriesFrom = (first: number, count: number, term: number, bytes = 0): Entry[] =>
  Array.from({ length: count }, (_, i) => entry(first + i, term, `${first + i}@${term}`.padEnd(bytes, '.')))

export const hard = (term: number, vote: number, commit: number): HardState => ({
  term,
  vote: replicaId(vote),
  commit,
})

interface GroupWrite {
  readonly entries?: readonly Entry[]
  readonly hardState?: HardState
  readonly reset?: { readonly base: LogBase; readonly keep: boolean }
}

export const persist = (group: GroupId, write: GroupWrite): NonNullable<LogBatch['groups']>[number] => ({
  group,
  persist: {
    entries: write.entries ?? [],
    hardState: write.hardState ?? null,
    reset: write.reset ?? null,
  },
})

export const batchOf = (group: GroupId, write: GroupWrite): LogBatch => ({ groups: [persist(group, write)] })

export const peer = (node: bigint, boot: number): PeerRecord => ({
  node: nodeId(node),
  incarnation: incarnation(node * 7n),
  boot,
  nonce: BigInt.asUintN(64, node * 31n),
})

/** Runs a plan to its end. */
export function carryOut(disk: MemoryDisk, log: LogState, ops: readonly DiskOp[] | null): void {
  if (ops === null) return
  disk.runSync(ops)
  confirm(log)
}

/** Runs a plan; true when it was written, false when there was no space. */
export function attempt(disk: MemoryDisk, log: LogState, ops: readonly DiskOp[] | null): boolean {
  if (ops === null) return true
  try {
    disk.runSync(ops)
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'ENOSPC') throw error
    abandon(log)
    return false
  }
  confirm(log)
  return true
}

export function readGroup(
  disk: MemoryDisk,
  log: LogState,
  group: GroupId,
  from: number,
  to: number,
  bytesMax = Number.POSITIVE_INFINITY,
): readonly Entry[] | string {
  const located = locate(log, group, from, to, bytesMax)
  if (located === null) return []
  const buffers = located.reads.map(({ file, offset, length }) => disk.readSync(file, offset, length))
  const decoded = decodeEntries(log, located, buffers)
  return decoded.ok ? decoded.entries : decoded.damage
}

/** The next step of a purge as operations; null when there is nothing to do. */
export function purgeOps(disk: MemoryDisk, log: LogState): readonly DiskOp[] | null {
  const step = planPurge(log)
  if (step === null) return null
  if (step.kind === 'delete') return planDelete(log, step.below)
  const entries = readGroup(disk, log, step.group, step.from, step.to)
  if (typeof entries === 'string') throw new Error(entries)
  return planMove(log, step.group, entries)
}

export function purgeAll(disk: MemoryDisk, log: LogState): number {
  for (let steps = 0; ; steps++) {
    const ops = purgeOps(disk, log)
    if (ops === null) return steps
    carryOut(disk, log, ops)
  }
}

export const recoverDisk = (disk: MemoryDisk, options: Partial<LogOptions> = OPTIONS): Recovered =>
  recover(disk.listSync(), (file, offset, length) => disk.readSync(file, offset, length), IDENTITY, options)

export type Opened = Recovered & { kind: 'recovered' }

/** Recovers and carries out the repairs. */
export function reopen(disk: MemoryDisk, options: Partial<LogOptions> = OPTIONS): Opened {
  const recovered = recoverDisk(disk, options)
  if (recovered.kind !== 'recovered')
    throw new Error(`${recovered.kind}: ${JSON.stringify(recovered.findings)}`)
  disk.runSync(recovered.repairs)
  return recovered
}

/** What a log promises, without places and sizes: for comparing. */
export interface View {
  readonly groups: Record<string, { hardState: HardState; base: LogBase; entries: string[] }>
  readonly boot: string | null
  readonly peers: string[]
  readonly admitted: boolean
}

export const describe = ({ index, term, kind, time, data }: Entry): string =>
  `${index}/${term}/${kind}/${time}/${Buffer.from(data).toString('latin1')}`

export function viewOf(disk: MemoryDisk, log: LogState): View {
  const groups: View['groups'] = {}
  for (const group of [...log.groups.values()].sort((a, b) => a.group - b.group)) {
    const entries = readGroup(disk, log, group.group, group.base.index + 1, group.last)
    if (typeof entries === 'string') throw new Error(entries)
    groups[group.group] = { hardState: group.hardState, base: group.base, entries: entries.map(describe) }
  }
  const peers = [...log.peers.values()].map(
    ({ peer: p }) => `${p.node}:${p.incarnation}:${p.boot}:${p.nonce}`,
  )
  const boot = log.boot === null ? null : `${log.boot.identity.boot}:${log.boot.identity.nonce}`
  return { groups, boot, peers: peers.sort(), admitted: log.admitted !== null }
}
