import protobuf from 'protobufjs/light.js'
import { assert, EMPTY } from '@kvorum/model'
import bundle from './bundle.json' with { type: 'json' }
import { ID_FIELDS, type Messages } from './messages.js'

/**
 * The messages of proto/ in the form the codecs walk: one plan per message, fields found by number and by
 * JSON name. Reflected once, when this module loads.
 */
export type MessageName = keyof Messages

/** `count` and `id` are 64-bit integers: a number in our records, or a bigint (see integer.ts). */
export type FieldKind = 'bytes' | 'string' | 'bool' | 'int32' | 'uint32' | 'count' | 'id' | 'enum' | 'message'

export interface FieldPlan {
  /** As the .proto file spells it; also the name in our records and in JSON answers. */
  readonly name: string
  /** The other spelling that JSON requests may use. */
  readonly camelName: string
  readonly number: number
  /** Field number and wire type as the wire has them (for repeated numbers: the packed form). */
  readonly tag: number
  readonly kind: FieldKind
  /** Of the integer kinds. */
  readonly signed: boolean
  readonly repeated: boolean
  /** All members of the oneof the field is part of, itself included. */
  readonly oneof: readonly string[] | null
  readonly message: MessagePlan | null
  readonly enum: EnumPlan | null
}

export interface EnumPlan {
  readonly name: string
  readonly byName: ReadonlyMap<string, number>
  readonly byNumber: ReadonlyMap<number, string>
}

export interface MessagePlan {
  readonly name: string
  /** In the order of their numbers, which is the order of canonical encoding. */
  readonly fields: readonly FieldPlan[]
  readonly byNumber: readonly (FieldPlan | undefined)[]
  readonly byJsonName: ReadonlyMap<string, FieldPlan>
  /** A record with every field at its default; copied at the start of a decode. */
  readonly template: Readonly<Record<string, unknown>>
}

/** What a repeated field without elements is. */
export const NO_ITEMS: readonly unknown[] = Object.freeze([])

export const VARINT = 0
export const FIXED64 = 1
export const DELIMITED = 2
export const FIXED32 = 5

/** The reflected schema itself; for reflection services. */
export const schema: protobuf.Root = protobuf.Root.fromJSON(bundle)
schema.resolveAll()

const plans = new Map<string, MessagePlan>()
for (const type of typesOf(schema)) planOf(type)

export function planFor(name: string): MessagePlan {
  const plan = plans.get(name)
  assert(plan !== undefined, () => `there is no message ${name}`)
  return plan
}

export const messageNames = (): MessageName[] => [...plans.keys()] as MessageName[]

function typesOf(namespace: protobuf.NamespaceBase): protobuf.Type[] {
  return namespace.nestedArray.flatMap(nested => [
    ...(nested instanceof protobuf.Type ? [nested] : []),
    ...(nested instanceof protobuf.Namespace ? typesOf(nested) : []),
  ])
}

/** Registers the plan before its fields are made, because messages nest in themselves. */
function planOf(type: protobuf.Type): MessagePlan {
  const name = type.fullName.slice(1)
  const known = plans.get(name)
  if (known !== undefined) return known
  const fields: FieldPlan[] = []
  const byNumber: (FieldPlan | undefined)[] = []
  const byJsonName = new Map<string, FieldPlan>()
  const template: Record<string, unknown> = {}
  const plan = { name, fields, byNumber, byJsonName, template }
  plans.set(name, plan)
  for (const reflected of type.fieldsArray.toSorted((a, b) => a.id - b.id)) {
    const field = fieldOf(reflected)
    fields.push(field)
    // dense, with holes filled: element kinds of the array stay simple
    while (byNumber.length < field.number) byNumber.push(undefined)
    byNumber.push(field)
    byJsonName.set(field.camelName, field).set(field.name, field)
    template[field.name] = defaultOf(field)
  }
  return plan
}

function fieldOf(field: protobuf.Field): FieldPlan {
  const resolved = field.resolvedType
  const kind = kindOf(field)
  const wire =
    kind === 'message' || kind === 'bytes' || kind === 'string' || field.repeated ? DELIMITED : VARINT
  return {
    name: field.name,
    camelName: field.name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
    number: field.id,
    tag: field.id * 8 + wire,
    kind,
    signed: field.type.startsWith('int'),
    repeated: field.repeated,
    oneof: field.partOf === null ? null : field.partOf.fieldsArray.map(member => member.name),
    message: resolved instanceof protobuf.Type ? planOf(resolved) : null,
    enum: resolved instanceof protobuf.Enum ? enumOf(resolved) : null,
  }
}

function kindOf(field: protobuf.Field): FieldKind {
  if (field.resolvedType instanceof protobuf.Enum) return 'enum'
  if (field.resolvedType instanceof protobuf.Type) return 'message'
  switch (field.type) {
    case 'bytes':
    case 'string':
    case 'bool':
    case 'int32':
    case 'uint32':
      return field.type
    case 'int64':
    case 'uint64':
      return ID_FIELDS.has(field.fullName.slice(1)) ? 'id' : 'count'
    default:
      throw new Error(`${field.fullName}: no codec for ${field.type}`)
  }
}

function enumOf(type: protobuf.Enum): EnumPlan {
  const entries = Object.entries(type.values)
  return {
    name: type.fullName.slice(1),
    byName: new Map(entries),
    byNumber: new Map(entries.map(([name, value]) => [value, name])),
  }
}

function defaultOf(field: FieldPlan): unknown {
  if (field.repeated) return NO_ITEMS
  if (field.kind === 'message' || field.oneof !== null) return null
  switch (field.kind) {
    case 'bytes':
      return EMPTY
    case 'string':
      return ''
    case 'bool':
      return false
    case 'id':
      return 0n
    default:
      return 0
  }
}
