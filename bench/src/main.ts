import { parseArgs } from 'node:util'
import { isInstalled, type Cluster, type System } from './cluster.js'
import { Clusters } from './clusters.js'
import { fill } from './fill.js'
import type { Http2Connection } from './http2/connection.js'
import { machineLine, versionOf } from './machine.js'
import { printReport, type Results } from './report.js'
import { measureRow, parseRow, rowTitle, type Row } from './rows.js'
import type { KeySpace } from './requests.js'

/**
 * The same loads on our cluster and on etcd's, turn about, so that what disturbs the machine disturbs both.
 * The report goes to stdout as Markdown, progress to stderr.
 */

const DEFAULT_ROWS = 'put:1,put:64,put:256,put:1000,read:1,read:64,read:256,read:1000,put@2000'

const USAGE = `npm run bench -- [options]
  --rows LIST         loads, by commas: put:64 (64 in flight), read@2000 (2000 a second)
                      default ${DEFAULT_ROWS}
  --only ours|etcd    one system
  --rounds N          turns of each row on each system; the report has the medians (3)
  --seconds N         measured part of one turn (4)
  --warmup N          seconds before it (1.5)
  --keys N            key space, filled at the start (100000)
  --value-bytes N     (256)
  --nodes N           of each cluster (3)
  --connections N     to each node (2)
  --directory PATH    where data directories are made (the system's temporary directory)`

interface Settings {
  readonly systems: readonly System[]
  readonly rows: readonly Row[]
  readonly rounds: number
  readonly warmupMs: number
  readonly measureMs: number
  readonly space: KeySpace
  readonly nodes: number
  readonly connections: number
  readonly directory: { readonly directory: string } | Record<string, never>
}

function readSettings(): Settings | null {
  const option = (value: string) => ({ type: 'string', default: value }) as const
  const { values } = parseArgs({
    options: {
      rows: option(DEFAULT_ROWS),
      only: { type: 'string' },
      rounds: option('3'),
      seconds: option('4'),
      warmup: option('1.5'),
      keys: option('100000'),
      'value-bytes': option('256'),
      nodes: option('3'),
      connections: option('2'),
      directory: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  return {
    systems: chooseSystems(values.only),
    rows: values.rows.split(',').map(parseRow),
    rounds: positive('rounds', values.rounds),
    warmupMs: positive('warmup', values.warmup) * 1_000,
    measureMs: positive('seconds', values.seconds) * 1_000,
    space: {
      prefix: 'bench/',
      keys: positive('keys', values.keys),
      valueBytes: positive('value-bytes', values['value-bytes']),
    },
    nodes: positive('nodes', values.nodes),
    connections: positive('connections', values.connections),
    directory: values.directory === undefined ? {} : { directory: values.directory },
  }
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} ${text} is not a positive number`)
  return value
}

function chooseSystems(only: string | undefined): System[] {
  if (only === 'ours' || only === 'etcd') {
    if (!isInstalled(only)) throw new Error(`${only} is not installed`)
    return [only]
  }
  if (only !== undefined) throw new Error(`--only ${only}: one of ours, etcd`)
  const systems = (['ours', 'etcd'] as const).filter(isInstalled)
  if (!systems.includes('etcd')) progress('etcd is not installed (Debian: etcd-server); measuring only ours')
  return systems
}

const progress = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

async function connectAll(cluster: Cluster, perNode: number): Promise<Http2Connection[]> {
  const connections: Http2Connection[] = []
  for (let turn = 0; turn < perNode; turn++) {
    for (let node = 0; node < cluster.size; node++) connections.push(await cluster.connect(node))
  }
  return connections
}

async function measureAll(settings: Settings, clusters: Clusters): Promise<Results> {
  const sides = []
  for (const system of settings.systems) {
    progress(`starting ${versionOf(system)}`)
    const cluster = await clusters.start({ system, nodes: settings.nodes, ...settings.directory })
    const connections = await connectAll(cluster, settings.connections)
    await fill(connections[0]!, settings.space)
    sides.push({ system, cluster, connections })
  }
  const results: Results = new Map()
  for (const row of settings.rows) {
    for (let round = 1; round <= settings.rounds; round++) {
      for (const { system, cluster, connections } of sides) {
        const measured = await measureRow(row, cluster, connections, { ...settings, seed: round })
        const list = results.get(row)?.get(system) ?? []
        results.set(row, (results.get(row) ?? new Map()).set(system, [...list, measured]))
        progress(
          `${rowTitle(row)}, round ${round}, ${system}: ${measured.perSecond.toFixed(0)}/s, ` +
            `p99 ${measured.p99.toFixed(1)} ms, failed ${measured.failed} ${measured.firstFailure}`,
        )
      }
    }
  }
  return results
}

async function main(): Promise<void> {
  const settings = readSettings()
  if (settings === null) {
    console.log(USAGE)
    return
  }
  const clusters = new Clusters()
  try {
    const results = await measureAll(settings, clusters)
    const conditions =
      `${machineLine()}. ${settings.systems.map(versionOf).join(' and ')}, ${settings.nodes} nodes on this machine ` +
      `with the generator; ${settings.space.keys} keys, values of ${settings.space.valueBytes} bytes, ` +
      `${settings.connections} connections to each node, medians of ${settings.rounds} alternating rounds of ` +
      `${settings.measureMs / 1_000} s.`
    console.log(printReport(settings.systems, results, conditions))
  } finally {
    await clusters.closeAll()
  }
}

await main()
