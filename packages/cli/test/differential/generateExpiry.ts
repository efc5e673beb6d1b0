import type { Draw } from './draw.js'
import { call, type Step } from './steps.js'
import type { MessageTemplate, Template } from './symbols.js'

/** No less than two: that is the least of etcd with its usual timeouts, ours here are shorter. */
const TTLS: readonly number[] = [2, 3]
const KEPT_TTL = 5
const SHORT: readonly bigint[] = [21n, 22n, 23n, 24n]
const KEPT = 25n
const LONG = 26n
const KEYS = ['a', 'b', 'k/1', 'k/2', 'k/3', 'z'].map(key => Buffer.from(key))
const KV = 'etcdserverpb.KV'
const LEASE = 'etcdserverpb.Lease'

/**
 * Leases, few steps that bind keys to them, their end, and what is left. `patience`: the leases live so much longer,
 * on a machine that was too slow for shorter ones.
 */
export function drawExpiry(draw: Draw, patience: number): Step[] {
  const gone = SHORT.slice(0, draw.int(1, SHORT.length))
  const leases = [...gone, KEPT, LONG]
  const grant = (ID: bigint, TTL: number): Step => call(`${LEASE}/LeaseGrant`, { ID, TTL })
  const before = KEYS.filter(() => draw.chance(0.5)).map(key => call(`${KV}/Put`, { key }))
  const bound = Array.from({ length: draw.int(4, 10) }, () => drawBinding(draw, leases))
  const after = leases.flatMap(ID => afterwards(draw, ID))
  return [
    ...before,
    ...gone.map(ID => grant(ID, patience * draw.pick(TTLS))),
    grant(KEPT, patience * KEPT_TTL),
    grant(LONG, 3600),
    ...bound,
    EVERYTHING,
    { kind: 'expire', gone, kept: [KEPT], keptTtl: patience * KEPT_TTL },
    EVERYTHING,
    call(`${LEASE}/LeaseLeases`, {}),
    ...after,
    EVERYTHING,
  ]
}

function drawBinding(draw: Draw, leases: readonly bigint[]): Step {
  const put = (): MessageTemplate => ({
    key: draw.pick(KEYS),
    ...draw.maybe(0.85, 'lease', () => draw.pick(leases)),
  })
  if (draw.chance(0.7)) return call(`${KV}/Put`, put())
  if (draw.chance(0.3)) return call(`${KV}/DeleteRange`, { key: draw.pick(KEYS) })
  if (draw.chance(0.2)) return call(`${LEASE}/LeaseRevoke`, { ID: draw.pick(leases.slice(0, -2)) })
  const success: Template[] = [{ request_put: put() }, { request_range: { key: draw.pick(KEYS) } }]
  return call(`${KV}/Txn`, { success })
}

/** What a lease that is gone, or one that is not, can still be used for. */
function afterwards(draw: Draw, ID: bigint): Step[] {
  const lives = ID === LONG
  const uses: Step[] = [
    // How much is left of the one that was kept is up to the last keep-alive.
    ...(ID === KEPT ? [] : [call(`${LEASE}/LeaseTimeToLive`, { ID, keys: true })]),
    ...(lives ? [] : [{ kind: 'keepAlive', request: { ID } } as const]),
    ...(ID === KEPT ? [] : [call(`${KV}/Put`, { key: Buffer.from('a'), lease: ID })]),
    ...(ID === KEPT ? [] : [call(`${LEASE}/LeaseRevoke`, { ID })]),
  ]
  return uses.filter(() => draw.chance(0.6))
}

const EVERYTHING: Step = call(`${KV}/Range`, { key: Buffer.from([0]), range_end: Buffer.from([0]) })
