import { ByteReader, ByteWriter, MalformedError, readMany } from './codec.js'
import { readOp, writeOp, type SessionTag } from './command.js'
import { leaseId, NO_LEASE, sessionId, type LeaseId } from './ids.js'
import { isPoint, rangeContains, type KeyRange } from './range.js'
import { readRange, writeRange } from './rangeCodec.js'
import { EMPTY } from './bytes.js'
import type { Op } from './ops.js'

/**
 * What a transaction does, as every shard that takes part keeps it until the end. The operation stays whole, so that
 * branches and positions are counted alike everywhere; each shard carries out what lies in its range.
 */
export type TransactionWork = OperationWork | RevokeWork

export type OperationWork =
  | { readonly kind: 'op'; readonly op: Op; readonly session?: SessionWrite }
  /**
   * An operation that attaches keys to leases. The leases' home takes part, whether it has keys of it or not, and
   * remembers `ranges`: where the keys are that it has not itself.
   */
  | {
      readonly kind: 'attach'
      readonly op: Op
      readonly leases: readonly LeaseId[]
      readonly ranges: readonly KeyRange[]
      readonly session?: SessionWrite
    }

/** The lease ends with all its keys. `ranges`: where else the home is believed to know of keys. */
export interface RevokeWork {
  readonly kind: 'revoke'
  readonly lease: LeaseId
  readonly ranges: readonly KeyRange[]
}

/** In the session's home only: which write of which session it is. */
export interface SessionWrite {
  readonly tag: SessionTag
  /** The session's, which must not end before the write is decided. The home fills it in; before that, none. */
  readonly lease: LeaseId
}

const WORKS = { op: 1, attach: 2, revoke: 3, session: 4 } as const

/** Which leases a transaction holds while it is prepared: those who attach do it together, who ends one does it alone. */
export interface LeaseLocks {
  readonly leases: readonly LeaseId[]
  readonly ends: boolean
}

const NO_LEASES: LeaseLocks = { leases: [], ends: false }

/** What `work` holds of leases. Looks at no more than it must. */
export function leaseLocksOf(work: Uint8Array): LeaseLocks {
  const holds = work[0]
  if (holds !== WORKS.attach && holds !== WORKS.revoke && holds !== WORKS.session) return NO_LEASES
  const input = new ByteReader(work)
  const first = input.u8()
  const session = first === WORKS.session ? readSessionWrite(input) : null
  const own = session === null || session.lease === NO_LEASE ? [] : [session.lease]
  const kind = session === null ? first : input.u8()
  if (kind === WORKS.revoke) return { leases: [leaseId(input.u64())], ends: true }
  const attached = kind === WORKS.attach ? readMany(input, () => leaseId(input.u64())) : []
  return { leases: [...own, ...attached], ends: false }
}

/** Which write of a session it is, as the session's home knows it; null: of none. Looks at no more than it must. */
export function sessionWriteOf(work: Uint8Array): SessionWrite | null {
  if (work[0] !== WORKS.session) return null
  const input = new ByteReader(work)
  input.u8()
  return readSessionWrite(input)
}

function writeSessionWrite(out: ByteWriter, { tag, lease }: SessionWrite): void {
  out.u64(tag.session).varint(tag.sequence).varint(tag.acknowledgedBelow).u64(lease)
}

const readSessionWrite = (input: ByteReader): SessionWrite => ({
  tag: {
    session: sessionId(input.u64()),
    sequence: input.varint(),
    acknowledgedBelow: input.varint(),
  },
  lease: leaseId(input.u64()),
})

export function encodeWork(work: TransactionWork): Uint8Array {
  const out = new ByteWriter()
  if (work.kind !== 'revoke' && work.session !== undefined)
    writeSessionWrite(out.u8(WORKS.session), work.session)
  out.u8(WORKS[work.kind])
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
    case WORKS.session: {
      const session = readSessionWrite(input)
      const work = readWork(input.u8(), input)
      if (work.kind === 'revoke' || work.session !== undefined)
        throw new MalformedError('only an operation belongs to a session, and to one')
      return { ...work, session }
    }
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
