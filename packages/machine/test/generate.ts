import {
  type Compare,
  type KeyRange,
  leaseId,
  type Op,
  pointRange,
  type RangeOp,
  type ShardCommand,
  successor,
  type TxnOp,
} from '@kvorum/model'
import { checkCommand } from '@kvorum/machine'
import type { Random } from './random.js'

/** Few keys, so that they meet; some hard ones for the escape: zeros, ends and prefixes of each other. */
const KEYS = [
  '00',
  '0000',
  '0001',
  '00ff',
  '61',
  '6100',
  '610001',
  '61ff',
  '62',
  '6262',
  '7a',
  'fe',
  'ff',
  'ff00',
  'ffff',
  'ffffff',
]
const LEASES = [1n, 2n, -3n, 1n << 62n]

const key = (random: Random): Uint8Array => Buffer.from(random.pick(KEYS), 'hex')
const lease = (random: Random) => leaseId(random.pick(LEASES))
const value = (random: Random): Uint8Array =>
  Buffer.alloc(random.pick([0, 1, 3, 200]), `v${random.below(1000)}`)

function range(random: Random): KeyRange {
  const start = key(random)
  const kind = random.below(10)
  if (kind < 4) return pointRange(start)
  if (kind < 6) return { start, end: null }
  if (kind < 7) return { start, end: successor(successor(start)) }
  return { start, end: key(random) }
}

/** `near` is the latest revision: most positions are around it. */
export function randomRange(random: Random, near: number): RangeOp {
  const position = (): number => (random.chance(0.75) ? 0 : 1 + random.below(near + 2))
  return {
    kind: 'range',
    range: random.chance(0.3) ? { start: Buffer.from([0]), end: null } : range(random),
    limit: random.chance(0.5) ? 0 : 1 + random.below(6),
    revision: random.chance(0.5) ? 0 : Math.max(1, near + 1 - random.below(25)),
    order: random.pick(['none', 'ascend', 'descend']),
    target: random.pick(['key', 'key', 'version', 'create', 'mod', 'value']),
    keysOnly: random.chance(0.2),
    countOnly: random.chance(0.1),
    minMod: position(),
    maxMod: position(),
    minCreate: position(),
    maxCreate: position(),
  }
}

function put(random: Random): Op {
  const ignoreValue = random.chance(0.1)
  const ignoreLease = random.chance(0.1)
  return {
    kind: 'put',
    key: key(random),
    value: ignoreValue ? Buffer.alloc(0) : value(random),
    lease: ignoreLease || random.chance(0.6) ? leaseId(0n) : lease(random),
    prevKv: random.chance(0.5),
    ignoreValue,
    ignoreLease,
  }
}

const remove = (random: Random): Op => ({
  kind: 'delete',
  range: random.chance(0.7) ? pointRange(key(random)) : range(random),
  prevKv: random.chance(0.5),
})

function compare(random: Random, near: number): Compare {
  const head = {
    range: range(random),
    result: random.pick(['equal', 'greater', 'less', 'notEqual'] as const),
  }
  const target = random.pick(['version', 'create', 'mod', 'value', 'lease'] as const)
  if (target === 'value') return { ...head, target, operand: value(random) }
  if (target === 'lease')
    return { ...head, target, operand: random.chance(0.5) ? leaseId(0n) : lease(random) }
  return { ...head, target, operand: random.below(target === 'version' ? 4 : near + 1) }
}

const many = <Item>(random: Random, max: number, make: () => Item): Item[] =>
  Array.from({ length: random.below(max + 1) }, make)

export function randomTxn(random: Random, near: number, depth: number, reads = false): TxnOp {
  const op = (): Op => {
    const kind = random.below(10)
    if (kind < 2 && depth > 0) return randomTxn(random, near, depth - 1, reads)
    if (kind < 5 || reads) return randomRange(random, near)
    return kind < 8 ? put(random) : remove(random)
  }
  return {
    kind: 'txn',
    compares: many(random, 2, () => compare(random, near)),
    success: many(random, 4, op),
    failure: many(random, 4, op),
  }
}

/** A command that passes the static checks, as all do that reach a log. */
export function randomCommand(random: Random, near: number): ShardCommand {
  for (;;) {
    const command = anyCommand(random, near)
    if (checkCommand(command) === null) return command
  }
}

function anyCommand(random: Random, near: number): ShardCommand {
  const kind = random.below(100)
  if (kind < 40) return { kind: 'write', op: put(random) }
  if (kind < 55) return { kind: 'write', op: remove(random) }
  if (kind < 85) return { kind: 'write', op: randomTxn(random, near, 2) }
  if (kind < 91) return { kind: 'leaseGrant', id: lease(random), ttl: 1 + random.below(100) }
  if (kind < 95) return { kind: 'leaseRevoke', id: lease(random) }
  return { kind: 'compact', revision: Math.max(0, near + 2 - random.below(20)) }
}
