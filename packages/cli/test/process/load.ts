import { connect, KvorumClient, KvorumError, type WatchBatch } from '@kvorum/client'
import { Recorder, type KvHistory, type KvRequest, type KvResult } from '@kvorum/sim'
import type { Cluster } from './cluster.js'
import type { ServerProcess } from './serverProcess.js'
import { DEADLINE_MS, holds, pause } from './until.js'
import { deleteStep, KEYS, putStep, readStep, swapStep, type Step } from './workload.js'

/** Of one call; a call to a process that is paused ends with it. */
const CALL_MS = 4_000
const ATTEMPT_MS = 1_500
/** Between two calls of one worker, and after one that failed. */
const PACE_MS = 5
const BACK_OFF_MS = 40
const BURST_CALLS = 64

/** What one watch of all keys has seen, over all its connections. */
export interface Watched {
  readonly name: string
  readonly batches: WatchBatch[]
  /** Why it ended; null while it goes on. */
  failure: unknown
}

/**
 * Clients of every kind at work on few keys: for every node one writer and one reader that know only that node,
 * two more writers that know all, and watches of everything on each node and over all. Whatever they see is
 * recorded; see `judge`.
 */
export class Load {
  readonly watched: Watched[] = []
  readonly #cluster: Cluster
  readonly #recorder = new Recorder<KvRequest, KvResult>(() => performance.now())
  readonly #clients: KvorumClient[] = []
  readonly #workers: Promise<void>[] = []
  readonly #watches: Promise<void>[] = []
  readonly #acknowledged = new Map<string, number>()
  /** What was said of writes that were not acknowledged. */
  readonly failed: { readonly said: string; readonly unknown: boolean }[] = []
  #stopping = false
  #nextClient = 0
  #values = 0

  private constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  static async start(cluster: Cluster): Promise<Load> {
    const load = new Load(cluster)
    await load.#begin()
    return load
  }

  async #begin(): Promise<void> {
    for (const { plan } of this.#cluster.nodes) {
      const client = await this.#connect([plan.clientUrl])
      this.#watch(client, plan.name)
      this.#workers.push(this.#work(client, plan.name, this.#writerSteps()))
      this.#workers.push(this.#work(client, plan.name, this.#readerSteps()))
    }
    const client = await this.#connect(this.#cluster.endpoints)
    this.#watch(client, 'all')
    for (let i = 0; i < 2; i++) this.#workers.push(this.#work(client, 'all', this.#writerSteps()))
  }

  async #connect(
    endpoints: readonly string[],
    timeoutMs = CALL_MS,
    attemptTimeoutMs = ATTEMPT_MS,
  ): Promise<KvorumClient> {
    const client = await connect({
      endpoints,
      timeoutMs,
      attemptTimeoutMs,
      connectTimeoutMs: ATTEMPT_MS,
    })
    this.#clients.push(client)
    return client
  }

  #watch(client: KvorumClient, name: string): void {
    const watched: Watched = { name, batches: [], failure: null }
    this.watched.push(watched)
    const run = async (): Promise<void> => {
      try {
        for await (const batch of client.watch({ all: true }, { from: 1 }).batches()) {
          watched.batches.push(batch)
        }
      } catch (error) {
        watched.failure = error
      }
    }
    this.#watches.push(run())
  }

  /** Acknowledged writes so far: of clients of one node, or of all. */
  acknowledged(node?: ServerProcess): number {
    if (node !== undefined) return this.#acknowledged.get(node.plan.name) ?? 0
    return [...this.#acknowledged.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Writes so far that were not acknowledged. */
  get failures(): number {
    return this.failed.length
  }

  /** Waits until that many more writes are acknowledged: by each of `nodes`, or wherever. */
  async progress(writes: number, nodes?: readonly ServerProcess[]): Promise<void> {
    const wanted = (nodes ?? [undefined]).map(node => ({ node, count: this.acknowledged(node) + writes }))
    for (const { node, count } of wanted) {
      const where = node === undefined ? 'the cluster' : node.plan.name
      await holds(`${writes} writes through ${where}`, () => this.acknowledged(node) >= count)
    }
  }

  /** So many more writes through one node, as fast as it takes them. */
  async burst(node: ServerProcess, writes: number): Promise<void> {
    const client = await this.#connect([node.plan.clientUrl])
    let left = writes
    const work = async (): Promise<void> => {
      let id = this.#nextClient++
      while (left-- > 0) {
        const step = putStep(anyKey(), this.#nextValue())
        if (!(await this.#send(client, node.plan.name, id, step)).certain) id = this.#nextClient++
      }
    }
    await Promise.all(Array.from({ length: BURST_CALLS }, work))
  }

  /**
   * Connects to one node now, to read from it later, with patience: for reads that are sent while it cannot
   * answer, and which it finds when it can.
   */
  async prober(node: ServerProcess): Promise<(reads: number) => Promise<void>> {
    const client = await this.#connect([node.plan.clientUrl], DEADLINE_MS, DEADLINE_MS)
    await client.get('no such key')
    return async reads => {
      const probe = (): Promise<unknown> =>
        this.#send(client, node.plan.name, this.#nextClient++, readStep(null, false))
      await Promise.all(Array.from({ length: reads }, probe))
    }
  }

  /**
   * Lets every call end, and puts a last value: revisions that change nothing are not told to watches, this one is. The
   * watches go on.
   */
  async finish(): Promise<{ readonly history: KvHistory; readonly revision: number }> {
    this.#stopping = true
    await Promise.all(this.#workers)
    const client = await this.#connect(this.#cluster.endpoints, DEADLINE_MS, DEADLINE_MS)
    const { result } = await this.#send(
      client,
      'all',
      this.#nextClient++,
      putStep(anyKey(), this.#nextValue()),
    )
    if (result === null) throw new Error(`the last write failed: ${this.failed.at(-1)?.said}`)
    return { history: this.#recorder.history(), revision: result.revision }
  }

  async close(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#clients.map(client => client.close()))
    await Promise.all([...this.#workers, ...this.#watches])
  }

  async #work(
    client: KvorumClient,
    name: string,
    steps: Iterator<Step, never, KvResult | null>,
  ): Promise<void> {
    let id = this.#nextClient++
    let last: KvResult | null = null
    while (!this.#stopping) {
      const { value: step } = steps.next(last)
      const { result, certain } = await this.#send(client, name, id, step)
      if (!certain) id = this.#nextClient++
      last = result
      await pause(result === null ? BACK_OFF_MS : PACE_MS)
    }
  }

  /** `certain`: whether it happened is known. */
  async #send(
    client: KvorumClient,
    name: string,
    id: number,
    step: Step,
  ): Promise<{ readonly result: KvResult | null; readonly certain: boolean }> {
    const call = this.#recorder.call(id, step.request)
    const sent = performance.now()
    try {
      const result = await step.send(client)
      this.#recorder.ok(call, result)
      if (step.request.kind === 'write') {
        this.#acknowledged.set(name, (this.#acknowledged.get(name) ?? 0) + 1)
      }
      return { result, certain: true }
    } catch (error) {
      if (!(error instanceof KvorumError)) throw error
      if (step.request.kind === 'write') {
        const { op } = step.request
        const took = Math.round(performance.now() - sent)
        const said = `${op.kind} through ${name} after ${took} ms: ${error.message}`
        this.failed.push({ said, unknown: error.indeterminate })
      }
      if (!error.indeterminate) this.#recorder.fail(call)
      return { result: null, certain: !error.indeterminate }
    }
  }

  #nextValue(): string {
    return `value-${this.#values++}`
  }

  *#writerSteps(): Generator<Step, never, KvResult | null> {
    for (;;) {
      const key = anyKey()
      const value = this.#nextValue()
      const kind = Math.random()
      if (kind < 0.6) yield putStep(key, value)
      else if (kind < 0.75) yield deleteStep(key)
      else {
        const read: KvResult | null = yield readStep(key, false)
        if (read?.reply?.kind !== 'range') continue
        yield swapStep(key, read.reply.kvs[0]?.mod ?? 0, value, anyKey(key))
      }
    }
  }

  *#readerSteps(): Generator<Step, never, KvResult | null> {
    for (;;) {
      const kind = Math.random()
      yield readStep(kind < 0.5 ? anyKey() : null, kind < 0.15)
    }
  }
}

function anyKey(but?: string): string {
  const keys = KEYS.filter(key => key !== but)
  return keys[Math.floor(Math.random() * keys.length)]!
}
