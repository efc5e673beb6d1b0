import { InvariantError, META_GROUP } from '@kvorum/model'
import type { Anomaly } from '../check/anomaly.js'
import { checkLinearizable } from '../check/linearizability.js'
import { checkListAppend } from '../check/listAppend.js'
import { kvModel } from '../check/models/kv.js'
import { checkRevisionOrder } from '../check/revisionOrder.js'
import { Violation } from '../invariants/violation.js'
import { SECOND, type Micros } from '../schedule.js'
import { AccessWorkload } from './accessWorkload.js'
import { Cluster } from './cluster.js'
import { Failure } from './failure.js'
import { Nemesis } from './nemesis.js'
import { MembersOperator } from './membersOperator.js'
import { compareStates, crashAll, demand, demandHashes, demandProgress } from './phases.js'
import { replay } from './replay.js'
import { demandNobodyNamed, tamper } from './tampering.js'
import { planRun, type PlanOptions } from './plan.js'
import { Mover } from './mover.js'
import { soundNodes } from './soundReplicas.js'
import { Splitter } from './splitter.js'
import { Watchers } from './watchers.js'
import { Workload } from './workload.js'

export interface SeedReport {
  readonly seed: number
  readonly ok: boolean
  /** What went wrong: the invariant or the demand, and the facts. Null when nothing did. */
  readonly failure: string | null
  /** Virtual time of the failure, or of the end. */
  readonly time: Micros
  readonly trace: string
  readonly acknowledged: number
  readonly failed: number
  readonly unknown: number
  readonly committed: number
  readonly coverage: Readonly<Record<string, number>>
  /** The last notes of each node; only of a run that failed. */
  readonly notes: readonly string[]
}

/** Histories longer than this leave the second opinion to the revision order alone. */
const SEARCHED_MAX = 400

/** One run from its seed: warm-up, faults, heal, progress, everybody loses power, comparison. */
export function runSeed(seed: number, options: PlanOptions = {}): SeedReport {
  const plan = planRun(seed, options)
  const cluster = new Cluster(plan)
  const workload = new Workload(cluster)
  let failure: string | null = null
  try {
    live(cluster, workload)
    judge(cluster)
    expectNone('I48 bank', META_GROUP, workload.bank.judge())
  } catch (error) {
    failure = describe(error)
  }
  const { schedule, coverage, observer } = cluster
  const committed = observer.truths.all.reduce((sum, { applied }) => sum + applied, 0)
  return {
    seed,
    ok: failure === null,
    failure,
    time: schedule.now,
    trace: schedule.trace.number(committed).number(workload.acknowledged).hex(),
    acknowledged: workload.acknowledged,
    failed: workload.failed,
    unknown: workload.unknown,
    committed,
    coverage: coverage.toJSON(),
    notes: failure === null ? [] : cluster.nodes.flatMap(node => node.notes).sort(byTime),
  }
}

function live(cluster: Cluster, workload: Workload): void {
  const { schedule, plan } = cluster
  const watchers = new Watchers(cluster)
  const access = new AccessWorkload(cluster)
  const nemesis = new Nemesis(cluster)
  const operator = new MembersOperator(cluster)
  const splitter = new Splitter(cluster)
  const mover = new Mover(cluster)
  for (const node of cluster.nodes) node.start()
  workload.start()
  watchers.start()
  access.start()
  schedule.runUntil(plan.warmUp)
  nemesis.start()
  operator.start()
  splitter.start()
  mover.start()
  schedule.runUntil(plan.warmUp + plan.safetyTime)
  operator.finish()
  splitter.stop()
  mover.stop()
  nemesis.heal()
  demandNobodyNamed(cluster)
  demandProgress(cluster, workload, watchers, access)
  compareStates(cluster)
  crashAll(cluster)
  compareStates(cluster)
  if (cluster.plan.swarm.cluster.replicas === 0) demandHashes(cluster)
  replay(cluster)
  demandNobodyNamed(cluster)
  tamper(cluster, soundNodes(cluster), demand)
  operator.judge()
  cluster.observer.leases.settled(schedule.now)
  cluster.observer.invariants.finish()
}

/** What clients saw, against the ground truth. */
function judge(cluster: Cluster): void {
  if (cluster.plan.swarm.cluster.oracle) {
    judgeWhole(cluster)
    return
  }
  for (const group of cluster.areas) {
    const history = cluster.histories.get(group)!.history()
    const truth = cluster.truthOf(group)
    expectNone('I39', group, checkRevisionOrder(history, truth))
    expectNone('I39 lists', group, checkListAppend(cluster.lists.get(group)!.history()))
    const { kinds } = cluster.plan.swarm.workload
    if (kinds.includes('leases') || history.length > SEARCHED_MAX) continue
    const linear = history.filter(({ op }) => op.kind !== 'read' || !(op.serializable || isPast(op.op)))
    const verdict = checkLinearizable(kvModel, linear, 20_000)
    cluster.coverage.mark(`search ${verdict.kind}`)
    if (verdict.kind === 'illegal') throw new Failure('I39 by search', { group, stuck: verdict.stuck })
  }
}

/** One order over all groups: every answer is what the whole store was at its revision. */
function judgeWhole(cluster: Cluster): void {
  const [first] = cluster.areas
  const history = cluster.histories.get(first!)!.history()
  expectNone(
    'I39 over all groups',
    META_GROUP,
    checkRevisionOrder(history, cluster.truthOf(first!), { monotonicReads: false, gaps: true }),
  )
  for (const group of cluster.areas)
    expectNone('I39 lists', group, checkListAppend(cluster.lists.get(group)!.history()))
}

const isPast = (op: { readonly kind: string }): boolean =>
  op.kind === 'range' && (op as { readonly revision?: number }).revision !== 0

function expectNone(what: string, group: number, anomalies: readonly Anomaly[]): void {
  const first = anomalies[0]
  if (first === undefined) return
  const { kind, operations, facts } = first
  throw new Failure(what, {
    group,
    anomalies: anomalies.length,
    kind,
    operations: operations.join(' '),
    facts,
  })
}

function describe(error: unknown): string {
  if (error instanceof Violation || error instanceof Failure) return error.message
  if (error instanceof InvariantError)
    return `a promise of the code to itself: ${error.stack ?? error.message}`
  return `the code threw: ${(error as Error).stack ?? String(error)}`
}

const byTime = (a: string, b: string): number => Number.parseFloat(a) - Number.parseFloat(b)

export const virtualHours = (time: Micros): string => (time / SECOND / 3600).toFixed(2)
