import fc from 'fast-check'
import { NO_ITEMS, planFor, type FieldPlan, type MessagePlan } from '#src/schema.js'

type Row = Record<string, unknown>

/** Any record a decoder could produce for the message, numbers within 2^53. */
export const arbitraryMessage = (name: string): fc.Arbitrary<Row> => messageOf(planFor(name), 3)

function messageOf(plan: MessagePlan, depth: number): fc.Arbitrary<Row> {
  const shape: Record<string, fc.Arbitrary<unknown>> = {}
  for (const field of plan.fields) shape[field.name] = fieldOf(field, depth)
  return fc.record(shape).map(row => {
    const kept = new Set<readonly string[]>()
    const message = { ...row }
    for (const field of plan.fields) {
      if (field.oneof === null || message[field.name] === null) continue
      const first = [...kept].find(members => members.includes(field.name))
      if (first === undefined) kept.add(field.oneof)
      else message[field.name] = null
    }
    return message
  })
}

function fieldOf(field: FieldPlan, depth: number): fc.Arbitrary<unknown> {
  const value = valueOf(field, depth)
  if (field.repeated)
    return field.kind === 'message' && depth === 0
      ? fc.constant(NO_ITEMS)
      : fc.array(value, { maxLength: 3 }).map(items => (items.length === 0 ? NO_ITEMS : items))
  if (field.kind === 'message' || field.oneof !== null)
    return field.kind === 'message' && depth === 0 ? fc.constant(null) : fc.option(value)
  return value
}

function valueOf(field: FieldPlan, depth: number): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case 'message':
      return depth === 0 ? fc.constant(null) : messageOf(field.message!, depth - 1)
    case 'bytes':
      return fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes))
    case 'string':
      return fc.string({ unit: 'grapheme' })
    case 'bool':
      return fc.boolean()
    case 'enum':
      return fc.constantFrom(...field.enum!.byNumber.keys())
    case 'int32':
      return fc.integer()
    case 'uint32':
      return fc.integer({ min: 0, max: 0xffffffff })
    case 'count':
      return field.signed ? fc.maxSafeInteger() : fc.maxSafeNat()
    case 'id':
      return field.signed
        ? fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
        : fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
  }
}
