import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks'
import type { Http2Connection, Reply } from './http2/connection.js'
import { type Requests } from './requests.js'

/** What one load did during its measured window. Latencies in milliseconds. */
export interface LoadResult {
  readonly seconds: number
  readonly ok: number
  readonly failed: number
  /** Open loop only: requests that were due while too many were outstanding. Not sent; the row is void. */
  readonly shed: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  /** Share of one core that this process used: near 1 the generator, not the server, was measured. */
  readonly generatorCpu: number
  /** Of the first failed request, for the eye. */
  readonly firstFailure: string
}

/** Around the measured window, after the warm-up: for example to read the servers' CPU time. */
export interface WindowHooks {
  readonly begin?: () => void
  readonly end?: () => void
}

export interface LoadPlan {
  readonly warmupMs: number
  readonly measureMs: number
  readonly requests: Requests
  readonly connections: readonly Http2Connection[]
}

/** Latency is kept in nanoseconds with three significant digits, up to a minute. */
const NANOS_MAX = 60_000_000_000
const OUTSTANDING_MAX = 20_000
/** For the answers that are still out when a load ends. */
const DRAIN_MS = 30_000

/** Counts, and only while the window is open. */
class Window {
  readonly histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: NANOS_MAX, figures: 3 })
  open = false
  ok = 0
  failed = 0
  shed = 0
  firstFailure = ''
  #cpu = process.cpuUsage()
  #startedAt = 0
  #cpuUsed = 0
  #seconds = 0

  begin(hooks: WindowHooks): void {
    this.#cpu = process.cpuUsage()
    this.#startedAt = performance.now()
    this.open = true
    hooks.begin?.()
  }

  end(hooks: WindowHooks): void {
    hooks.end?.()
    this.open = false
    this.#seconds = (performance.now() - this.#startedAt) / 1_000
    const cpu = process.cpuUsage(this.#cpu)
    this.#cpuUsed = (cpu.user + cpu.system) / 1_000_000
  }

  record(reply: Reply, bytesMin: number, since: number): void {
    if (!this.open) return
    if (reply.status === 0 && reply.bytes >= bytesMin) {
      this.ok++
      const nanos = Math.round((performance.now() - since) * 1_000_000)
      this.histogram.record(Math.min(Math.max(nanos, 1), NANOS_MAX))
      return
    }
    if (this.failed++ === 0) {
      this.firstFailure =
        reply.status === 0 ? `a response of ${reply.bytes} bytes` : `status ${reply.status} ${reply.text}`
    }
  }

  result(): LoadResult {
    const at = (percentile: number): number => this.histogram.percentile(percentile) / 1_000_000
    const empty = this.ok === 0
    return {
      seconds: this.#seconds,
      ok: this.ok,
      failed: this.failed,
      shed: this.shed,
      perSecond: this.ok / this.#seconds,
      p50: empty ? NaN : at(50),
      p99: empty ? NaN : at(99),
      p999: empty ? NaN : at(99.9),
      max: empty ? NaN : this.histogram.max / 1_000_000,
      generatorCpu: this.#cpuUsed / this.#seconds,
      firstFailure: this.firstFailure,
    }
  }
}

const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** `inFlight` requests at every moment: each answer sends the next one on the same connection. */
export async function closedLoop(plan: LoadPlan, inFlight: number, hooks: WindowHooks): Promise<LoadResult> {
  const { requests, connections } = plan
  const window = new Window()
  let stopping = false
  let running = inFlight
  const next = (connection: Http2Connection): void => {
    const since = performance.now()
    connection.request({
      path: requests.path,
      message: requests.next(),
      done: reply => {
        window.record(reply, requests.responseBytesMin, since)
        if (!stopping && !connection.closed) next(connection)
        else running--
      },
    })
  }
  for (let i = 0; i < inFlight; i++) next(connections[i % connections.length]!)
  await sleep(plan.warmupMs)
  window.begin(hooks)
  await sleep(plan.measureMs)
  window.end(hooks)
  stopping = true
  await drained(() => running)
  return window.result()
}

/**
 * `perSecond` requests at fixed moments, whether or not earlier ones are answered. Latency counts from the
 * moment a request was due, so that a stalled server cannot hide the requests it kept from being sent.
 */
export async function openLoop(plan: LoadPlan, perSecond: number, hooks: WindowHooks): Promise<LoadResult> {
  const { requests, connections } = plan
  const window = new Window()
  const start = performance.now()
  let sent = 0
  let outstanding = 0
  const sendDue = (): void => {
    const due = Math.floor(((performance.now() - start) * perSecond) / 1_000)
    for (; sent < due; sent++) {
      if (outstanding >= OUTSTANDING_MAX) {
        if (window.open) window.shed++
        continue
      }
      const since = start + (sent * 1_000) / perSecond
      outstanding++
      connections[sent % connections.length]!.request({
        path: requests.path,
        message: requests.next(),
        done: reply => {
          outstanding--
          window.record(reply, requests.responseBytesMin, since)
        },
      })
    }
  }
  const timer = setInterval(sendDue, 1)
  await sleep(plan.warmupMs)
  window.begin(hooks)
  await sleep(plan.measureMs)
  window.end(hooks)
  clearInterval(timer)
  await drained(() => outstanding)
  return window.result()
}

async function drained(outstanding: () => number): Promise<void> {
  const deadline = performance.now() + DRAIN_MS
  while (outstanding() > 0) {
    if (performance.now() > deadline) throw new Error(`${outstanding()} requests were never answered`)
    await sleep(5)
  }
}
