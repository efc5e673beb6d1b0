import { parseArgs } from 'node:util'
import { isInstalled, type Cluster, type ClusterOptions, type System } from './cluster.js'
import { Clusters } from './clusters.js'
import {
  figuresTable,
  isMet,
  MANY_SHARDS,
  targetsFor,
  type Figure,
  type Measured,
  type Target,
} from './figures.js'
import { machineLine, versionOf } from './machine.js'
import { TurnWatch } from './metrics.js'
import {
  clusterServing,
  deleteMany,
  eventLoopAtLoad,
  idleCpu,
  idleMemory,
  killedLeaders,
  loadMany,
  nodeUp,
  restarts,
  rollingRestart,
  shardsStart,
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

/** Runs the trials, and goes on with a fresh cluster after one that failed: its promise counts as missed. */
class Trials {
  readonly figures: Figure[] = []
  readonly #clusters: Clusters
  readonly #options: ClusterOptions
  #cluster: Cluster | null = null

  constructor(clusters: Clusters, options: ClusterOptions) {
    this.#clusters = clusters
    this.#options = options
  }

  tell(target: Target, measured: Measured): void {
    this.figures.push({ ...target, ...measured })
    process.stderr.write(
      `${target.title}: ${measured.value.toFixed(3)} ${target.unit} ${measured.note ?? ''}\n`,
    )
  }

  /** Without the cluster that other trials share. */
  async alone(target: Target, run: () => Promise<Measured>): Promise<void> {
    this.tell(target, await run().catch(failed))
  }

  async shared(target: Target, run: (cluster: Cluster) => Promise<Measured>): Promise<void> {
    try {
      this.#cluster ??= await this.#clusters.start(this.#options)
      this.tell(target, await run(this.#cluster))
    } catch (error) {
      this.tell(target, failed(error))
      await this.fresh()
    }
  }

  /** The next trial starts a cluster of its own. */
  async fresh(): Promise<void> {
    this.#cluster = null
    await this.#clusters.closeAll()
  }
}

const failed = (error: unknown): Measured => {
  const [text = 'failed'] = (error instanceof Error ? error.message : String(error)).split('\n')
  return { value: NaN, note: text.slice(0, 100) }
}

async function measureAll(settings: Settings, clusters: Clusters, trials: Trials): Promise<void> {
  const options = { system: settings.system, nodes: 3, ...settings.directory }
  const targets = targetsFor(settings.keys)
  const turns = new TurnWatch()
  await trials.alone(targets.nodeUp, () => nodeUp(clusters, { ...options, nodes: 1 }))
  await trials.alone(targets.clusterServing, () => clusterServing(clusters, options))
  await trials.fresh()
  await trials.shared(targets.idle, idleMemory)
  await trials.shared(targets.killedLeader, cluster => killedLeaders(cluster, turns))
  await trials.shared(targets.rollingRestart, cluster => rollingRestart(cluster, turns))
  await trials.shared(targets.eventLoop, cluster => eventLoopAtLoad(cluster, turns))
  await trials.fresh()

  if (settings.system === 'ours') {
    const sharded = await clusters.create({ ...options, shards: MANY_SHARDS })
    await trials.alone(targets.shardsStart, () => shardsStart(sharded))
    await trials.alone(targets.shardsIdle, () => idleCpu(sharded))
    await trials.fresh()
  }

  const space = { prefix: 'many/', keys: settings.keys, valueBytes: 256 }
  await trials.shared(targets.load, async cluster => {
    const measured = await loadMany(cluster, space)
    await turns.look(cluster)
    return measured
  })
  await trials.shared(targets.restart, cluster => restarts(cluster, space))
  let pause: Measured = { value: NaN }
  await trials.shared(targets.deleteMemory, async cluster => {
    const measured = await deleteMany(cluster, space)
    pause = measured.pause
    await turns.look(cluster)
    return measured.memory
  })
  trials.tell(targets.deletePause, pause)
  trials.tell(targets.turn, { value: turns.maxSeconds * 1_000 })
}

async function main(): Promise<void> {
  const settings = readSettings()
  if (settings === null) {
    console.log(USAGE)
    return
  }
  const clusters = new Clusters()
  const trials = new Trials(clusters, { system: settings.system, nodes: 3, ...settings.directory })
  try {
    await measureAll(settings, clusters, trials)
  } finally {
    await clusters.closeAll()
  }
  console.log(`${machineLine()}. ${versionOf(settings.system)}.\n\n${figuresTable(trials.figures)}`)
  if (!trials.figures.every(isMet)) process.exitCode = 1
}

await main()
