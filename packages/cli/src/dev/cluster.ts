import { shortForm } from './logLine.js'
import type { NodePlan } from './plan.js'
import { askNodes, findLeader, type NodeView } from './statuses.js'
import { supervise, type Exit, type Supervisor } from './supervisor.js'
import { exitText, leaderText, welcome } from './texts.js'

export interface DevOptions {
  readonly plans: readonly NodePlan[]
  readonly directory: string
  readonly program: readonly [string, ...string[]]
  readonly env: NodeJS.ProcessEnv
  readonly restartAfterMs: number | null
  /** To the user: what the cluster does. */
  readonly tell: (text: string) => void
  /** To the user: what a node says. */
  readonly relay: (plan: NodePlan, line: string) => void
}

const POLL_MS = 500
/** A start that takes longer is worth a word. */
const SLOW_START_MS = 30_000
const GRACE_MS = 10_000

/**
 * Runs the nodes until `stop` is aborted, or until it makes no sense to go on; resolves to whether it ended the
 * way it was asked to. `kill` aborted: no more waiting for an orderly end.
 */
export async function runCluster(
  options: DevOptions,
  stop: AbortSignal,
  kill: AbortSignal,
): Promise<boolean> {
  const { plans, tell } = options
  const lost = new AbortController()
  let ready = false
  const alive = new Set<string>()
  const onExit = (exit: Exit): void => {
    alive.delete(exit.plan.name)
    // A node that ends before the cluster was ever up will end again: it has said why.
    const hopeless = !ready || (options.restartAfterMs === null && alive.size === 0)
    tell(exitText(exit, hopeless ? null : options.restartAfterMs))
    if (hopeless) lost.abort()
  }
  const nodes = plans.map(plan =>
    supervise(plan, {
      ...options,
      onExit,
      onStart: started => void alive.add(started.name),
      onLine: (from, line) => {
        const short = shortForm(line)
        if (short !== null) options.relay(from, short)
      },
    }),
  )
  const killAll = (): void => nodes.forEach(node => node.kill())
  process.once('exit', killAll)
  kill.addEventListener('abort', killAll)
  await followLeader(options, AbortSignal.any([stop, lost.signal]), leader => {
    ready = true
    tell(welcome(plans, leader, options.directory, plan => pidOf(nodes, plan)))
  })
  if (stop.aborted) tell('Stopping.')
  await Promise.all(nodes.map(node => node.stop(GRACE_MS)))
  kill.removeEventListener('abort', killAll)
  process.removeListener('exit', killAll)
  return stop.aborted && !kill.aborted
}

const pidOf = (nodes: readonly Supervisor[], plan: NodePlan): number | null =>
  nodes.find(node => node.plan.name === plan.name)?.pid ?? null

/** Asks who leads, over and over; tells the first leader by `begin` and later ones in a sentence. */
async function followLeader(
  { plans, tell, directory }: DevOptions,
  end: AbortSignal,
  begin: (leader: NodeView) => void,
): Promise<void> {
  let known: NodeView | null = null
  let looks = 0
  while (!end.aborted) {
    const leader = findLeader(await askNodes(plans))
    if (end.aborted) return
    if (leader !== null && known === null) begin(leader)
    else if (leader !== null && leader.plan.name !== known?.plan.name) tell(leaderText(leader))
    known = leader ?? known
    if (known === null && ++looks === SLOW_START_MS / POLL_MS)
      tell(`There is no leader yet; the logs in ${directory} may say why.`)
    await pause(POLL_MS, end)
  }
}

function pause(ms: number, end: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      end.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    end.addEventListener('abort', done)
  })
}
