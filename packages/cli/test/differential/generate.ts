import type { RpcName } from '@kvorum/protocol'
import { Random } from '@kvorum/sim'
import { Draw, drawDelete, drawPut, drawRange } from './draw.js'
import { authPrologue, authWatchPrologue, drawAuthStep, drawAuthWatchStep } from './generateAuth.js'
import { drawExpiry } from './generateExpiry.js'
import { drawFragments } from './generateFragments.js'
import { drawLeaseStep } from './generateLease.js'
import { drawMemberStep } from './generateMembers.js'
import { drawTxn } from './generateTxn.js'
import { drawJsonWatch, drawWatchStep } from './generateWatch.js'
import { drawFlaw } from './malformed.js'
import { CLIENTS } from './target.js'
import { call, type Sequence, type Step } from './steps.js'
import { revision, type Template } from './symbols.js'

const drawCompact = (draw: Draw): Call =>
  call('etcdserverpb.KV/Compact', { revision: draw.revision(), ...draw.flag(0.2, 'physical') })

const HASHED: readonly Template[] = [
  ...[revision('now'), revision('now'), revision('now', 1), revision('compacted', -1), revision('compacted')],
  ...[-1, 0, 1, Number.MAX_SAFE_INTEGER],
]

function drawMaintenance(draw: Draw, transport: Profile['transport']): Call {
  // 3.4 has no path for HashKV.
  switch (draw.int(0, transport === 'json' ? 2 : 3)) {
    case 0:
      return call('etcdserverpb.Cluster/MemberList', draw.flag(0.5, 'linearizable'))
    case 1:
      return call('etcdserverpb.Maintenance/Status', {})
    case 2:
      return call('etcdserverpb.Maintenance/Hash', {})
    default:
      return call(
        'etcdserverpb.Maintenance/HashKV',
        draw.maybe(0.7, 'revision', () => draw.pick(HASHED)),
      )
  }
}

function drawStep(draw: Draw, profile: Profile, at: number): Step {
  if (draw.random.float() < profile.watches)
    return profile.transport === 'json' ? drawJsonWatch(draw, at) : drawWatchStep(draw)
  const client = draw.int(0, CLIENTS - 1)
  const step = { ...drawCall(draw, profile.transport), client }
  return profile.transport === 'json' && isFlat(step) && draw.chance(0.12)
    ? { ...step, flaw: drawFlaw(draw) }
    : step
}

/** Without enums and messages in it: not every version looks at what stands there. */
const isFlat = (step: Call): step is Extract<Call, { kind: 'call' }> =>
  step.kind === 'call' && FLAT.has(step.rpc) && !ENUMS.some(field => field in step.request)

const FLAT: ReadonlySet<RpcName> = new Set([
  'etcdserverpb.KV/Put',
  'etcdserverpb.KV/Range',
  'etcdserverpb.KV/DeleteRange',
  'etcdserverpb.KV/Compact',
  'etcdserverpb.Lease/LeaseGrant',
  'etcdserverpb.Lease/LeaseRevoke',
])
const ENUMS = ['sort_order', 'sort_target']

type Call = Extract<Step, { kind: 'call' | 'keepAlive' }>

function drawCall(draw: Draw, transport: Profile['transport']): Call {
  const rest = draw.random.float()
  if (rest < 0.3) return call('etcdserverpb.KV/Put', drawPut(draw))
  if (rest < 0.4) return call('etcdserverpb.KV/DeleteRange', drawDelete(draw))
  if (rest < 0.6) return call('etcdserverpb.KV/Txn', drawTxn(draw))
  if (rest < 0.64) return drawCompact(draw)
  if (rest < 0.78) return drawLeaseStep(draw)
  if (rest < 0.81) return drawMaintenance(draw, transport)
  return call('etcdserverpb.KV/Range', drawRange(draw))
}

/** What sequences of a kind are made of. */
interface Profile {
  readonly transport: 'grpc' | 'json'
  readonly steps: number
  /** Share of steps that concern watches. */
  readonly watches: number
  /** Draws all of the sequence. */
  readonly draw: (draw: Draw, profile: Profile, patience: number) => Step[]
}

const PROFILES = {
  keys: { transport: 'grpc', steps: 15, watches: 0, draw: drawOpen },
  json: { transport: 'json', steps: 15, watches: 0, draw: drawOpen },
  // Catching up with the past takes a tenth of a second in etcd, so sequences with watches are few and long.
  watches: { transport: 'grpc', steps: 60, watches: 0.25, draw: drawOpen },
  jsonWatches: { transport: 'json', steps: 40, watches: 0.2, draw: drawOpen },
  auth: { transport: 'grpc', steps: 30, watches: 0, draw: drawGuarded },
  authJson: { transport: 'json', steps: 30, watches: 0, draw: drawGuarded },
  authWatches: { transport: 'grpc', steps: 50, watches: 0.2, draw: drawWatched },
  members: { transport: 'grpc', steps: 12, watches: 0, draw: drawMembers },
  fragments: { transport: 'grpc', steps: 0, watches: 0, draw: drawFragments },
  expiry: {
    transport: 'grpc',
    steps: 0,
    watches: 0,
    draw: (draw, _, patience) => drawExpiry(draw, patience),
  },
} as const satisfies Record<string, Profile>

/** Every kind of step and every field that the sequences of these seeds have in them. */
export function partsDrawn(from: number, seeds: number): ReadonlySet<string> {
  const parts = new Set<string>()
  const note = (path: string, value: unknown): void => {
    parts.add(path)
    if (Array.isArray(value)) for (const item of value) note(path, item)
    else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array))
      for (const [field, inner] of Object.entries(value))
        note(`${path.replace(NESTED, '$1')} ${field}`, inner)
  }
  for (let seed = from; seed < from + seeds; seed++)
    for (const step of drawSequence(seed).steps) {
      const name = step.kind === 'call' ? step.rpc : step.kind
      if ('request' in step) note(name, step.request)
      else parts.add(name)
      if (step.kind === 'call' && step.flaw !== undefined) parts.add(`flaw ${step.flaw.kind}`)
    }
  return parts
}

/** What is in a transaction counts once, however deep. */
const NESTED = /^(.*Txn) (?:.* )?request_txn$/

export type ProfileName = keyof typeof PROFILES
export const isProfileName = (name: string): name is ProfileName => Object.hasOwn(PROFILES, name)

function profileOf(seed: number): ProfileName {
  if (seed % 16 === 15) return 'watches'
  if (seed % 512 === 33) return 'expiry'
  if (seed % 256 === 129) return 'fragments'
  if (seed % 128 === 65) return 'members'
  if (seed % 64 === 9) return 'authWatches'
  if (seed % 64 === 41) return 'jsonWatches'
  if (seed % 32 === 5) return 'auth'
  if (seed % 32 === 21) return 'authJson'
  return seed % 8 === 3 ? 'json' : 'keys'
}

/** `only`: of this kind, whatever the seed says. `patience`: times that leases live longer. */
export function drawSequence(seed: number, only?: ProfileName, patience = 1): Sequence {
  const draw = new Draw(new Random(seed))
  const profile: Profile = PROFILES[only ?? profileOf(seed)]
  return { seed, transport: profile.transport, steps: profile.draw(draw, profile, patience) }
}

function drawGuarded(draw: Draw, profile: Profile): Step[] {
  const steps = Array.from({ length: profile.steps }, () => drawAuthStep(draw))
  return [...authPrologue(draw), ...steps]
}

function drawMembers(draw: Draw, profile: Profile): Step[] {
  const all = call('etcdserverpb.Cluster/MemberList', { linearizable: true })
  return [...Array.from({ length: profile.steps }, () => drawMemberStep(draw)), all]
}

function drawWatched(draw: Draw, profile: Profile): Step[] {
  const steps = Array.from({ length: profile.steps }, () => drawAuthWatchStep(draw))
  return [...authWatchPrologue(draw), ...steps]
}

function drawOpen(draw: Draw, profile: Profile): Step[] {
  const steps: Step[] = []
  while (steps.length < profile.steps) {
    steps.push(drawStep(draw, profile, steps.length))
    // What was left behind, seen whole: at every kind of change at least now and then.
    if (draw.chance(0.15)) steps.push(EVERYTHING)
  }
  return [...steps, EVERYTHING, call('etcdserverpb.Lease/LeaseLeases', {})]
}

const EVERYTHING: Step = call('etcdserverpb.KV/Range', { key: Buffer.from([0]), range_end: Buffer.from([0]) })
