import type { Draw } from './draw.js'
import { call, type Step } from './steps.js'
import { revision, type MessageTemplate, type Template } from './symbols.js'

const KV = 'etcdserverpb.KV'
/** A few of them are more than one response may have. */
const LARGE_BYTES = 700_000
const KEYS = ['a', 'b', 'k/1'].map(key => Buffer.from(key))
const EVERYTHING = { key: Buffer.from([0]), range_end: Buffer.from([0]) }

/** Large values, and watches whose responses have to be cut for it. */
export function drawFragments(draw: Draw): Step[] {
  const large = (): Template => Buffer.alloc(LARGE_BYTES + draw.int(0, 100_000), draw.int(0, 255))
  const put = (): MessageTemplate => ({
    key: draw.pick(KEYS),
    value: draw.chance(0.8) ? large() : Buffer.from('small'),
  })
  const write = (): Step => {
    if (draw.chance(0.15)) return call(`${KV}/DeleteRange`, { ...EVERYTHING, ...draw.flag(0.5, 'prev_kv') })
    if (draw.chance(0.6)) return call(`${KV}/Put`, put())
    const small = { key: Buffer.from('z'), value: Buffer.from('z') }
    return call(`${KV}/Txn`, { success: [{ request_put: put() }, { request_put: small }] })
  }
  const watch = (stream: number): Step => ({
    kind: 'watch',
    stream,
    request: {
      ...EVERYTHING,
      ...draw.flag(0.75, 'fragment'),
      ...draw.flag(0.6, 'prev_kv'),
      ...draw.maybe(0.7, 'start_revision', () => revision('start', draw.int(1, 4))),
    },
  })
  return [
    ...Array.from({ length: draw.int(3, 5) }, write),
    watch(0),
    watch(draw.int(0, 1)),
    ...Array.from({ length: draw.int(2, 4) }, write),
    watch(1),
  ]
}
