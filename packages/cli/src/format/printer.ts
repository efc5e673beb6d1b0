import { hexEscape, quote } from './quote.js'
import type { Format, GlobalValues } from '../globals.js'
import type { Io } from '../io.js'
import type { pb } from '@kvorum/protocol'

/** Prints answers the way the user asked for. Keys and values go out as the bytes they are. */
export interface Printer {
  readonly format: Format
  /** A key or a value, and the end of the line. */
  bytes(bytes: Uint8Array): void
  line(text: string): void
  /** One row of the fields format. */
  field(name: string, value: Uint8Array | bigint | number | boolean | string): void
}

export function createPrinter(io: Io, flags: Pick<GlobalValues, 'write-out' | 'hex'>): Printer {
  const show = (bytes: Uint8Array): string | Uint8Array => (flags.hex ? hexEscape(bytes) : bytes)
  return {
    format: flags['write-out'],
    bytes: bytes => {
      io.write(show(bytes))
      io.write('\n')
    },
    line: text => io.write(`${text}\n`),
    field: (name, value) => {
      const shown = !(value instanceof Uint8Array)
        ? String(value)
        : flags.hex
          ? `"${hexEscape(value)}"`
          : quote(value)
      io.write(`"${name}" : ${shown}\n`)
    },
  }
}

export function printHeaderFields(out: Printer, header: pb.ResponseHeader | null): void {
  out.field('ClusterID', header?.cluster_id ?? 0n)
  out.field('MemberID', header?.member_id ?? 0n)
  out.field('Revision', header?.revision ?? 0)
  out.field('RaftTerm', header?.raft_term ?? 0)
}

export function printKeyValueFields(out: Printer, prefix: '' | 'Prev', kv: pb.KeyValue): void {
  out.field(`${prefix}Key`, kv.key)
  out.field(`${prefix}CreateRevision`, kv.create_revision)
  out.field(`${prefix}ModRevision`, kv.mod_revision)
  out.field(`${prefix}Version`, kv.version)
  out.field(`${prefix}Value`, kv.value)
  out.field(`${prefix}Lease`, kv.lease)
}

export function printPair(out: Printer, kv: pb.KeyValue): void {
  out.bytes(kv.key)
  out.bytes(kv.value)
}
