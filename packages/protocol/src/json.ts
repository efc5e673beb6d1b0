import { MalformedError } from '@kvorum/model'
import { fitsInt64, fitsUint64, saturate } from './integer.js'
import { isExactInteger, exactInteger } from './jsonText.js'
import { NO_ITEMS, type EnumPlan, type FieldPlan, type MessagePlan } from './schema.js'

/**
 * proto3 JSON as etcd's gateway speaks it. In: both spellings of names, integers as strings or numbers, enums
 * by name or number, base64 of both alphabets, unknown fields ignored, null is "not sent". Out: names as in
 * the .proto file, 64-bit integers as strings, enums as names, defaults left out.
 */
export type JsonValue = string | number | boolean | JsonRecord | readonly JsonValue[]
export interface JsonRecord {
  readonly [name: string]: JsonValue
}

type Row = Record<string, unknown>

const NESTING_MAX = 100

export function fromJson(plan: MessagePlan, value: unknown): Row {
  return readRecord(plan, value, plan.name, 0)
}

function readRecord(plan: MessagePlan, value: unknown, path: string, depth: number): Row {
  if (depth > NESTING_MAX) throw new MalformedError(`messages nested deeper than ${NESTING_MAX}`)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw expected('an object', path)
  const message: Row = { ...plan.template }
  const seen = new Set<string>()
  for (const key of Object.keys(value)) {
    const field = plan.byJsonName.get(key)
    const given: unknown = (value as Row)[key]
    if (field === undefined || given === null) continue
    const where = `${path}.${key}`
    if (seen.has(field.name)) throw new MalformedError(`${where}: given twice`)
    if (field.oneof?.some(member => seen.has(member)) === true)
      throw new MalformedError(`${where}: only one of ${field.oneof.join(', ')} can be given`)
    seen.add(field.name)
    message[field.name] = field.repeated
      ? readList(field, given, where, depth)
      : readField(field, given, where, depth)
  }
  return message
}

function readList(field: FieldPlan, value: unknown, path: string, depth: number): readonly unknown[] {
  if (!Array.isArray(value)) throw expected('an array', path)
  if (value.length === 0) return NO_ITEMS
  return value.map((item: unknown, i) => readField(field, item, `${path}[${i}]`, depth))
}

function readField(field: FieldPlan, value: unknown, path: string, depth: number): unknown {
  switch (field.kind) {
    case 'message':
      return readRecord(field.message!, value, path, depth + 1)
    case 'bytes':
      return readBytes(value, path)
    case 'string':
      if (typeof value !== 'string' || isExactInteger(value)) throw expected('a string', path)
      return value
    case 'bool':
      if (typeof value !== 'boolean') throw expected('true or false', path)
      return value
    case 'enum':
      return readEnum(field.enum!, value, path)
    case 'id':
      return readInteger(value, path, field.signed)
    case 'count':
      return saturate(readInteger(value, path, field.signed))
    case 'int32':
    case 'uint32':
      return readSmall(value, path, field.signed)
  }
}

function readInteger(value: unknown, path: string, signed: boolean): bigint {
  const integer = integerOf(value)
  if (integer === null) throw expected('an integer', path)
  if (!(signed ? fitsInt64(integer) : fitsUint64(integer)))
    throw new MalformedError(`${path}: out of range for ${signed ? 'int64' : 'uint64'}`)
  return integer
}

function readSmall(value: unknown, path: string, signed: boolean): number {
  const integer = integerOf(value)
  if (integer === null) throw expected('an integer', path)
  if ((signed ? BigInt.asIntN(32, integer) : BigInt.asUintN(32, integer)) !== integer)
    throw new MalformedError(`${path}: out of range for ${signed ? 'int32' : 'uint32'}`)
  return Number(integer)
}

function integerOf(value: unknown): bigint | null {
  // longer literals arrive as text: a number beyond 2^53 was a fraction or had an exponent
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : null
  if (typeof value !== 'string') return null
  const exact = exactInteger(value)
  // the length bound keeps hostile digits from becoming a huge bigint
  return /^-?[0-9]{1,40}$/.test(exact) ? BigInt(exact) : null
}

function readEnum(plan: EnumPlan, value: unknown, path: string): number {
  if (typeof value === 'string') {
    const number = plan.byName.get(value)
    if (number === undefined) throw new MalformedError(`${path}: no such value of ${plan.name}`)
    return number
  }
  return typeof value === 'number' ? readSmall(value, path, true) : fail(expected('a name or a number', path))
}

function readBytes(value: unknown, path: string): Uint8Array {
  if (typeof value !== 'string') throw expected('a base64 string', path)
  const digits = /^[A-Za-z0-9+/_-]*/.exec(value)![0].length
  const padding = value.length - digits
  const padded = padding === 0 || (digits + padding) % 4 === 0
  if (digits % 4 === 1 || padding > 2 || !padded || !'=='.startsWith(value.slice(digits)))
    throw new MalformedError(`${path}: not base64`)
  // Node's decoder takes both alphabets
  return Buffer.from(value, 'base64')
}

const expected = (what: string, path: string): MalformedError =>
  new MalformedError(`${path}: expected ${what}`)

function fail(error: MalformedError): never {
  throw error
}

export function toJson(plan: MessagePlan, message: Row): JsonRecord {
  const out: Record<string, JsonValue> = {}
  for (const field of plan.fields) {
    const value = message[field.name]
    if (value === undefined || value === null) continue
    if (field.repeated) {
      const items = value as readonly unknown[]
      if (items.length > 0) out[field.name] = items.map(item => fieldToJson(field, item))
    } else if (field.oneof !== null || !isDefault(field, value)) out[field.name] = fieldToJson(field, value)
  }
  return out
}

function isDefault(field: FieldPlan, value: unknown): boolean {
  if (field.kind === 'message') return false
  if (field.kind === 'bytes') return (value as Uint8Array).length === 0
  return value === 0 || value === 0n || value === false || value === ''
}

function fieldToJson(field: FieldPlan, value: unknown): JsonValue {
  switch (field.kind) {
    case 'message':
      return toJson(field.message!, value as Row)
    case 'bytes':
      return base64(value as Uint8Array)
    case 'count':
      return String(value as number)
    case 'id':
      return String(field.signed ? value : BigInt.asUintN(64, value as bigint))
    case 'enum':
      return field.enum!.byNumber.get(value as number) ?? (value as number)
    default:
      return value as string | number | boolean
  }
}

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
