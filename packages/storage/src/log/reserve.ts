import { assert } from '@kvorum/model'
import type { DiskOp } from '../disk.js'
import { RESERVE_FILE, TEMPORARY_SUFFIX } from './format.js'
import type { LogState } from './state.js'

/**
 * The reserve file holds disk space for the moment when there is none: given up, it makes room for votes, hard
 * states and the records of a purge. It is made again when there is room. Both are plans like a batch: confirm
 * or abandon them.
 */
const TEMPORARY = `${RESERVE_FILE}${TEMPORARY_SUFFIX}`
const PIECE_BYTES = 1024 * 1024

/** Null where there is no reserve to give up. */
export function planReleaseReserve(log: LogState): DiskOp[] | null {
  if (!log.reserve) return null
  return planReserve(log, false, [{ kind: 'remove', file: RESERVE_FILE }, { kind: 'syncDirectory' }])
}

/** Null where the reserve is there. Fails with no space like any other write. */
export function planRestoreReserve(log: LogState): DiskOp[] | null {
  if (log.reserve) return null
  const { reserveBytes } = log.options
  return planReserve(log, true, [
    { kind: 'remove', file: TEMPORARY },
    { kind: 'create', file: TEMPORARY },
    { kind: 'write', file: TEMPORARY, offset: 0, chunks: filler(reserveBytes) },
    { kind: 'sync', file: TEMPORARY },
    { kind: 'rename', from: TEMPORARY, to: RESERVE_FILE },
    { kind: 'syncDirectory' },
  ])
}

function planReserve(log: LogState, present: boolean, ops: readonly DiskOp[]): DiskOp[] {
  assert(log.planned === null, () => 'the last plan is neither confirmed nor abandoned')
  const planned = [...log.cleanup, ...ops]
  log.planned = {
    effects: [],
    roll: null,
    end: null,
    covered: log.covered,
    removedBelow: null,
    reserve: present,
    cleanup: present ? [{ kind: 'remove', file: TEMPORARY }] : [],
  }
  return planned
}

/** Bytes that a file system which stores runs of zeros for free has to store. */
function filler(bytes: number): Uint8Array[] {
  const piece = Buffer.allocUnsafe(Math.min(bytes, PIECE_BYTES))
  let state = 0x9e3779b9
  for (let at = 0; at < piece.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    piece[at] = state >>> 24
  }
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes; at += piece.length)
    chunks.push(piece.subarray(0, Math.min(piece.length, bytes - at)))
  return chunks
}
