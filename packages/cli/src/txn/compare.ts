import { pb, type Init } from '@kvorum/protocol'
import { parseLeaseId } from '../flag.js'
import { unescape } from '../format/quote.js'
import { accepted, rejected, type Parsed } from '../parsed.js'

const { VERSION, CREATE, MOD, VALUE, LEASE } = pb.CompareCompareTarget
const { EQUAL, GREATER, LESS, NOT_EQUAL } = pb.CompareCompareResult

const TARGETS: Readonly<Record<string, number>> = {
  ver: VERSION,
  version: VERSION,
  c: CREATE,
  create: CREATE,
  m: MOD,
  mod: MOD,
  val: VALUE,
  value: VALUE,
  lease: LEASE,
}

const RESULTS: Readonly<Record<string, number>> = { '=': EQUAL, '>': GREATER, '<': LESS, '!=': NOT_EQUAL }

/** `target("key") = "operand"`: the form of etcd's command, quotes and all. */
const FORM = /^\s*([a-z]+)\(\s*"((?:[^"\\]|\\.)*)"\s*\)\s*(=|!=|<|>)\s*"((?:[^"\\]|\\.)*)"\s*$/

export function parseCompare(line: string): Parsed<Init<pb.Compare>> {
  const match = FORM.exec(line)
  if (match === null) return rejected(`${line.trim()} is not a comparison; one looks like: mod("key") > "0"`)
  const [, name = '', key = '', sign = '', operand = ''] = match
  const target = TARGETS[name]
  if (target === undefined)
    return rejected(`nothing can be compared by "${name}", only by ver, create, mod, val or lease`)
  const [keyBytes, value] = [unescape(key), unescape(operand)]
  if (keyBytes === null || value === null) return rejected(`an escape is wrong in: ${line.trim()}`)
  const union = operandOf(target, value)
  return union.ok ? accepted({ target, result: RESULTS[sign]!, key: keyBytes, ...union.value }) : union
}

function operandOf(target: number, value: Uint8Array): Parsed<Init<pb.Compare>> {
  if (target === VALUE) return accepted({ value })
  const text = Buffer.from(value).toString('utf8')
  if (target === LEASE) {
    const lease = parseLeaseId(text)
    return lease.ok ? accepted({ lease: lease.value }) : rejected(`"${text}" ${lease.reason}`)
  }
  const number = /^-?[0-9]+$/.test(text) ? Number(text) : NaN
  if (!Number.isSafeInteger(number)) return rejected(`"${text}" is not a whole number`)
  if (target === VERSION) return accepted({ version: number })
  return accepted(target === CREATE ? { create_revision: number } : { mod_revision: number })
}
