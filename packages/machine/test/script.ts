import {
  type Compare,
  leaseId,
  type Op,
  type OpReply,
  type KeyValue,
  type RangeOp,
  type Reply,
  requestRange,
  type ShardCommand,
  toKeyString,
  utf8,
} from '@kvorum/model'
import type { Outcome } from './shard.js'

/**
 * Commands as words, for tables of cases:
 *
 *     put a 1 lease=7 prev keepValue keepLease        del a z prev          (z: end of range, * from the key on)
 *     get a z limit=2 rev=3 desc by=mod keys count minmod=1 maxmod=1 mincreate=1 maxcreate=1
 *     if mod a = 2 , value b != x then put a 1 ; get a else ( if then del a else ) end
 *     grant 7 60     revoke 7     compact 3
 */
export function parseCommand(text: string): ShardCommand {
  const words = text.trim().split(/\s+/)
  switch (words[0]) {
    case 'grant':
      return { kind: 'leaseGrant', id: leaseId(BigInt(words[1]!)), ttl: Number(words[2]) }
    case 'revoke':
      return { kind: 'leaseRevoke', id: leaseId(BigInt(words[1]!)) }
    case 'compact':
      return { kind: 'compact', revision: Number(words[1]) }
    default:
      return { kind: 'write', op: parseOp(words) }
  }
}

function parseOp(words: string[]): Op {
  switch (words.shift()) {
    case 'put':
      return parsePut(words)
    case 'del': {
      const range = parseRange(words)
      return { kind: 'delete', range, prevKv: takeFlags(words).has('prev') }
    }
    case 'get':
      return parseGet(words)
    case 'if':
      return parseTxn(words)
    default:
      throw new Error(`cannot read an operation before "${words.join(' ')}"`)
  }
}

const ENDS = new Set([';', 'then', 'else', 'end'])
const FLAG = /^(prev|keepValue|keepLease|keys|count|desc|asc|[a-z]+=.+)$/

function takeFlags(words: string[]): Map<string, string> {
  const flags = new Map<string, string>()
  while (words.length > 0 && !ENDS.has(words[0]!)) {
    const [name, value] = words.shift()!.split('=')
    flags.set(name!, value ?? '')
  }
  return flags
}

function parseRange(words: string[]) {
  const key = utf8(words.shift()!)
  const next = words[0]
  if (next === undefined || ENDS.has(next) || FLAG.test(next)) return requestRange(key, utf8(''))
  words.shift()
  return requestRange(key, next === '*' ? utf8('\0') : utf8(next))
}

function parsePut(words: string[]): Op {
  const key = utf8(words.shift()!)
  const next = words[0]
  const value = next === undefined || ENDS.has(next) || FLAG.test(next) ? '' : words.shift()!
  const flags = takeFlags(words)
  return {
    kind: 'put',
    key,
    value: utf8(value),
    lease: leaseId(BigInt(flags.get('lease') ?? 0)),
    prevKv: flags.has('prev'),
    ignoreValue: flags.has('keepValue'),
    ignoreLease: flags.has('keepLease'),
  }
}

export const PLAIN_GET: Omit<RangeOp, 'range'> = {
  kind: 'range',
  limit: 0,
  revision: 0,
  order: 'none',
  target: 'key',
  keysOnly: false,
  countOnly: false,
  minMod: 0,
  maxMod: 0,
  minCreate: 0,
  maxCreate: 0,
}

function parseGet(words: string[]): RangeOp {
  const range = parseRange(words)
  const flags = takeFlags(words)
  const number = (name: string): number => Number(flags.get(name) ?? 0)
  return {
    ...PLAIN_GET,
    range,
    limit: number('limit'),
    revision: number('rev'),
    order: flags.has('desc') ? 'descend' : flags.has('asc') ? 'ascend' : 'none',
    target: (flags.get('by') as RangeOp['target'] | undefined) ?? 'key',
    keysOnly: flags.has('keys'),
    countOnly: flags.has('count'),
    minMod: number('minmod'),
    maxMod: number('maxmod'),
    minCreate: number('mincreate'),
    maxCreate: number('maxcreate'),
  }
}

function parseTxn(words: string[]): Op {
  const compares: Compare[] = []
  while (words[0] !== 'then') {
    compares.push(parseCompare(words))
    if (words[0] === ',') words.shift()
  }
  words.shift()
  const success = parseBranch(words, 'else')
  const failure = parseBranch(words, 'end')
  return { kind: 'txn', compares, success, failure }
}

function parseBranch(words: string[], end: string): Op[] {
  const ops: Op[] = []
  while (words[0] !== end) {
    if (words[0] === undefined) throw new Error(`"${end}" is missing`)
    ops.push(parseOp(words))
    if (words[0] === ';') words.shift()
  }
  words.shift()
  return ops
}

const RESULTS = { '=': 'equal', '!=': 'notEqual', '>': 'greater', '<': 'less' } as const

function parseCompare(words: string[]): Compare {
  const target = words.shift() as Compare['target']
  const key = utf8(words.shift()!)
  const end = words[0]! in RESULTS ? '' : words.shift()!
  const range = requestRange(key, utf8(end === '*' ? '\0' : end))
  const result = RESULTS[words.shift() as keyof typeof RESULTS]
  const operand = words.shift()!
  if (target === 'value') return { range, result, target, operand: utf8(operand === '""' ? '' : operand) }
  if (target === 'lease') return { range, result, target, operand: leaseId(BigInt(operand)) }
  return { range, result, target, operand: Number(operand) }
}

/** key=value and in brackets create, mod, version and, where there is one, the lease. */
export const showKv = (kv: KeyValue): string =>
  `${toKeyString(kv.key)}=${toKeyString(kv.value)}[${kv.create} ${kv.mod} ${kv.version}${kv.lease === 0n ? '' : ` L${kv.lease}`}]`

export function showOp(reply: OpReply): string {
  switch (reply.kind) {
    case 'put':
      return reply.prev === null ? 'put' : `put was ${showKv(reply.prev)}`
    case 'delete':
      return [`deleted ${reply.deleted}`, ...reply.prevs.map(showKv)].join(' ')
    case 'range':
      return [...reply.kvs.map(showKv), `of ${reply.count}`, ...(reply.more ? ['more'] : [])].join(' ')
    case 'txn':
      return `${reply.succeeded ? 'yes' : 'no'}@${reply.revision} (${reply.responses.map(showOp).join('; ')})`
  }
}

const showReply = (reply: Reply): string =>
  reply.kind === 'op' ? showOp(reply.op) : reply.kind === 'leaseGranted' ? `lease ${reply.id}` : reply.kind

/** The header's revision, then the answer or the refusal. */
export const showOutcome = ({ reply, error, revision }: Outcome): string =>
  `${revision} ${error === null ? showReply(reply!) : `!${error.code}`}`
