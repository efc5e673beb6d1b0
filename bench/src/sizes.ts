import { parseArgs } from 'node:util'
import { isInstalled, type System } from './cluster.js'
import { Clusters } from './clusters.js'
import { figuresTable, isMet, type Figure } from './figures.js'
import { machineLine, versionOf } from './machine.js'
import { TurnWatch } from './metrics.js'
import {
  deleteMany,
  eventLoopAtLoad,
  idleMemory,
  killedLeaders,
  loadMany,
  nodeUp,
  restarts,
  rollingRestart,
  startCluster,
} from './trials.js'

/** Measures every promised size and time, prints them against their targets, and fails where one is missed. */

const USAGE = `npm run bench:sizes -- [options]
  --system ours|etcd  (ours) etcd has no metrics for the last two figures, which then count as missed
  --keys N            of the large trials (1000000; the targets are for that many)
  --directory PATH    where data directories are made`

interface Settings {
  readonly system: System
  readonly keys: number
  readonly directory: { readonly directory: string } | Record<string, never>
}

function readSettings(): Settings | null {
  const { values } = parseArgs({
    options: {
      system: { type: 'string', default: 'ours' },
      keys: { type: 'string', default: '1000000' },
      directory: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  const { system, directory } = values
  const keys = Number(values.keys)
  if (system !== 'ours' && system !== 'etcd') throw new Error(`--system ${system}: one of ours, etcd`)
  if (!isInstalled(system)) throw new Error(`${system} is not installed`)
  if (!(keys > 0)) throw new Error(`--keys ${values.keys} is not a positive number`)
  return { system, keys, directory: directory === undefined ? {} : { directory } }
}

async function measureAll(
  settings: Settings,
  clusters: Clusters,
  tell: (figure: Figure) => void,
): Promise<void> {
  const options = { system: settings.system, nodes: 3, ...settings.directory }
  const turns = new TurnWatch()
  tell(await nodeUp(clusters, { ...options, nodes: 1 }))
  const { cluster, figure } = await startCluster(clusters, options)
  tell(figure)
  tell(await idleMemory(cluster))
  tell(await killedLeaders(cluster, turns))
  tell(await rollingRestart(cluster, turns))
  tell(await eventLoopAtLoad(cluster, turns))
  await clusters.close(cluster)

  const large = await clusters.start(options)
  const space = { prefix: 'many/', keys: settings.keys, valueBytes: 256 }
  tell(await loadMany(large, space))
  await turns.look(large)
  tell(await restarts(large, space))
  for (const each of await deleteMany(large, space)) tell(each)
  await turns.look(large)
  tell({
    title: "longest turn's CPU time, all trials",
    limit: 20,
    unit: 'ms',
    value: turns.maxSeconds * 1_000,
  })
}

async function main(): Promise<void> {
  const settings = readSettings()
  if (settings === null) {
    console.log(USAGE)
    return
  }
  const clusters = new Clusters()
  const figures: Figure[] = []
  try {
    await measureAll(settings, clusters, figure => {
      figures.push(figure)
      process.stderr.write(`${figure.title}: ${figure.value.toFixed(3)} ${figure.unit}\n`)
    })
  } finally {
    await clusters.closeAll()
    console.log(`${machineLine()}. ${versionOf(settings.system)}.\n\n${figuresTable(figures)}`)
  }
  if (!figures.every(isMet)) process.exitCode = 1
}

await main()
