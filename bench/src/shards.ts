import { parseArgs } from 'node:util'
import type { Cluster } from './cluster.js'
import { Clusters } from './clusters.js'
import type { Http2Connection } from './http2/connection.js'
import { closedLoop } from './load.js'
import { machineLine, versionOf } from './machine.js'
import { cpuSeconds } from './processes.js'
import type { Requests } from './requests.js'
import { pairTransactions, shardPuts, spaceOfShard } from './shardLoads.js'
import { RANGES, splitPauses, type SplitPauses } from './splitPauses.js'
import { figure, markdownTable, median } from './table.js'
import { watchDelay } from './watchDelay.js'

/**
 * What shards cost and bring: the same loads on one shard without an oracle (dense mode) and on a cluster of many,
 * turn about. The report goes to stdout as Markdown, progress to stderr.
 */

const SHARDS = 16
const WATCHED = 8
const KEYS = 20_000
const VALUE_BYTES = 256
const CONNECTIONS = 2

const USAGE = `npm run bench:shards -- [options]
  --rounds N          turns of each load; the report has the medians (3)
  --seconds N         measured part of one turn (3)
  --warmup N          seconds before it (1)
  --in-flight LIST    of each load (1,64,256)
  --directory PATH    where data directories are made (the system's temporary directory)`

interface Load {
  readonly title: string
  readonly side: 'dense' | 'sharded'
  readonly requests: (seed: number) => Requests
}

const space = (shard: number) => spaceOfShard(shard, KEYS, VALUE_BYTES)
const first = (shards: number) => Array.from({ length: shards }, (_, shard) => space(shard))
/** Each shard with itself, or with the next. */
const pairs = (distance: number) =>
  Array.from({ length: SHARDS }, (_, i) => [space(i), space((i + distance) % SHARDS)] as const)

const LOADS: readonly Load[] = [
  { title: 'put, one shard, no oracle', side: 'dense', requests: seed => shardPuts(first(SHARDS), seed) },
  ...[1, 4, SHARDS].map((shards): Load => {
    const title = `put, ${shards} of ${SHARDS} shards`
    return { title, side: 'sharded', requests: seed => shardPuts(first(shards), seed) }
  }),
  {
    title: 'txn of two puts, one shard, no oracle',
    side: 'dense',
    requests: seed => pairTransactions(pairs(1), seed),
  },
  {
    title: `txn of two puts in the same one of ${SHARDS} shards`,
    side: 'sharded',
    requests: seed => pairTransactions(pairs(0), seed),
  },
  {
    title: `txn of two puts in two of ${SHARDS} shards`,
    side: 'sharded',
    requests: seed => pairTransactions(pairs(1), seed),
  },
]

interface Measured {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly cpuPer1000: number
  readonly failed: number
}

interface Settings {
  readonly rounds: number
  readonly measureMs: number
  readonly warmupMs: number
  readonly inFlight: readonly number[]
  readonly directory: { readonly directory: string } | Record<string, never>
}

function readSettings(): Settings | null {
  const option = (value: string) => ({ type: 'string', default: value }) as const
  const { values } = parseArgs({
    options: {
      rounds: option('3'),
      seconds: option('3'),
      warmup: option('1'),
      'in-flight': option('1,64,256'),
      directory: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  return {
    rounds: Number(values.rounds),
    measureMs: Number(values.seconds) * 1_000,
    warmupMs: Number(values.warmup) * 1_000,
    inFlight: values['in-flight'].split(',').map(Number),
    directory: values.directory === undefined ? {} : { directory: values.directory },
  }
}

interface Side {
  readonly cluster: Cluster
  readonly connections: readonly Http2Connection[]
}

async function startSide(clusters: Clusters, settings: Settings, shards: number): Promise<Side> {
  const cluster = await clusters.start({ system: 'ours', nodes: 3, shards, ...settings.directory })
  for (let node = 0; node < cluster.size; node++) await cluster.ready(node, 60_000)
  const connections: Http2Connection[] = []
  for (let i = 0; i < CONNECTIONS * cluster.size; i++)
    connections.push(await cluster.connect(i % cluster.size))
  return { cluster, connections }
}

async function measure(
  { cluster, connections }: Side,
  requests: Requests,
  inFlight: number,
  { warmupMs, measureMs }: Settings,
): Promise<Measured> {
  const total = (): number => cluster.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  let before = 0
  let used = 0
  const result = await closedLoop({ warmupMs, measureMs, requests, connections }, inFlight, {
    begin: () => (before = total()),
    end: () => (used = total() - before),
  })
  if (result.failed > 0) process.stderr.write(`${result.failed} failed: ${result.firstFailure}\n`)
  return { ...result, cpuPer1000: (used / result.ok) * 1_000 }
}

async function measureAll(
  settings: Settings,
  sides: Record<Load['side'], Side>,
): Promise<Map<string, Measured[]>> {
  const results = new Map<string, Measured[]>()
  for (const inFlight of settings.inFlight)
    for (let round = 1; round <= settings.rounds; round++)
      for (const { title, side, requests } of LOADS) {
        const measured = await measure(sides[side], requests(round), inFlight, settings)
        const row = `${title}, ${inFlight} in flight`
        results.set(row, [...(results.get(row) ?? []), measured])
        process.stderr.write(`${row}, round ${round}: ${measured.perSecond.toFixed(0)}/s\n`)
      }
  return results
}

function report(results: ReadonlyMap<string, readonly Measured[]>): string {
  const head = ['load', 'requests/s', 'p50 ms', 'p99 ms', 'CPU s/1000', 'failed', 'of dense']
  let dense = NaN
  const rows = [...results].map(([title, rounds]) => {
    const middle = (column: keyof Measured): number => median(rounds.map(round => round[column]))
    const perSecond = middle('perSecond')
    if (title.includes('no oracle')) dense = perSecond
    const failed = rounds.reduce((sum, round) => sum + round.failed, 0)
    const columns = [perSecond, middle('p50'), middle('p99'), middle('cpuPer1000')].map(figure)
    return [title, ...columns, `${failed}`, figure(perSecond / dense)]
  })
  return markdownTable(head, rows)
}

function reportPauses({ quiet, pauses }: SplitPauses): string {
  const [first, ...others] = pauses
  const halves = others.map(({ split }) => split)
  const waits = (values: readonly number[]): string =>
    `${figure(Math.max(...values))} ms at most (median ${figure(median(values))} ms)`
  return (
    `Splits of the first cluster, ${RANGES} puts in flight to as many ranges, none of which failed: a put waited ` +
    `${figure(quiet)} ms at most in two seconds without a split. The first split, which ends dense mode: ` +
    `${figure(first!.split)} ms at most. The longest wait of each of the ${others.length} splits after it: in the ` +
    `range that was split ${waits(halves)}, in the others ${waits(others.map(other => other.others))}.`
  )
}

async function main(): Promise<void> {
  const settings = readSettings()
  if (settings === null) {
    console.log(USAGE)
    return
  }
  const clusters = new Clusters()
  try {
    const dense = await startSide(clusters, settings, 1)
    const sharded = await startSide(clusters, settings, SHARDS)
    const results = await measureAll(settings, { dense, sharded })
    console.log(
      `${machineLine()}. ${versionOf('ours')}, 3 nodes on this machine with the generator; values of ${VALUE_BYTES} ` +
        `bytes, medians of ${settings.rounds} alternating rounds of ${settings.measureMs / 1_000} s.\n`,
    )
    console.log(report(results))
    for (const [title, { cluster }] of [
      ['One shard', dense],
      [`${WATCHED} of ${SHARDS} shards`, sharded],
    ] as const) {
      const { answer, event, eventP99 } = await watchDelay(cluster, WATCHED)
      console.log(
        `\n${title}, idle: a put is answered after ${figure(answer)} ms (median), and a watch at another node has ` +
          `its event after ${figure(event)} ms (median; p99 ${figure(eventP99)} ms).`,
      )
    }
    console.log(`\n${reportPauses(await splitPauses(dense.cluster))}`)
  } finally {
    await clusters.closeAll()
  }
}

await main()
