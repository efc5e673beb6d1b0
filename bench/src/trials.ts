import type { Cluster, ClusterOptions } from './cluster.js'
import type { Clusters } from './clusters.js'
import type { Measured } from './figures.js'
import { fill } from './fill.js'
import { closedLoop, openLoop } from './load.js'
import {
  countRequest,
  deleteRangeRequest,
  METHOD,
  putRequest,
  rangeRequest,
  readCount,
  readDeleted,
} from './messages.js'
import { METRIC, metricMax, type TurnWatch } from './metrics.js'
import { cpuSeconds, residentBytes, ResidentPeak } from './processes.js'
import { Prober, type ProbeResult } from './prober.js'
import { randomPuts, type KeySpace } from './requests.js'

/** One function per promise. Each repeats itself where that is cheap and reports the worst. */

const REPEATS = 3
const IDLE_MS = 5_000
const SPREAD_TIMEOUT_MS = 120_000
const COUNT_TIMEOUT_MS = 60_000
const DELETE_TIMEOUT_MS = 300_000
const MB = 1_000_000

const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
const since = (start: number): number => (performance.now() - start) / 1_000
const PROBE = putRequest(Buffer.from('probe'), Buffer.from('value'))

/** Puts through every node while `act` runs, and their longest pause. */
async function whilePutting(cluster: Cluster, act: (prober: Prober) => Promise<void>): Promise<ProbeResult> {
  const prober = new Prober(cluster, METHOD.put, PROBE)
  try {
    // Every lane is under way before something happens.
    await prober.more(50)
    await act(prober)
    await prober.more(50)
  } finally {
    await prober.stop()
  }
  return prober.stop()
}

/** From the start of the process until its port answers. */
export async function nodeUp(clusters: Clusters, options: ClusterOptions): Promise<Measured> {
  let worst = 0
  for (let i = 0; i < REPEATS; i++) {
    const cluster = await clusters.create(options)
    const start = performance.now()
    cluster.spawn(0)
    await cluster.answers(0, 20_000)
    worst = Math.max(worst, since(start))
    await clusters.close(cluster)
  }
  return { value: worst, note: `worst of ${REPEATS}` }
}

/** From the start of empty processes until a put has succeeded through every node. */
export async function clusterServing(clusters: Clusters, options: ClusterOptions): Promise<Measured> {
  let worst = 0
  for (let i = 0; i < REPEATS; i++) {
    const cluster = await clusters.create(options)
    const start = performance.now()
    for (let node = 0; node < cluster.size; node++) cluster.spawn(node)
    for (let node = 0; node < cluster.size; node++) await untilServes(cluster, node, METHOD.put, PROBE)
    worst = Math.max(worst, since(start))
    await clusters.close(cluster)
  }
  return { value: worst, note: `worst of ${REPEATS}` }
}

async function untilServes(
  cluster: Cluster,
  node: number,
  path: string,
  message: Buffer,
  timeoutMs = 2_000,
): Promise<Buffer> {
  const deadline = performance.now() + 60_000
  for (;;) {
    try {
      const connection = await cluster.connect(node)
      try {
        return await connection.call(path, message, timeoutMs)
      } finally {
        connection.close()
      }
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
    await sleep(10)
  }
}

export async function idleMemory(cluster: Cluster): Promise<Measured> {
  await sleep(IDLE_MS)
  const largest = Math.max(...cluster.pids.map(residentBytes))
  return { value: largest / MB }
}

/** From the start of every process until each says that it leads or follows in every shard: empty, and once more. */
export async function shardsStart(cluster: Cluster): Promise<Measured> {
  const first = await untilAllReady(cluster)
  for (let node = 0; node < cluster.size; node++) await cluster.stop(node, 'SIGTERM')
  const again = await untilAllReady(cluster)
  return { value: Math.max(first, again), note: `empty ${first.toFixed(1)} s, again ${again.toFixed(1)} s` }
}

async function untilAllReady(cluster: Cluster): Promise<number> {
  const start = performance.now()
  for (let node = 0; node < cluster.size; node++) cluster.spawn(node)
  for (let node = 0; node < cluster.size; node++) await cluster.ready(node, 120_000)
  return since(start)
}

/** The busiest node's share of one core while nobody asks anything and no leadership is under way, in percent. */
export async function idleCpu(cluster: Cluster): Promise<Measured> {
  await leadersSpread(cluster)
  await sleep(IDLE_MS)
  const before = cluster.pids.map(cpuSeconds)
  const start = performance.now()
  await sleep(2 * IDLE_MS)
  const seconds = since(start)
  const shares = cluster.pids.map((pid, i) => ((cpuSeconds(pid) - before[i]!) / seconds) * 100)
  return { value: Math.max(...shares), note: shares.map(share => `${share.toFixed(1)} %`).join(', ') }
}

async function leadersSpread(cluster: Cluster): Promise<void> {
  const deadline = performance.now() + SPREAD_TIMEOUT_MS
  for (;;) {
    const led: number[] = []
    for (let node = 0; node < cluster.size; node++)
      led.push(metricMax(await cluster.metrics(node), METRIC.groupsLed))
    // Beside its shards one of them leads the meta group.
    if (Math.max(...led) - Math.min(...led) <= 2) return
    if (performance.now() > deadline) throw new Error(`the nodes still lead ${led.join(', ')} groups`)
    await sleep(1_000)
  }
}

/** The longest pause of puts around a SIGKILL of the leader. */
export async function killedLeaders(cluster: Cluster, turns: TurnWatch): Promise<Measured> {
  let worst = 0
  for (let i = 0; i < REPEATS; i++) {
    await turns.look(cluster)
    const leader = await cluster.leader()
    const { pauseMs } = await whilePutting(cluster, () => cluster.stop(leader, 'SIGKILL'))
    worst = Math.max(worst, pauseMs)
    cluster.spawn(leader)
    await cluster.healthy(leader, 20_000)
  }
  return { value: worst / 1_000, note: `worst of ${REPEATS}` }
}

/** Each node in turn: SIGTERM, start, healthy. The longest pause of puts over all of it. */
export async function rollingRestart(cluster: Cluster, turns: TurnWatch): Promise<Measured> {
  await turns.look(cluster)
  const { pauseMs, ok, failed } = await whilePutting(cluster, async prober => {
    for (let node = 0; node < cluster.size; node++) {
      await cluster.stop(node, 'SIGTERM')
      cluster.spawn(node)
      await cluster.healthy(node, 20_000)
      await prober.more(50)
    }
  })
  const note = `${ok} puts succeeded, ${failed} did not`
  return { value: pauseMs / 1_000, note }
}

export async function eventLoopAtLoad(cluster: Cluster, turns: TurnWatch): Promise<Measured> {
  const connections = []
  for (let node = 0; node < cluster.size; node++) connections.push(await cluster.connect(node))
  const requests = randomPuts({ prefix: 'load/', keys: 10_000, valueBytes: 256 }, 1)
  const peak = await closedLoop({ warmupMs: 1_500, measureMs: 4_000, requests, connections }, 256, {})
  await turns.look(cluster)
  const rate = Math.floor(peak.perSecond * 0.7)
  const load = await openLoop({ warmupMs: 500, measureMs: 10_000, requests, connections }, rate, {})
  const delay = await turns.look(cluster)
  for (const connection of connections) connection.close()
  const note = `${rate} puts a second, p99 ${load.p99.toFixed(1)} ms, ${load.failed} failed`
  return { value: delay * 1_000, note }
}

/** The largest node while and after the keys are written. */
export async function loadMany(cluster: Cluster, space: KeySpace): Promise<Measured> {
  const connection = await cluster.connect(await cluster.leader())
  const peak = new ResidentPeak(() => cluster.pids)
  try {
    const start = performance.now()
    await fill(connection, space)
    const note = `written in ${since(start).toFixed(1)} s`
    await sleep(IDLE_MS)
    return { value: peak.stop() / MB, note }
  } finally {
    peak.stop()
    connection.close()
  }
}

/** Each node in turn, from the start of its process until it counts every key, linearizably. */
export async function restarts(cluster: Cluster, space: KeySpace): Promise<Measured> {
  let worst = 0
  for (let node = 0; node < cluster.size; node++) {
    await cluster.stop(node, 'SIGTERM')
    const start = performance.now()
    cluster.spawn(node)
    await untilServes(cluster, node, METHOD.range, rangeRequest(Buffer.from('probe')))
    worst = Math.max(worst, since(start))
    const count = readCount(await untilServes(cluster, node, METHOD.range, countOf(space), COUNT_TIMEOUT_MS))
    if (count !== space.keys) throw new Error(`${count} of ${space.keys} keys after a restart`)
  }
  return { value: worst, note: `worst of ${cluster.size}` }
}

const endOf = (space: KeySpace): Buffer => {
  const end = Buffer.from(space.prefix, 'latin1')
  end[end.length - 1]! += 1
  return end
}
const countOf = (space: KeySpace): Buffer => countRequest(Buffer.from(space.prefix, 'latin1'), endOf(space))

/** One DeleteRange over everything, with linearizable reads of another key through every node meanwhile. */
export async function deleteMany(
  cluster: Cluster,
  space: KeySpace,
): Promise<{ memory: Measured; pause: Measured }> {
  await untilServes(cluster, 0, METHOD.put, PROBE)
  const connection = await cluster.connect(await cluster.leader())
  const peak = new ResidentPeak(() => cluster.pids)
  const prober = new Prober(cluster, METHOD.range, rangeRequest(Buffer.from('probe')))
  try {
    await prober.more(50)
    const start = performance.now()
    const message = deleteRangeRequest(Buffer.from(space.prefix, 'latin1'), endOf(space))
    const deleted = readDeleted(await connection.call(METHOD.deleteRange, message, DELETE_TIMEOUT_MS))
    const seconds = since(start)
    if (deleted !== space.keys) throw new Error(`${deleted} of ${space.keys} keys were deleted`)
    await prober.more(50)
    const { pauseMs, ok } = await prober.stop()
    const note = `deleted in ${seconds.toFixed(1)} s, ${ok} reads meanwhile`
    return { memory: { value: peak.stop() / MB, note }, pause: { value: pauseMs / 1_000 } }
  } finally {
    peak.stop()
    connection.close()
    await prober.stop()
  }
}
