import { groupId, incarnation, nodeId } from '@kvorum/model'
import type { BootIdentity, Entry, EntryKind, ReplicaId, Term } from '@kvorum/model'
import { asBuffer, getU64, RECORD_KINDS } from './format.js'
import { ENTRY_HEADER_BYTES, ENTRY_KINDS, RUN_HEADER_BYTES } from './items.js'
import type { Place } from './rows.js'
import type { LogEffect } from './state.js'

/** What a record says, read back. Null for bytes that no writer of this format produces. */
export interface DecodedRecord {
  readonly effect: LogEffect
  /** With 'entries' and 'moved'. Data are views. */
  readonly entries: readonly Entry[]
}

const KIND_OF_ENTRY = new Map<number, EntryKind>(
  Object.entries(ENTRY_KINDS).map(([name, number]) => [number, name as EntryKind]),
)

const NO_ENTRIES: readonly Entry[] = []

export function decodePayload(
  kind: number,
  rawGroup: number,
  payload: Buffer,
  place: Place,
): DecodedRecord | null {
  if (kind === RECORD_KINDS.entries || kind === RECORD_KINDS.moved) {
    const run = decodeRun(payload)
    if (run === null) return null
    const { term, entries } = run
    const last = entries.at(-1)!
    const row = { ...place, first: entries[0]!.index, last: last.index, term }
    const name = kind === RECORD_KINDS.entries ? 'entries' : 'moved'
    return { effect: { kind: name, group: groupId(rawGroup), row, time: last.time }, entries }
  }
  const effect = decodeSmall(kind, rawGroup, payload, place.segment)
  return effect === null ? null : { effect, entries: NO_ENTRIES }
}

function decodeSmall(kind: number, rawGroup: number, payload: Buffer, segment: number): LogEffect | null {
  const group = groupId(rawGroup)
  const { length } = payload
  switch (kind) {
    case RECORD_KINDS.hardState: {
      if (length !== 24) return null
      const vote = getU64(payload, 8) as ReplicaId
      const hardState = { term: getU64(payload, 0), vote, commit: getU64(payload, 16) }
      return { kind: 'hardState', group, hardState, segment }
    }
    case RECORD_KINDS.base: {
      if (length !== 25 || payload[16]! > 1) return null
      const base = { index: getU64(payload, 0), term: getU64(payload, 8) }
      return { kind: 'base', group, base, keep: payload[16] === 1, time: getU64(payload, 17), segment }
    }
    case RECORD_KINDS.removed:
      return length === 0 ? { kind: 'removed', group } : null
    case RECORD_KINDS.boot:
      return length === 24 ? { kind: 'boot', identity: decodeBoot(payload, 0), segment } : null
    case RECORD_KINDS.peer: {
      if (length !== 32) return null
      const node = nodeId(payload.readBigUInt64BE(0))
      return { kind: 'peer', peer: { node, ...decodeBoot(payload, 8) }, segment }
    }
    case RECORD_KINDS.admitted:
      return length === 0 ? { kind: 'admitted', segment } : null
    case RECORD_KINDS.purged:
      return length === 8 ? { kind: 'purged', below: getU64(payload, 0) } : null
    default:
      return null
  }
}

const decodeBoot = (payload: Buffer, offset: number): BootIdentity => ({
  incarnation: incarnation(payload.readBigUInt64BE(offset)),
  boot: getU64(payload, offset + 8),
  nonce: payload.readBigUInt64BE(offset + 16),
})

/** A run of entries of one term; never empty. */
export function decodeRun(payload: Uint8Array): { term: Term; entries: Entry[] } | null {
  const bytes = asBuffer(payload)
  if (bytes.length < RUN_HEADER_BYTES) return null
  const first = getU64(bytes, 0)
  const term = getU64(bytes, 8)
  const count = bytes.readUInt32BE(16)
  if (count === 0 || !Number.isSafeInteger(first + count) || !Number.isSafeInteger(term)) return null
  if (count * ENTRY_HEADER_BYTES > bytes.length - RUN_HEADER_BYTES) return null
  const entries: Entry[] = []
  let at = RUN_HEADER_BYTES
  for (let i = 0; i < count; i++) {
    if (at + ENTRY_HEADER_BYTES > bytes.length) return null
    const kind = KIND_OF_ENTRY.get(bytes[at]!)
    const time = bytes.readUIntBE(at + 1, 6)
    const end = at + ENTRY_HEADER_BYTES + bytes.readUInt32BE(at + 7)
    if (kind === undefined || end > bytes.length) return null
    entries.push({ index: first + i, term, kind, time, data: bytes.subarray(at + ENTRY_HEADER_BYTES, end) })
    at = end
  }
  return at === bytes.length ? { term, entries } : null
}
