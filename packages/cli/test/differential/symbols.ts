/**
 * What a sequence can only say about numbers that exist at run time. A sequence is made before it is run, and
 * run again while it is shrunk: it names revisions by where they lie and leases by the place they were granted.
 */
export type Symbolic =
  | { readonly $: 'revision'; readonly from: RevisionMark; readonly plus: number }
  /** The id a grant was answered with whose request left the choice to the server. */
  | { readonly $: 'lease'; readonly slot: number }
  /** The id of the member that was added and kept in this place. */
  | { readonly $: 'member'; readonly slot: number }

/** `now`: after the last answer; `compacted`: the last compaction; `start`: the begin of the sequence. */
export type RevisionMark = 'now' | 'compacted' | 'start'

export const revision = (from: RevisionMark, plus = 0): Symbolic => ({ $: 'revision', from, plus })
export const leaseIn = (slot: number): Symbolic => ({ $: 'lease', slot })
export const memberIn = (slot: number): Symbolic => ({ $: 'member', slot })

/** A message with such places in it; fields may be left out, as in a request that is to be encoded. */
export type Template =
  | Symbolic
  | Uint8Array
  | bigint
  | number
  | string
  | boolean
  | readonly Template[]
  | { readonly [field: string]: Template }

export type MessageTemplate = { readonly [field: string]: Template }

/** What the symbols stand for, for one of the servers. */
export interface Bindings {
  readonly marks: Readonly<Record<RevisionMark, number>>
  readonly leases: ReadonlyMap<number, bigint>
  readonly members: ReadonlyMap<number, bigint>
}

/** Stands for leases that were never granted: the grant was refused, or shrinking took it away. */
const NEVER_GRANTED = 0x7fff_ffff_ffff_ff00n
const NEVER_ADDED = 0x7fff_ffff_ffff_fe00n

export function resolve(template: Template, bindings: Bindings): unknown {
  if (typeof template !== 'object' || template instanceof Uint8Array) return template
  if (Array.isArray(template)) return template.map((item: Template) => resolve(item, bindings))
  if (isSymbolic(template)) {
    switch (template.$) {
      case 'revision':
        return bindings.marks[template.from] + template.plus
      case 'lease':
        return bindings.leases.get(template.slot) ?? NEVER_GRANTED + BigInt(template.slot)
      case 'member':
        return bindings.members.get(template.slot) ?? NEVER_ADDED + BigInt(template.slot)
    }
  }
  return Object.fromEntries(Object.entries(template).map(([name, value]) => [name, resolve(value, bindings)]))
}

export const isSymbolic = (value: object): value is Symbolic => '$' in value

/** For people: bytes as text where they are text. */
export function show(value: unknown): string {
  if (value instanceof Uint8Array) return showBytes(value)
  if (typeof value === 'bigint') return `${value}n`
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined'
  if (isSymbolic(value)) {
    if (value.$ !== 'revision') return `<${value.$} ${value.slot}>`
    return `<${value.from}${value.plus === 0 ? '' : value.plus > 0 ? `+${value.plus}` : value.plus}>`
  }
  return `{${Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .map(([name, field]) => `${name}: ${show(field)}`)
    .join(', ')}}`
}

function showBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('latin1')
  if (text.length > 40) return `<${text.length} bytes>`
  return `'${text.replace(/[^ -~]/g, c => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)}'`
}
