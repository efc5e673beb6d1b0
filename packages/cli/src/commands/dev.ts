import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { LIMITS } from '@kvorum/model'
import colors from 'picocolors'
import { defineCommand, DONE, FAILED } from '../command.js'
import { runCluster } from '../dev/cluster.js'
import { claimDirectory, deleteCluster, readShape, releaseDirectory, writeShape } from '../dev/directory.js'
import { chooseShape, NODES_MAX, planCluster, type NodePlan } from '../dev/plan.js'
import { findPortProblem } from '../dev/ports.js'
import { serverEnvironment, serverProgram } from '../dev/supervisor.js'
import { optionalCount, text, toggle, type FlagValues } from '../flag.js'
import { accepted, type Parsed } from '../parsed.js'
import type { Io } from '../io.js'

const DEV_FLAGS = {
  nodes: optionalCount('n', 'How many nodes; an odd number is best. Default: 3.', {
    least: 1,
    most: NODES_MAX,
  }),
  'port-base': optionalCount('port', 'Client port of the first node. Default: 2379.', {
    least: 1,
    most: 65_534,
  }),
  replicas: optionalCount(
    'count',
    'Replicas of each shard, when the cluster begins. Default: one on every node.',
    {
      least: 1,
      most: LIMITS.replicasPerShardMax,
    },
  ),
  'initial-split-keys': text('keys', 'Where the cluster is cut into shards when it begins: b,m,t.'),
  'data-dir': text('dir', 'Where the cluster lives.', '.kvorum'),
  fresh: toggle('Delete the cluster that is there first.'),
  'no-restart': toggle('Leave a node down that ended; without this it starts again after 5 s.'),
} as const

const DETAILS = `The numbers of nodes, ports and replicas, and the split keys, are kept with the data for later starts.
Arguments after -- go to every server: kvorum dev -- --election-timeout=500
Clients use the ports 2379, 22379, 32379, ... (+40000, +50000, +60000, +10000 from the first); peers the next.`

interface Prepared {
  readonly flags: FlagValues<typeof DEV_FLAGS>
  readonly extra: readonly string[]
}

export const dev = defineCommand<typeof DEV_FLAGS, Prepared>({
  name: 'dev',
  usage: '[flags] [-- server flags]',
  summary: 'Runs a whole cluster on this machine, one process per node, for development.',
  details: DETAILS,
  flags: DEV_FLAGS,
  rest: { least: 0, most: Infinity },
  prepare: ({ flags, rest }) => accepted({ flags, extra: rest }),
  run: async (io, { flags, extra }) => {
    const directory = flags['data-dir']
    const claimed = claimDirectory(directory, process.pid)
    if (!claimed.ok) return refuse(io, claimed.reason)
    try {
      const plans = await preparePlans(directory, flags, extra)
      return plans.ok ? await runDev(io, flags, plans.value) : refuse(io, plans.reason)
    } finally {
      releaseDirectory(directory)
    }
  },
})

function refuse(io: Io, reason: string): number {
  io.say(`Error: kvorum dev: ${reason}.`)
  return FAILED
}

async function preparePlans(
  directory: string,
  flags: FlagValues<typeof DEV_FLAGS>,
  extra: readonly string[],
): Promise<Parsed<NodePlan[]>> {
  if (flags.fresh) deleteCluster(directory)
  const stored = readShape(directory)
  if (!stored.ok) return stored
  const splitKeys = flags['initial-split-keys'] === '' ? null : flags['initial-split-keys']
  const asked = { nodes: flags.nodes, portBase: flags['port-base'], replicas: flags.replicas, splitKeys }
  const shape = chooseShape(stored.value, asked, directory)
  if (!shape.ok) return shape
  const plans = planCluster(shape.value, directory, extra)
  if (!plans.ok) return plans
  const refused = await refusalOf(plans.value[0]!)
  if (refused !== null) return { ok: false, reason: refused }
  const problem = await findPortProblem(plans.value)
  if (problem !== null) return { ok: false, reason: problem }
  if (stored.value === null) writeShape(directory, shape.value)
  return plans
}

/** Flags that are not ours are judged before anything is written down, and once for all nodes. */
async function refusalOf({ argv, extra }: NodePlan): Promise<string | null> {
  if (extra.length === 0) return null
  // Only now: the servers are other processes.
  const { loadConfig } = await import('@kvorum/server')
  const outcome = loadConfig({
    argv: argv.slice(1),
    environment: serverEnvironment(process.env),
    readFile: path => readFileSync(path, 'utf8'),
  })
  if (outcome.kind === 'refuse') return outcome.reason.replace(/\.$/, '')
  return outcome.kind === 'print' ? `${extra.join(' ')} is for kvorum server` : null
}

const RESTART_MS = 5000
const PAINTS = [colors.cyan, colors.magenta, colors.blue, colors.green, colors.yellow]

async function runDev(
  io: Io,
  flags: FlagValues<typeof DEV_FLAGS>,
  plans: readonly NodePlan[],
): Promise<number> {
  const stop = new AbortController()
  const kill = new AbortController()
  const onSignal = (): void => (stop.signal.aborted ? kill : stop).abort()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  const paint = new Map(plans.map((plan, i) => [plan.name, PAINTS[i % PAINTS.length]!(plan.name)]))
  try {
    const orderly = await runCluster(
      {
        plans,
        directory: flags['data-dir'],
        program: serverProgram(fileURLToPath(new URL('../../bin/kvorum.js', import.meta.url))),
        env: serverEnvironment(process.env),
        restartAfterMs: flags['no-restart'] ? null : RESTART_MS,
        tell: text => io.write(`${text}\n`),
        relay: (plan, line) => io.say(`${paint.get(plan.name)} | ${line}`),
      },
      stop.signal,
      kill.signal,
    )
    return orderly ? DONE : FAILED
  } finally {
    for (const signal of signals) process.removeListener(signal, onSignal)
  }
}
