import { prefixEnd } from '@kvorum/model'
import { pb } from '@kvorum/protocol'
import type { RequestedRange } from '../keyRange.js'
import type { Printer } from './printer.js'
import { quote } from './quote.js'

const TYPE_NAMES = ['READ', 'WRITE', 'READWRITE']

const shown = (key: Uint8Array): string => quote(key).slice(1, -1)
const isOpen = (end: Uint8Array): boolean => end.length === 1 && end[0] === 0

/** As etcd's command prints ranges. */
export function rangeText({ key, range_end: end }: RequestedRange): string {
  if (end.length === 0) return shown(key)
  const start = isOpen(key) ? '' : shown(key)
  return isOpen(end) ? `[${start}, <open ended>` : `[${start}, ${shown(end)})`
}

const prefixText = ({ key, range_end: end }: RequestedRange): string => {
  if (isOpen(key) && isOpen(end)) return ' (prefix )'
  const isPrefix = end.length > 0 && Buffer.compare(prefixEnd(key) ?? Buffer.of(0), end) === 0
  return isPrefix ? ` (prefix ${shown(key)})` : ''
}

export function printRole(out: Printer, name: string, { perm }: pb.AuthRoleGetResponse): void {
  out.line(`Role ${name}`)
  const section = (title: string, other: number): void => {
    out.line(title)
    for (const each of perm) if (each.permType !== other) out.line(`\t${rangeText(each)}${prefixText(each)}`)
  }
  section('KV Read:', pb.PermissionType.WRITE)
  section('KV Write:', pb.PermissionType.READ)
}

/** Beside the header. */
export function printRoleFields(out: Printer, { perm }: pb.AuthRoleGetResponse): void {
  for (const { permType, key, range_end } of perm) {
    out.line(`"PermType" :  ${TYPE_NAMES[permType] ?? permType}`)
    out.field('Key', key)
    out.field('RangeEnd', range_end)
  }
}
