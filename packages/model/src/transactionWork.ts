import { ByteReader, ByteWriter, MalformedError, readMany } from './codec.js'
import { readOp, writeOp } from './command.js'
import { leaseId, type LeaseId } from './ids.js'
import { isPoint, rangeContains, type KeyRange } from './range.js'
import { readRange, writeRange } from './rangeCodec.js'
import { EMPTY } from './bytes.js'
import type { Op } from './ops.js'

/**
 * What a transaction does, as every shard that takes part keeps it until the end. The operation stays whole, so that
 * branches and positions are counted alike everywhere; each shard carries out what lies in its range.
 */
export type TransactionWork =
  | { readonly kind: 'op'; readonly op: Op }
  /**
   * An operation that attaches keys to leases. The leases' home takes part, whether it has keys of it or not, and
   * remembers `ranges`: where the keys are that it has not itself.
   */
  | {
      readonly kind: 'attach'
      readonly op: Op
      readonly leases: readonly LeaseId[]
      readonly ranges: readonly KeyRange[]
    }
  /** The lease ends with all its keys. `ranges`: where else the home is believed to know of keys. */
  | { readonly kind: 'revoke'; readonly lease: LeaseId; readonly ranges: readonly KeyRange[] }

const WORKS = { op: 1, attach: 2, revoke: 3 } as const

/** Which leases a transaction holds while it is prepared: those who attach do it together, who ends one does it alone. */
export interface LeaseLocks {
  readonly leases: readonly LeaseId[]
  readonly ends: boolean
}

const NO_LEASES: LeaseLocks = { leases: [], ends: false }

/** What `work` holds of leases. Looks at no more than it must. */
export function leaseLocksOf(work: Uint8Array): LeaseLocks {
  const kind = work[0]
  if (kind !== WORKS.attach && kind !== WORKS.revoke) return NO_LEASES
  const input = new ByteReader(work)
  input.u8()
  return kind === WORKS.revoke
    ? { leases: [leaseId(input.u64())], ends: true }
    : { leases: readMany(input, () => leaseId(input.u64())), ends: false }
}

export function encodeWork(work: TransactionWork): Uint8Array {
  const out = new ByteWriter().u8(WORKS[work.kind])
  switch (work.kind) {
    case 'op':
      break
    case 'attach':
      out.varint(work.leases.length)
      for (const lease of work.leases) out.u64(lease)
      writeRanges(out, work.ranges)
      break
    case 'revoke':
      writeRanges(out.u64(work.lease), work.ranges)
      return out.finish()
  }
  writeOp(out, work.op)
  return out.finish()
}

function writeRanges(out: ByteWriter, ranges: readonly KeyRange[]): void {
  out.varint(ranges.length)
  for (const range of ranges) writeRange(out, range)
}

export function decodeWork(bytes: Uint8Array): TransactionWork {
  const input = new ByteReader(bytes)
  const work = readWork(input.u8(), input)
  input.end()
  return work
}

function readWork(kind: number, input: ByteReader): TransactionWork {
  switch (kind) {
    case WORKS.op:
      return { kind: 'op', op: readOp(input, 0) }
    case WORKS.attach: {
      const leases = readMany(input, () => leaseId(input.u64()))
      const ranges = readMany(input, () => readRange(input))
      return { kind: 'attach', leases, ranges, op: readOp(input, 0) }
    }
    case WORKS.revoke: {
      const lease = leaseId(input.u64())
      return { kind: 'revoke', lease, ranges: readMany(input, () => readRange(input)) }
    }
    default:
      throw new MalformedError(`work of kind ${kind} is not known`)
  }
}

/** The operation without the values of puts outside `range`: nobody there asks for them. */
export function opFor(op: Op, range: KeyRange): Op {
  switch (op.kind) {
    case 'put':
      return rangeContains(range, op.key) ? op : { ...op, value: EMPTY }
    case 'txn':
      return {
        ...op,
        compares: op.compares.map(compare =>
          compare.target !== 'value' || !isPoint(compare.range) || rangeContains(range, compare.range.start)
            ? compare
            : { ...compare, operand: EMPTY },
        ),
        success: op.success.map(nested => opFor(nested, range)),
        failure: op.failure.map(nested => opFor(nested, range)),
      }
    default:
      return op
  }
}
