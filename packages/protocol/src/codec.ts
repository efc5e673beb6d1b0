import { MalformedError } from '@kvorum/model'
import { fromJson, toJson, type JsonRecord } from './json.js'
import type { Messages } from './messages.js'
import { DELIMITED, NO_ITEMS, planFor, VARINT } from './schema.js'
import type { FieldPlan, MessageName, MessagePlan } from './schema.js'
import { WireReader } from './wireReader.js'
import { WireWriter } from './wireWriter.js'

/** A message to be encoded: any field may be left out, at any depth. */
export type Init<Message> = Message extends Uint8Array | bigint | number | string | boolean | null
  ? Message
  : Message extends readonly (infer Item)[]
    ? readonly Init<Item>[]
    : { readonly [Field in keyof Message]?: Init<Message[Field]> | undefined }

/** Decoded byte strings are views of the input: copy what outlives the request. */
export interface Codec<Message> {
  readonly name: MessageName
  encode(message: Init<Message>): Uint8Array
  /** Throws MalformedError. */
  decode(bytes: Uint8Array): Message
  toJson(message: Init<Message>): JsonRecord
  /** Of a parsed JSON value. Throws MalformedError. */
  fromJson(value: unknown): Message
}

/** Messages nested deeper than this are refused, so that hostile bytes cannot exhaust the stack. */
export const NESTING_MAX = 100

type Row = Record<string, unknown>

export function codec<Name extends MessageName>(name: Name): Codec<Messages[Name]> {
  const plan = planFor(name)
  return {
    name,
    encode: message => encodeMessage(plan, message as Row),
    decode: bytes => decodeMessage(plan, bytes) as Messages[Name],
    toJson: message => toJson(plan, message as Row),
    fromJson: value => fromJson(plan, value) as Messages[Name],
  }
}

function encodeMessage(plan: MessagePlan, message: Row): Uint8Array {
  const out = new WireWriter()
  writeMessage(out, plan, message)
  return out.finish()
}

/** Fields last to first: the writer goes backwards. */
function writeMessage(out: WireWriter, plan: MessagePlan, message: Row): void {
  for (let i = plan.fields.length - 1; i >= 0; i--) {
    const field = plan.fields[i]!
    const value = message[field.name]
    if (value === undefined || value === null) continue
    if (field.repeated) writeList(out, field, value as readonly unknown[])
    else if (field.oneof !== null || !isDefault(value)) {
      writeValue(out, field, value)
      out.varint(field.tag)
    }
  }
}

const isDefault = (value: unknown): boolean =>
  value === 0 ||
  value === false ||
  value === 0n ||
  value === '' ||
  (value instanceof Uint8Array && value.length === 0)

function writeList(out: WireWriter, field: FieldPlan, items: readonly unknown[]): void {
  if (items.length === 0) return
  if (isDelimited(field)) {
    for (let i = items.length - 1; i >= 0; i--) {
      writeValue(out, field, items[i])
      out.varint(field.tag)
    }
    return
  }
  const before = out.length
  for (let i = items.length - 1; i >= 0; i--) writeValue(out, field, items[i])
  out.varint(out.length - before)
  out.varint(field.tag)
}

function writeValue(out: WireWriter, field: FieldPlan, value: unknown): void {
  switch (field.kind) {
    case 'bytes':
      return out.bytes(value as Uint8Array)
    case 'string':
      return out.string(value as string)
    case 'bool':
      return out.bool(value as boolean)
    case 'id':
      return out.id(value as bigint)
    case 'message': {
      const before = out.length
      writeMessage(out, field.message!, value as Row)
      return out.varint(out.length - before)
    }
    default:
      return out.count(value as number)
  }
}

const isDelimited = (field: FieldPlan): boolean =>
  field.kind === 'message' || field.kind === 'bytes' || field.kind === 'string'

function decodeMessage(plan: MessagePlan, bytes: Uint8Array): Row {
  const input = new WireReader(bytes)
  const message = { ...plan.template }
  readMessage(input, plan, message, input.length, 0)
  return message
}

/** Fills `message` from the bytes up to `end`. A field sent again wins; a message sent again is merged. */
function readMessage(input: WireReader, plan: MessagePlan, message: Row, end: number, depth: number): void {
  if (depth > NESTING_MAX) throw new MalformedError(`messages nested deeper than ${NESTING_MAX}`)
  while (input.at < end) {
    const tag = input.tag()
    const wire = tag & 7
    const field = plan.byNumber[tag >>> 3]
    if (field === undefined) input.skip(wire, end)
    else if (field.repeated) readItems(input, field, message, wire, end, depth)
    else {
      if (wire !== (isDelimited(field) ? DELIMITED : VARINT)) throw wrongWire(field, wire)
      message[field.name] = readValue(input, field, message[field.name], end, depth)
      if (field.oneof !== null) clearOthers(message, field)
    }
    if (input.at > end) throw new MalformedError(`${plan.name} ends inside a field`)
  }
}

const wrongWire = (field: FieldPlan, wire: number): MalformedError =>
  new MalformedError(`field ${field.name} cannot have wire type ${wire}`)

function clearOthers(message: Row, field: FieldPlan): void {
  for (const other of field.oneof!) if (other !== field.name) message[other] = null
}

function readItems(
  input: WireReader,
  field: FieldPlan,
  message: Row,
  wire: number,
  end: number,
  depth: number,
): void {
  let items = message[field.name] as unknown[]
  if (items === NO_ITEMS) message[field.name] = items = []
  const packed = wire === DELIMITED && !isDelimited(field)
  if (!packed && wire !== (isDelimited(field) ? DELIMITED : VARINT)) throw wrongWire(field, wire)
  if (!packed) {
    items.push(readValue(input, field, null, end, depth))
    return
  }
  const stop = input.delimited(end)
  while (input.at < stop) items.push(readValue(input, field, null, stop, depth))
}

function readValue(
  input: WireReader,
  field: FieldPlan,
  before: unknown,
  end: number,
  depth: number,
): unknown {
  switch (field.kind) {
    case 'bytes':
      return input.bytes(end)
    case 'string':
      return input.string(end)
    case 'bool':
      return input.bool()
    case 'int32':
    case 'enum':
      return input.int32()
    case 'uint32':
      return input.uint32()
    case 'count':
      return input.count(field.signed)
    case 'id':
      return input.id(field.signed)
    case 'message': {
      const stop = input.delimited(end)
      const plan = field.message!
      const nested = before === null ? { ...plan.template } : (before as Row)
      readMessage(input, plan, nested, stop, depth + 1)
      return nested
    }
  }
}
