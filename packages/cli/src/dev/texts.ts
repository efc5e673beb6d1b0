import type { NodeView } from './statuses.js'
import type { Exit } from './supervisor.js'
import { DEFAULT_SHAPE, HOST, type NodePlan } from './plan.js'

/** What `kvorum dev` tells its user. */

const endpoint = (plan: NodePlan): string => `${HOST}:${plan.clientPort}`

export function welcome(
  plans: readonly NodePlan[],
  leader: NodeView,
  directory: string,
  pidOf: (plan: NodePlan) => number | null,
): string {
  const rows = plans.map(plan => {
    const role = plan.name === leader.plan.name ? `leader, term ${leader.term}` : 'follower'
    return `  ${plan.name}  ${endpoint(plan).padEnd(16)}  process ${String(pidOf(plan) ?? '-').padEnd(8)}  ${role}`
  })
  const all = plans.map(endpoint).join(',')
  const first = plans[0]!.clientPort
  const flag = first === DEFAULT_SHAPE.portBase ? '' : ` --endpoints ${HOST}:${first}`
  return `
kvorum: ${plans.length} ${plans.length === 1 ? 'node' : 'nodes'} on this machine. Data and logs are in ${directory} and stay there.

${rows.join('\n')}

Try it, in another terminal:

  npx kvorum put${flag} hello world
  npx kvorum get${flag} hello
  npx kvorum watch${flag} hello
  etcdctl --endpoints ${all} get hello
  curl http://${HOST}:${first}/health

Kill a node and the others go on, as long as a majority runs. Ctrl-C stops them all.
`
}

export function exitText({ plan, pid, code, signal }: Exit, restartAfterMs: number | null): string {
  const how = signal === null ? `ended with status ${code}` : `was killed by ${signal}`
  const next = restartAfterMs === null ? 'it stays down' : `it starts again in ${restartAfterMs / 1000} s`
  return `${plan.name} (process ${pid}) ${how}; ${next}.`
}

export const leaderText = (leader: NodeView): string =>
  `${leader.plan.name} (${endpoint(leader.plan)}) leads now, term ${leader.term}.`
