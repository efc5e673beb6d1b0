import type { Cluster } from './cluster.js'
import type { Http2Connection } from './http2/connection.js'

/** What a client that tries every node would have seen. */
export interface ProbeResult {
  readonly ok: number
  readonly failed: number
  /** The longest time, in milliseconds, in which no request succeeded through any node. */
  readonly pauseMs: number
}

const EVERY_MS = 5
const TIMEOUT_MS = 1_000

/**
 * Sends one small request after another through each node, reconnecting for ever, from `start` until `stop`.
 * Nodes may come and go meanwhile.
 */
export class Prober {
  readonly #cluster: Cluster
  readonly #path: string
  readonly #message: Buffer
  readonly #lanes: Promise<void>[]
  #stopped = false
  #ok = 0
  #failed = 0
  #last = performance.now()
  #pause = 0

  constructor(cluster: Cluster, path: string, message: Buffer) {
    this.#cluster = cluster
    this.#path = path
    this.#message = message
    this.#lanes = Array.from({ length: cluster.size }, (_, index) => this.#lane(index))
  }

  get ok(): number {
    return this.#ok
  }

  async #lane(index: number): Promise<void> {
    let connection: Http2Connection | null = null
    while (!this.#stopped) {
      try {
        if (connection === null || connection.closed) connection = await this.#cluster.connect(index)
        await connection.call(this.#path, this.#message, TIMEOUT_MS)
        this.#succeeded()
      } catch {
        this.#failed++
        connection?.close()
        connection = null
      }
      await new Promise(resolve => setTimeout(resolve, EVERY_MS))
    }
    connection?.close()
  }

  #succeeded(): void {
    if (this.#stopped) return
    this.#ok++
    const now = performance.now()
    this.#pause = Math.max(this.#pause, now - this.#last)
    this.#last = now
  }

  /** Until `count` more requests have succeeded. */
  async more(count: number, timeoutMs = 20_000): Promise<void> {
    const target = this.#ok + count
    const deadline = performance.now() + timeoutMs
    while (this.#ok < target) {
      if (performance.now() > deadline) throw new Error(`no request succeeded for ${timeoutMs} ms`)
      await new Promise(resolve => setTimeout(resolve, EVERY_MS))
    }
  }

  /** Again after the first time: the same result. */
  async stop(): Promise<ProbeResult> {
    if (!this.#stopped) this.#pause = Math.max(this.#pause, performance.now() - this.#last)
    this.#stopped = true
    await Promise.all(this.#lanes)
    return { ok: this.#ok, failed: this.#failed, pauseMs: this.#pause }
  }
}
