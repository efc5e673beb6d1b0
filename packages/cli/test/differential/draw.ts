import { Random } from '@kvorum/sim'
import type { MessageTemplate, Template } from './symbols.js'
import { leaseIn, revision } from './symbols.js'

/**
 * Few keys, so that operations meet. No more than twelve: etcd sorts ranges of up to so many stably, and
 * beyond that equal ones come in any order.
 */
const KEYS: readonly Uint8Array[] = [
  Buffer.from('a'),
  Buffer.from('a\0'),
  Buffer.from('ab'),
  Buffer.from('b'),
  Buffer.from('k/1'),
  Buffer.from('k/2'),
  Buffer.from('k0'),
  Buffer.from([0]),
  Buffer.from([0xc3, 0x28]),
  Buffer.from([0xff]),
  Buffer.from([0xff, 0xff]),
]
const VALUES: readonly Uint8Array[] = [
  Buffer.alloc(0),
  Buffer.from('v'),
  Buffer.from('w'),
  Buffer.from([0x00, 0xff, 0xfe]),
]
/** Ends of ranges besides the keys: none, everything from the key on, the successors of prefixes. */
const ENDS: readonly Uint8Array[] = [
  Buffer.alloc(0),
  Buffer.from([0]),
  Buffer.from('b'),
  Buffer.from('k0'),
  Buffer.from('l'),
  Buffer.from([0xff, 0xff, 0xff]),
]

/** Ids that requests name themselves, up to the edges of 64 bits. */
export const LEASES: readonly bigint[] = [7n, 8n, 2n ** 53n + 1n, 2n ** 63n - 1n, -1n, -(2n ** 63n)]
export const SLOTS = 2

/** How many are asked for: mostly few, now and then the edges of what we count. */
const LIMITS: readonly number[] = [
  ...[-1, 1, 1, 1, 2, 2, 2, 3, 3, 100, 1_000_000],
  ...[Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
]

/** What one operation is drawn from. */
export class Draw {
  readonly random: Random

  constructor(random: Random) {
    this.random = random
  }

  chance(p: number): boolean {
    return this.random.chance(p)
  }

  int(min: number, max: number): number {
    return this.random.int(min, max)
  }

  pick<Item>(items: readonly Item[]): Item {
    return this.random.pick(items)
  }

  key(): Uint8Array {
    return this.chance(0.02) ? Buffer.alloc(0) : this.pick(KEYS)
  }

  value(): Uint8Array {
    return this.pick(VALUES)
  }

  end(): Uint8Array {
    return this.chance(0.3) ? this.pick(KEYS) : this.pick(ENDS)
  }

  lease(): bigint | Template {
    return this.chance(0.4) ? leaseIn(this.int(0, SLOTS - 1)) : this.pick(LEASES)
  }

  /** A revision of the past, mostly; the edges of what may be read, else. */
  revision(): Template {
    const around = this.int(-1, 1)
    if (this.chance(0.5)) return revision('now', -this.int(0, 8))
    if (this.chance(0.4)) return revision('compacted', around)
    return this.chance(0.5)
      ? revision('now', around)
      : this.pick([-1, 0, 1, 2 ** 50, Number.MAX_SAFE_INTEGER])
  }

  /** The field, sometimes. */
  maybe(p: number, field: string, draw: () => Template): MessageTemplate {
    return this.chance(p) ? { [field]: draw() } : {}
  }

  flag(p: number, field: string): MessageTemplate {
    return this.maybe(p, field, () => true)
  }
}

export function drawRange(draw: Draw): MessageTemplate {
  const sorted = draw.chance(0.35)
  const filtered = draw.chance(0.15)
  const bound = (field: string): MessageTemplate =>
    filtered ? draw.maybe(0.4, field, () => draw.revision()) : {}
  return {
    key: draw.chance(0.3) ? Buffer.from([0]) : draw.key(),
    ...draw.maybe(0.75, 'range_end', () => draw.end()),
    ...draw.maybe(0.4, 'limit', () => draw.pick(LIMITS)),
    ...draw.maybe(0.25, 'revision', () => draw.revision()),
    ...(sorted ? draw.maybe(0.8, 'sort_order', () => draw.int(0, 2)) : {}),
    ...(sorted ? draw.maybe(0.8, 'sort_target', () => draw.int(0, 4)) : {}),
    ...draw.flag(0.15, 'serializable'),
    ...draw.flag(0.12, 'keys_only'),
    ...draw.flag(0.1, 'count_only'),
    ...bound('min_mod_revision'),
    ...bound('max_mod_revision'),
    ...bound('min_create_revision'),
    ...bound('max_create_revision'),
  }
}

export function drawPut(draw: Draw): MessageTemplate {
  const ignoreValue = draw.chance(0.08)
  const ignoreLease = draw.chance(0.08)
  return {
    key: draw.key(),
    ...(ignoreValue && draw.chance(0.9) ? {} : { value: draw.value() }),
    ...(ignoreLease && draw.chance(0.9) ? {} : draw.maybe(0.2, 'lease', () => draw.lease())),
    ...draw.flag(0.3, 'prev_kv'),
    ...(ignoreValue ? { ignore_value: true } : {}),
    ...(ignoreLease ? { ignore_lease: true } : {}),
  }
}

export const drawDelete = (draw: Draw): MessageTemplate => ({
  key: draw.key(),
  ...draw.maybe(0.4, 'range_end', () => draw.end()),
  ...draw.flag(0.4, 'prev_kv'),
})
