import { LEASES, SLOTS, type Draw } from './draw.js'
import { call, type Step } from './steps.js'
import type { MessageTemplate } from './symbols.js'

/** Seconds: long enough that nothing ends while a sequence runs. */
const TTLS: readonly number[] = [3600, 1_000_000, 9_000_000_000]

export function drawLeaseStep(draw: Draw): Extract<Step, { kind: 'call' | 'keepAlive' }> {
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
