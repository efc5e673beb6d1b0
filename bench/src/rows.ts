import type { Cluster } from './cluster.js'
import type { Http2Connection } from './http2/connection.js'
import { closedLoop, openLoop, type LoadPlan, type LoadResult } from './load.js'
import { cpuSeconds, ResidentPeak } from './processes.js'
import { randomPuts, randomReads, type KeySpace } from './requests.js'

/** One load: `put:64` is a closed loop with 64 in flight, `read@2000` an open loop of 2000 a second. */
export interface Row {
  readonly name: string
  readonly request: 'put' | 'read'
  readonly loop: 'closed' | 'open'
  /** In flight, or per second. */
  readonly amount: number
}

export function parseRow(name: string): Row {
  const [, request, sign, amount] = /^(put|read)([:@])([1-9]\d*)$/.exec(name) ?? []
  if (request === undefined) throw new Error(`'${name}' is not a row; write for example put:64 or read@2000`)
  return {
    name,
    request: request as Row['request'],
    loop: sign === ':' ? 'closed' : 'open',
    amount: Number(amount),
  }
}

export const rowTitle = (row: Row): string =>
  row.loop === 'closed' ? `${row.request}, ${row.amount} in flight` : `${row.request}, ${row.amount} a second`

/** A load's result with what it cost the servers. */
export interface Measurement extends LoadResult {
  /** User and system time of all nodes. */
  readonly cpuPer1000: number
  /** The largest node's resident set, in bytes. */
  readonly rssPeak: number
}

export interface RowSettings {
  readonly warmupMs: number
  readonly measureMs: number
  readonly space: KeySpace
  readonly seed: number
}

export async function measureRow(
  row: Row,
  cluster: Cluster,
  connections: readonly Http2Connection[],
  settings: RowSettings,
): Promise<Measurement> {
  const make = row.request === 'put' ? randomPuts : randomReads
  const plan: LoadPlan = {
    warmupMs: settings.warmupMs,
    measureMs: settings.measureMs,
    requests: make(settings.space, settings.seed),
    connections,
  }
  const pids = cluster.pids
  const total = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  let cpuBefore = 0
  let cpuUsed = 0
  const hooks = {
    begin: () => (cpuBefore = total()),
    end: () => (cpuUsed = total() - cpuBefore),
  }
  const peak = new ResidentPeak(() => pids)
  const run = row.loop === 'closed' ? closedLoop : openLoop
  const result = await run(plan, row.amount, hooks)
  return { ...result, cpuPer1000: (cpuUsed / result.ok) * 1_000, rssPeak: peak.stop() }
}
