import { crc32 } from 'node:zlib'
import { META_GROUP, type GroupId, type Index, type KeyRange, type Term } from '@kvorum/model'
import { loadMachine, runStep } from '@kvorum/machine'
import { decodeMetaRow, META_ROW } from '@kvorum/placement'
import type { MemoryEngine } from '@kvorum/storage'

/** What a state store says about one group, read from its rows and from nowhere else. */
export interface StoredState {
  readonly applied: Index
  readonly appliedTerm: Term
  /** Empty where there is none (the meta group, or no state yet). */
  readonly digest: string
  readonly installing: boolean
  readonly compacted: number
}

export const NOTHING_STORED: StoredState = {
  applied: 0,
  appliedTerm: 0,
  digest: '',
  installing: false,
  compacted: 0,
}

export const checksum = (bytes: Uint8Array, seed?: number): number => crc32(bytes, seed)

export function storedState(engine: MemoryEngine, group: GroupId, range: KeyRange | null): StoredState {
  if (group === META_GROUP || range === null) {
    const row = engine.fetchSync({ gets: [META_ROW], scans: [] }).values[0] ?? null
    if (row === null) return NOTHING_STORED
    const { applied, appliedTerm } = decodeMetaRow(row)
    return { ...NOTHING_STORED, applied, appliedTerm }
  }
  const machine = runStep(loadMachine({ group, range, checksum }), need => engine.fetchSync(need))
  if (machine === null) return NOTHING_STORED
  const { applied, appliedTerm, digest, installing, compactRevision } = machine
  return { applied, appliedTerm, digest: `${digest}`, installing, compacted: compactRevision }
}
