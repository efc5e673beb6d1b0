import type { RpcName } from '@kvorum/protocol'
import { dismissLearners, openDoors } from './accounts.js'
import { catchUp } from './catchUp.js'
import { DEVIATIONS } from './deviations.js'
import { SHORT_TTL, sureMs, takeExpiry } from './expiry.js'
import { MALFORMED } from './malformed.js'
import { difference, normaliseAnswer, withoutText } from './normalise.js'
import { expectRevocations } from './revocation.js'
import type { Pair } from './servers.js'
import { isRead, type Sequence, type Step } from './steps.js'
import { resolve, type Bindings, type RevisionMark } from './symbols.js'
import type { Answer, Message, Target } from './target.js'
import * as watching from './watches.js'

/** Where the two servers first differed. */
export interface Difference {
  /** Position of the step; beyond the last: what the watches had seen in the end. */
  readonly step: number
  readonly text: string
}

/** One of the two servers in the run of a sequence. */
export interface Side {
  readonly target: Target
  /** Ids by slot, and the slot's name by id. */
  readonly leases: Map<number, bigint>
  readonly names: Map<bigint, string>
  readonly members: Map<number, bigint>
  readonly watches: watching.Watches
}

export interface Run {
  readonly sequence: Sequence
  readonly etcd: Side
  readonly kvorum: Side
  /** As in `Pair`. */
  readonly isOld: boolean
  readonly marks: Record<RevisionMark, number>
  /** Authentication is on: 3.4 looks at tokens also where it is not, later versions and we do not. */
  guarded: boolean
  /** What was answered otherwise on purpose, first. */
  deviation: string | null
  /** By that the stores have become different: there is nothing more to compare. */
  parted: boolean
  /** Something took so long that leases may have run out before their time to do so. */
  late: boolean
  /** Until then, on the clock of this process, no lease can have run out that is not to. */
  sureUntil: number
}

const AUTH = 'etcdserverpb.Auth'
const KV = 'etcdserverpb.KV'
const LEASE = 'etcdserverpb.Lease'
const READS_AT_ONCE = 8
const MAINTENANCE = 'etcdserverpb.Maintenance'
const LOCAL: ReadonlySet<RpcName> = new Set([
  `${LEASE}/LeaseLeases`,
  'etcdserverpb.Cluster/MemberList',
  `${MAINTENANCE}/Status`,
  `${MAINTENANCE}/Hash`,
  `${MAINTENANCE}/HashKV`,
])

/** How a sequence ended: both answered alike, up to a deviation that is on purpose, or they did not. */
export type Outcome =
  | { readonly kind: 'equal' }
  | { readonly kind: 'deviates'; readonly id: string }
  /** The machine was too slow for it. */
  | { readonly kind: 'late' }
  | { readonly kind: 'differs'; readonly difference: Difference }

/** Runs it on both, from a clean state. */
export async function runSequence(pair: Pair, sequence: Sequence): Promise<Outcome> {
  await Promise.all([openDoors(pair.etcd), openDoors(pair.kvorum)])
  const start = await alignStores(pair)
  const side = (target: Target): Side => ({
    target,
    leases: new Map(),
    names: new Map(),
    members: new Map(),
    watches: watching.openWatches(),
  })
  const run: Run = {
    sequence,
    etcd: side(pair.etcd),
    kvorum: side(pair.kvorum),
    isOld: pair.isOld,
    marks: { now: start, compacted: start, start },
    guarded: false,
    deviation: null,
    parted: false,
    late: false,
    sureUntil: Infinity,
  }
  try {
    if (sequence.steps.some(({ kind }) => kind === 'watch') && !isGuarded(sequence)) {
      const unlike = await watching.openLedgers(run)
      if (unlike !== null) return differs(0, unlike)
    }
    const unlike = (await takeSteps(run)) ?? (run.parted || run.late ? null : await compareEnds(run))
    if (run.late) return { kind: 'late' }
    if (unlike !== null) return unlike
    return run.deviation === null ? { kind: 'equal' } : { kind: 'deviates', id: run.deviation }
  } finally {
    if (sequence.steps.some(step => step.kind === 'call' && step.memberSlot !== undefined))
      await Promise.all([dismissLearners(pair.etcd), dismissLearners(pair.kvorum)])
    watching.closeWatches(run.etcd)
    watching.closeWatches(run.kvorum)
  }
}

const isGuarded = ({ steps }: Sequence): boolean =>
  steps.some(step => step.kind === 'call' && step.rpc.startsWith(AUTH))

const differs = (step: number, text: string): Outcome => ({ kind: 'differs', difference: { step, text } })

async function takeSteps(run: Run): Promise<Outcome | null> {
  const { steps } = run.sequence
  for (let at = 0; at < steps.length;) {
    let end = at + 1
    if (isRead(steps[at]!))
      while (end < steps.length && end - at < READS_AT_ONCE && isRead(steps[end]!)) end++
    const texts = await Promise.all(steps.slice(at, end).map(step => takeStep(run, step)))
    if (run.parted || run.late) return null
    const first = texts.findIndex(text => text !== null)
    if (first >= 0) run.late ||= performance.now() > run.sureUntil
    if (first >= 0) return run.late ? null : differs(at + first, texts[first]!)
    at = end
  }
  return null
}

async function compareEnds(run: Run): Promise<Outcome | null> {
  const text = await watching.compareWatches(run)
  return text === null ? null : differs(run.sequence.steps.length, text)
}

async function takeStep(run: Run, step: Step): Promise<string | null> {
  if (step.kind === 'watch' || step.kind === 'cancel' || step.kind === 'progress') {
    const unlike = await watching.openLedgers(run)
    return unlike ?? watching.takeWatchStep(run, step)
  }
  if (step.kind === 'expire') {
    run.late = performance.now() > run.sureUntil
    return run.late ? null : takeExpiry(run, step)
  }
  if (step.kind === 'call' && step.rpc === `${KV}/Compact`) {
    // A watch that is still catching up in one of the servers would be cut off there and not in the other.
    const unlike = await watching.settleWatches(run)
    if (unlike !== null || watching.mayBeBehind(run.etcd)) return unlike
  }
  const changesRights = isAuthChange(step) && run.etcd.watches.watches.length > 0
  if (changesRights) {
    const unlike = await watching.settleWatches(run)
    if (unlike !== null) return unlike
  }
  if (isLocal(step)) await catchUp(run, step.as, step.client)
  const sent = performance.now()
  const [etcd, kvorum] = await Promise.all([ask(run, run.etcd, step), ask(run, run.kvorum, step)])
  if (step.kind === 'call') {
    remember(run.etcd, step, etcd)
    remember(run.kvorum, step, kvorum)
    noteRevisions(run, step.rpc, step, etcd, sent)
  }
  if (changesRights && etcd.kind === 'ok' && kvorum.kind === 'ok') {
    const unlike = await expectRevocations(run)
    if (unlike !== null) return unlike
  }
  const deviation = DEVIATIONS.find(({ applies }) => applies(step, etcd, kvorum))
  if (deviation !== undefined) {
    run.deviation ??= deviation.id
    // A read, and what both refused, has changed nothing.
    run.parted ||= !isRead(step) && (etcd.kind === 'ok' || kvorum.kind === 'ok')
    return null
  }
  const flaw = step.kind === 'call' ? step.flaw : undefined
  const unlike =
    flaw !== undefined && kvorum.kind === 'refused' && MALFORMED.test(kvorum.text)
      ? difference(withoutText(etcd), withoutText(kvorum))
      : difference(normaliseAnswer(etcd, run.etcd.names), normaliseAnswer(kvorum, run.kvorum.names))
  const refusal = [etcd, kvorum].find(answer => answer.kind === 'refused')
  return unlike === null || refusal?.kind !== 'refused' ? unlike : `${unlike} (${refusal.text})`
}

const isAuthChange = (step: Step): boolean =>
  step.kind === 'call' && step.rpc.startsWith(AUTH) && !isRead(step)

/** Answered from what one member has applied, which in a cluster may be behind. */
const isLocal = (step: Step): step is Extract<Step, { kind: 'call' }> =>
  step.kind === 'call' && (LOCAL.has(step.rpc) || step.request['serializable'] === true)

export const bindings = (run: Run, side: Side): Bindings => ({
  marks: run.marks,
  leases: side.leases,
  members: side.members,
})

function ask(run: Run, side: Side, step: Extract<Step, { kind: 'call' | 'keepAlive' }>): Promise<Answer> {
  const message = resolve(step.request, bindings(run, side)) as Message
  const as = run.guarded ? step.as : undefined
  if (step.kind === 'keepAlive') return side.target.keepAlive(message, as, step.client)
  return run.sequence.transport === 'json'
    ? side.target.json(step.rpc, message, as, step.client, step.flaw)
    : side.target.grpc(step.rpc, message, as, step.client)
}

/** Keeps the token and the id that the server chose. */
function remember(side: Side, step: Extract<Step, { kind: 'call' }>, answer: Answer): void {
  const { name } = step.request
  if (answer.kind === 'ok' && step.rpc === 'etcdserverpb.Auth/Authenticate' && typeof name === 'string')
    side.target.tokens.set(name, String(answer.message['token']))
  if (answer.kind !== 'ok') return
  if (step.memberSlot !== undefined)
    side.members.set(step.memberSlot, (answer.message['member'] as { ID: bigint }).ID)
  if (step.slot === undefined) return
  const id = BigInt(answer.message['ID'] as bigint | string)
  side.leases.set(step.slot, id)
  side.names.set(id, `lease ${side.names.size}`)
}

function noteRevisions(
  run: Run,
  rpc: RpcName,
  step: Extract<Step, { kind: 'call' }>,
  answer: Answer,
  sent: number,
): void {
  if (answer.kind !== 'ok') return
  const ttl = Number(step.request['TTL'])
  if (rpc === `${LEASE}/LeaseGrant` && ttl <= SHORT_TTL)
    run.sureUntil = Math.min(run.sureUntil, sent + sureMs(ttl))
  if (rpc === 'etcdserverpb.Auth/AuthEnable') run.guarded = true
  if (rpc === 'etcdserverpb.Auth/AuthDisable') run.guarded = false
  const now = revisionOf(answer)
  run.marks.now = Math.max(run.marks.now, now)
  if (rpc !== `${KV}/Compact`) return
  const asked = resolve(step.request, bindings(run, run.etcd)) as Message
  run.marks.compacted = Number(asked['revision'] ?? 0)
}

const revisionOf = (answer: Answer): number =>
  answer.kind === 'ok' ? Number((answer.message['header'] as Message | undefined)?.['revision'] ?? 0) : 0

/**
 * Both stores empty, at the same revision and compacted there. The one that is behind, because the servers
 * have differed, is brought forward by writes.
 */
export async function alignStores(pair: Pair): Promise<number> {
  const targets = [pair.etcd, pair.kvorum]
  const revisions = await Promise.all(targets.map(clear))
  const equal = revisions[0] === revisions[1]
  const behind = Math.max(...revisions) < LEAST_START
  const top = behind ? LEAST_START + 2 : Math.max(...revisions) + (equal ? 0 : 2)
  await Promise.all(targets.map((target, i) => advance(target, top - revisions[i]!)))
  const found = await Promise.all(targets.map(target => must(target, `${KV}/Compact`, { revision: top })))
  const [a, b] = found.map(revisionOf)
  if (a !== b || a !== top) throw new Error(`revisions cannot be made equal: ${a}, ${b}, wanted ${top}`)
  return top
}

/** So that a few revisions ago is not before the first. */
const LEAST_START = 20

async function clear(target: Target): Promise<number> {
  const leases = await must(target, `${LEASE}/LeaseLeases`, {})
  for (const { ID } of (leases.message['leases'] as { ID: bigint }[] | undefined) ?? []) {
    // One that runs out in this moment is gone as well.
    await target.grpc(`${LEASE}/LeaseRevoke`, { ID })
  }
  await must(target, `${KV}/Put`, { key: Buffer.from('a') })
  const emptied = await must(target, `${KV}/DeleteRange`, ALL)
  return revisionOf(emptied)
}

const ALL = { key: Buffer.from([0]), range_end: Buffer.from([0]) }

async function advance(target: Target, by: number): Promise<void> {
  if (by <= 0) return
  for (let i = 1; i < by; i++) await must(target, `${KV}/Put`, { key: Buffer.from('a') })
  await must(target, `${KV}/DeleteRange`, ALL)
}

async function must(
  target: Target,
  rpc: RpcName,
  message: Message,
): Promise<Extract<Answer, { kind: 'ok' }>> {
  const answer = await target.grpc(rpc, message)
  if (answer.kind !== 'ok') throw new Error(`${target.name} refused ${rpc}: ${answer.code} ${answer.text}`)
  return answer
}
