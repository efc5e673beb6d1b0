import { entryBytes } from '@kvorum/model'
import type { Entry, GroupId, Index } from '@kvorum/model'
import { RECORD_KINDS } from './format.js'
import { createGroupLog, doubtEntries, doubtGroup } from './groupLog.js'
import type { DecodedRecord } from './payload.js'
import { finding } from './recoveryTable.js'
import type { Finding } from './recoveryTable.js'
import { applyEffect } from './state.js'
import type { LogState } from './state.js'

/** The log as far as it has been read again, and what it will be told to whoever starts. */
export interface Replay {
  readonly log: LogState
  readonly tails: Map<GroupId, Tail>
  readonly cacheBytesMax: number
  readonly findings: Finding[]
  /** Every group has lost something, those that were not seen yet as well. */
  allInDoubt: boolean
  /** What other members' directories looked like may be forgotten. */
  peersInDoubt: boolean
  damaged: Map<GroupId, string>
}

/** What raft wants to have in memory of a group's log: its configurations and its newest entries. */
export interface Tail {
  configs: { readonly index: Index; readonly data: Uint8Array }[]
  cache: Entry[]
  cacheBytes: number
}

export function replayRecord(replay: Replay, record: DecodedRecord): void {
  const { effect, entries } = record
  if ('group' in effect && !replay.log.groups.has(effect.group)) {
    const group = createGroupLog(effect.group)
    if (replay.allInDoubt) doubtGroup(group)
    replay.log.groups.set(effect.group, group)
  }
  applyEffect(replay.log, effect)
  switch (effect.kind) {
    case 'entries':
      replaceTail(tailOf(replay, effect.group), entries, replay.cacheBytesMax)
      return
    case 'moved':
      fillTail(tailOf(replay, effect.group), entries, replay.cacheBytesMax)
      return
    case 'base':
      if (effect.keep) dropConfigs(tailOf(replay, effect.group), effect.base.index)
      else replay.tails.delete(effect.group)
      return
    case 'removed':
      replay.tails.delete(effect.group)
      replay.damaged.delete(effect.group)
      return
    default:
  }
}

function tailOf(replay: Replay, group: GroupId): Tail {
  let tail = replay.tails.get(group)
  if (tail === undefined) replay.tails.set(group, (tail = { configs: [], cache: [], cacheBytes: 0 }))
  return tail
}

function replaceTail(tail: Tail, entries: readonly Entry[], bytesMax: number): void {
  const first = entries[0]!.index
  while ((tail.configs.at(-1)?.index ?? -1) >= first) tail.configs.pop()
  while ((tail.cache.at(-1)?.index ?? -1) >= first) tail.cacheBytes -= entryBytes(tail.cache.pop()!)
  extendTail(tail, entries, bytesMax)
}

/** Moved entries were in the log before: what is known of them already stays. */
function fillTail(tail: Tail, entries: readonly Entry[], bytesMax: number): void {
  for (const { index, kind, data } of entries) {
    if (kind !== 'config' || tail.configs.some(known => known.index === index)) continue
    tail.configs.push({ index, data: Buffer.from(data) })
    tail.configs.sort((a, b) => a.index - b.index)
  }
  const last = tail.cache.at(-1)?.index
  const newer = last === undefined ? entries : entries.filter(({ index }) => index > last)
  cacheEntries(tail, newer, bytesMax)
}

function extendTail(tail: Tail, entries: readonly Entry[], bytesMax: number): void {
  for (const { index, kind, data } of entries)
    if (kind === 'config') tail.configs.push({ index, data: Buffer.from(data) })
  cacheEntries(tail, entries, bytesMax)
}

/** Keeps the newest entries without gaps, oldest dropped first; in twice the room, so that dropping is rare. */
function cacheEntries(tail: Tail, entries: readonly Entry[], bytesMax: number): void {
  const first = entries[0]
  if (first === undefined || bytesMax === 0) return
  if (tail.cache.length > 0 && tail.cache.at(-1)!.index + 1 !== first.index) {
    tail.cache = []
    tail.cacheBytes = 0
  }
  for (const entry of entries) {
    tail.cache.push(entry)
    tail.cacheBytes += entryBytes(entry)
  }
  if (tail.cacheBytes > bytesMax * 2) trimCache(tail, bytesMax)
}

export function trimCache(tail: Tail, bytesMax: number): void {
  let drop = 0
  while (tail.cacheBytes > bytesMax && drop < tail.cache.length)
    tail.cacheBytes -= entryBytes(tail.cache[drop++]!)
  if (drop > 0) tail.cache = tail.cache.slice(drop)
}

/** Cached entries are views of a segment's bytes; copies let go of the segment. */
export function detachTails(replay: Replay): void {
  for (const tail of replay.tails.values()) {
    trimCache(tail, replay.cacheBytesMax)
    tail.cache = tail.cache.map(entry => ({ ...entry, data: Buffer.from(entry.data) }))
  }
}

function dropConfigs(tail: Tail, index: Index): void {
  tail.configs = tail.configs.filter(config => config.index > index)
}

/** A synced record that cannot be read, but whose header can. */
export function loseRecord(
  replay: Replay,
  kind: number,
  rawGroup: number,
  file: string,
  offset: number,
): void {
  switch (kind) {
    case RECORD_KINDS.begin:
    case RECORD_KINDS.cover:
      replay.findings.push(finding('damagedWatermark', file, offset, ''))
      return
    case RECORD_KINDS.boot:
    case RECORD_KINDS.admitted:
    case RECORD_KINDS.purged:
      replay.findings.push(finding('damagedIdentity', file, offset, ''))
      return
    case RECORD_KINDS.peer:
      replay.peersInDoubt = true
      replay.findings.push(finding('damagedIdentity', file, offset, 'what a member looked like'))
      return
    default:
      loseGroupRecord(replay, kind, rawGroup as GroupId, file, offset)
  }
}

function loseGroupRecord(replay: Replay, kind: number, id: GroupId, file: string, offset: number): void {
  const group = replay.log.groups.get(id) ?? createGroupLog(id)
  replay.log.groups.set(id, group)
  replay.damaged.set(id, `${file} is damaged at ${offset}`)
  replay.findings.push(finding('damagedRecord', file, offset, `group ${id}`))
  switch (kind) {
    case RECORD_KINDS.hardState:
      group.hardStateDoubt = true
      return
    case RECORD_KINDS.entries:
      doubtEntries(group)
      replay.tails.delete(id)
      return
    case RECORD_KINDS.base:
      doubtEntries(group)
      group.baseDoubt = true
      replay.tails.delete(id)
      return
    case RECORD_KINDS.moved:
      // The entries were elsewhere before. Where that is gone, a gap will show.
      return
    default:
      doubtGroup(group)
      replay.tails.delete(id)
  }
}

/** Synced records are gone and nothing says whose they were. */
export function loseRecords(replay: Replay): void {
  replay.allInDoubt = true
  replay.peersInDoubt = true
  for (const group of replay.log.groups.values()) doubtGroup(group)
  replay.tails.clear()
}
