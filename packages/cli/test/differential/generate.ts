import { Random } from '@kvorum/sim'
import type { MessageTemplate, Template } from './symbols.js'
import { leaseIn, revision } from './symbols.js'
import { call, type Sequence, type Step } from './steps.js'
import { authPrologue, drawAuthStep } from './generateAuth.js'
import { drawTxn } from './generateTxn.js'
import { drawWatchStep } from './generateWatch.js'

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
const LEASES: readonly bigint[] = [7n, 8n, 2n ** 53n + 1n, 2n ** 63n - 1n, -1n, -(2n ** 63n)]
const SLOTS = 2
/** Seconds: long enough that nothing ends while a sequence runs. */
const TTLS: readonly number[] = [3600, 1_000_000, 9_000_000_000]

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
    return this.chance(0.5) ? revision('now', around) : this.pick([-1, 0, 1, 2 ** 50])
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
    ...draw.maybe(0.4, 'limit', () => draw.pick([-1, 1, 1, 2, 2, 3, 100])),
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

function drawLeaseStep(draw: Draw): Step {
  const id = (): MessageTemplate => ({ ID: draw.lease() })
  switch (draw.int(0, 9)) {
    case 0:
    case 1:
    case 2:
      return draw.chance(0.3)
        ? { ...call('etcdserverpb.Lease/LeaseGrant', { TTL: draw.pick(TTLS) }), slot: draw.int(0, SLOTS - 1) }
        : call('etcdserverpb.Lease/LeaseGrant', {
            TTL: draw.chance(0.1) ? 9_000_000_001 : draw.pick(TTLS),
            ID: draw.pick(LEASES),
          })
    case 3:
    case 4:
      return call('etcdserverpb.Lease/LeaseRevoke', draw.chance(0.05) ? {} : id())
    case 5:
    case 6:
    case 7:
      return call('etcdserverpb.Lease/LeaseTimeToLive', { ...id(), ...draw.flag(0.7, 'keys') })
    case 8:
      return { kind: 'keepAlive', request: id() }
    default:
      return call('etcdserverpb.Lease/LeaseLeases', {})
  }
}

const drawCompact = (draw: Draw): Step =>
  call('etcdserverpb.KV/Compact', { revision: draw.revision(), ...draw.flag(0.2, 'physical') })

function drawStep(draw: Draw, profile: Profile): Step {
  const at = draw.random.float()
  if (at < profile.watches) return drawWatchStep(draw)
  const rest = draw.random.float()
  if (rest < 0.3) return call('etcdserverpb.KV/Put', drawPut(draw))
  if (rest < 0.4) return call('etcdserverpb.KV/DeleteRange', drawDelete(draw))
  if (rest < 0.6) return call('etcdserverpb.KV/Txn', drawTxn(draw))
  if (rest < 0.64) return drawCompact(draw)
  if (rest < 0.8) return drawLeaseStep(draw)
  return call('etcdserverpb.KV/Range', drawRange(draw))
}

/** What sequences of a kind are made of. */
interface Profile {
  readonly transport: 'grpc' | 'json'
  readonly steps: number
  /** Share of steps that concern watches. */
  readonly watches: number
  readonly auth?: true
}

/** Catching up with the past takes a tenth of a second in etcd, so sequences with watches are few and long. */
function profileOf(seed: number): Profile {
  if (seed % 16 === 15) return { transport: 'grpc', steps: 60, watches: 0.25 }
  if (seed % 64 === 5) return { transport: 'grpc', steps: 30, watches: 0, auth: true }
  if (seed % 8 === 3) return { transport: 'json', steps: 15, watches: 0 }
  return { transport: 'grpc', steps: 15, watches: 0 }
}

export function drawSequence(seed: number): Sequence {
  const draw = new Draw(new Random(seed))
  const profile = profileOf(seed)
  if (profile.auth === true) {
    const steps = Array.from({ length: profile.steps }, () => drawAuthStep(draw))
    return { seed, transport: 'grpc', steps: [...authPrologue(draw), ...steps] }
  }
  const steps: Step[] = []
  while (steps.length < profile.steps) {
    steps.push(drawStep(draw, profile))
    // What was left behind, seen whole: at every kind of change at least now and then.
    if (draw.chance(0.15)) steps.push(EVERYTHING)
  }
  steps.push(EVERYTHING, call('etcdserverpb.Lease/LeaseLeases', {}))
  return { seed, transport: profile.transport, steps }
}

const EVERYTHING: Step = call('etcdserverpb.KV/Range', { key: Buffer.from([0]), range_end: Buffer.from([0]) })
