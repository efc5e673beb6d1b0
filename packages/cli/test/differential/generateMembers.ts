import type { Draw } from './draw.js'
import { call, type Step } from './steps.js'
import { memberIn, type Template } from './symbols.js'

const CLUSTER = 'etcdserverpb.Cluster'
export const MEMBER_SLOTS = 2

/** Nobody is there; only a learner has such an address here, which takes part in nothing. */
const ADDRESSES: readonly string[] = [
  ...[1, 2, 3, 4, 5, 6, 7].map(port => `http://127.0.0.1:${port}`),
  'http://localhost:8',
]
const NO_ADDRESSES: readonly string[] = ['x', 'http://127.0.0.1', 'ftp://127.0.0.1:1', '']

/** Changes of members that leave the one that votes as it is: learners that come, move and go, and refusals. */
export function drawMemberStep(draw: Draw): Step {
  const at = draw.random.float()
  if (at < 0.35) {
    const request = { peerURLs: addresses(draw), isLearner: true }
    return { ...call(`${CLUSTER}/MemberAdd`, request), memberSlot: draw.int(0, MEMBER_SLOTS - 1) }
  }
  if (at < 0.55) return call(`${CLUSTER}/MemberRemove`, { ID: id(draw) })
  // Not of a learner: etcd forgets then that it is one. And what stands there it does not look at.
  if (at < 0.65)
    return call(`${CLUSTER}/MemberUpdate`, { ID: nobody(draw), peerURLs: [draw.pick(ADDRESSES)] })
  if (at < 0.85) return call(`${CLUSTER}/MemberPromote`, { ID: id(draw) })
  return call(`${CLUSTER}/MemberList`, draw.flag(0.5, 'linearizable'))
}

const id = (draw: Draw): Template =>
  draw.chance(0.85) ? memberIn(draw.int(0, MEMBER_SLOTS - 1)) : nobody(draw)

const nobody = (draw: Draw): bigint => draw.pick([0n, 1n, 2n ** 64n - 1n])

function addresses(draw: Draw): Template {
  if (draw.chance(0.05)) return []
  if (draw.chance(0.1)) return [draw.pick(NO_ADDRESSES)]
  const first = draw.pick(ADDRESSES)
  return draw.chance(0.15) ? [first, draw.pick(ADDRESSES)] : [first]
}
