import type { pb } from '@kvorum/protocol'
import { backoffMs } from './backoff.js'
import { isServiceError } from './classify.js'
import { sleep } from './clock.js'
import { KvorumError } from './error.js'
import { METHODS } from './method.js'
import type { Stream, Transport } from './transport.js'

/** A lease to be renewed. Times are milliseconds of the client's clock. */
export interface Renewal {
  readonly id: bigint
  readonly ttlMs: number
  /** When the request was sent that was last answered: from then on the server counts at least the ttl. */
  readonly heardAt: number
  readonly lost: (error: KvorumError) => void
}

interface Entry {
  readonly renewal: Renewal
  heardAt: number
  /** When the oldest unanswered renewal was sent; null: all are answered. */
  askedAt: number | null
  /** When to ask next. */
  askAt: number
  cancelTimer: () => void
}

type KeepAliveStream = Stream<pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse>

/** Leases of one client; each costs a timer and a message in a third of its time. */
const LEASES_MAX = 10_000

/**
 * Renews all leases of a client over one stream, each after a third of its time to live. When the stream
 * breaks, another is opened and everything is asked again. A lease that was not confirmed for its whole time,
 * counted from when the confirmed request was sent, is lost: the server may have let it go.
 */
export class KeepAlive {
  readonly #transport: Transport
  readonly #entries = new Map<bigint, Entry>()
  #stream: KeepAliveStream | null = null
  #running: Promise<void> | null = null
  #stopped = false

  constructor(transport: Transport) {
    this.#transport = transport
  }

  get size(): number {
    return this.#entries.size
  }

  add(renewal: Renewal): void {
    if (this.#entries.size >= LEASES_MAX) {
      throw new KvorumError('ERR_KV_TOO_MANY_LEASES', `${LEASES_MAX} leases are kept alive`)
    }
    const { heardAt, ttlMs } = renewal
    const entry: Entry = {
      renewal,
      heardAt,
      askedAt: null,
      askAt: heardAt + ttlMs / 3,
      cancelTimer: () => undefined,
    }
    this.#entries.set(renewal.id, entry)
    this.#schedule(entry)
    this.#running ??= this.#run()
  }

  remove(id: bigint): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    entry.cancelTimer()
    this.#entries.delete(id)
    if (this.#entries.size === 0) this.#stream?.cancel()
  }

  async close(): Promise<void> {
    this.#stopped = true
    for (const id of this.#entries.keys()) this.remove(id)
    this.#stream?.cancel()
    await this.#running
  }

  #schedule(entry: Entry): void {
    entry.cancelTimer()
    const { clock } = this.#transport.settings
    const expiresAt = entry.heardAt + entry.renewal.ttlMs
    const at = Math.min(entry.askAt, expiresAt)
    entry.cancelTimer = clock.timer(Math.max(at - clock.now(), 0), () => this.#due(entry))
  }

  #due(entry: Entry): void {
    const now = this.#transport.settings.clock.now()
    if (now >= entry.heardAt + entry.renewal.ttlMs) {
      const seconds = entry.renewal.ttlMs / 1_000
      this.#lose(entry, `lease ${entry.renewal.id} was not confirmed for ${seconds} s`)
      return
    }
    if (now >= entry.askAt) this.#ask(entry, now)
    this.#schedule(entry)
  }

  #ask(entry: Entry, now: number): void {
    entry.askAt = now + entry.renewal.ttlMs / 3
    // The next stream asks for every lease as soon as it is there.
    if (this.#stream === null) return
    entry.askedAt ??= now
    this.#stream.write({ ID: entry.renewal.id })
  }

  #lose(entry: Entry, text: string): void {
    this.remove(entry.renewal.id)
    entry.renewal.lost(new KvorumError('ERR_KV_LEASE_LOST', text))
  }

  async #run(): Promise<void> {
    const { settings, closing } = this.#transport
    let failures = 0
    while (!this.#stopped && !closing.aborted && this.#entries.size > 0) {
      try {
        await this.#connection(() => (failures = 0))
      } catch (error) {
        settings.logger.warn({ error }, 'keep-alive lost its server')
      }
      if (this.#stopped || closing.aborted || this.#entries.size === 0) break
      const pause = backoffMs(settings.retry, ++failures, settings.clock.random())
      await sleep(settings.clock, pause, closing).catch(() => undefined)
    }
    this.#running = null
  }

  async #connection(heard: () => void): Promise<void> {
    const { stream, fail } = await this.#transport.stream(METHODS.leaseKeepAlive)
    try {
      this.#stream = stream
      this.#askAll()
      for await (const response of stream as AsyncIterable<pb.LeaseKeepAliveResponse>) {
        heard()
        this.#receive(response)
      }
    } catch (error) {
      throw isServiceError(error) ? fail(error) : error
    } finally {
      this.#stream = null
      stream.cancel()
    }
  }

  #askAll(): void {
    const now = this.#transport.settings.clock.now()
    for (const entry of this.#entries.values()) {
      entry.askedAt = null
      this.#ask(entry, now)
      this.#schedule(entry)
    }
  }

  #receive(response: pb.LeaseKeepAliveResponse): void {
    const entry = this.#entries.get(response.ID)
    if (entry === undefined) return
    if (response.TTL <= 0) {
      this.#lose(entry, `lease ${response.ID} has expired or was revoked`)
      return
    }
    if (entry.askedAt !== null) entry.heardAt = Math.max(entry.heardAt, entry.askedAt)
    entry.askedAt = null
    this.#schedule(entry)
  }
}
