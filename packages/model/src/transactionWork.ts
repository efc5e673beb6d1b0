import { ByteReader, ByteWriter, MalformedError } from './codec.js'
import { readOp, writeOp } from './command.js'
import { isPoint, rangeContains, type KeyRange } from './range.js'
import { EMPTY } from './bytes.js'
import type { Op } from './ops.js'

/**
 * What a transaction does, as every shard that takes part keeps it until the end. The operation stays whole, so that
 * branches and positions are counted alike everywhere; each shard carries out what lies in its range.
 */
export interface TransactionWork {
  readonly kind: 'op'
  readonly op: Op
}

const WORKS = { op: 1 } as const

export function encodeWork(work: TransactionWork): Uint8Array {
  const out = new ByteWriter().u8(WORKS[work.kind])
  writeOp(out, work.op)
  return out.finish()
}

export function decodeWork(bytes: Uint8Array): TransactionWork {
  const input = new ByteReader(bytes)
  const kind = input.u8()
  if (kind !== WORKS.op) throw new MalformedError(`work of kind ${kind} is not known`)
  const op = readOp(input, 0)
  input.end()
  return { kind: 'op', op }
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
