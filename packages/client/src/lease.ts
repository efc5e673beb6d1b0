import { EventEmitter } from 'node:events'
import { KvorumError } from './error.js'
import type { KeepAlive } from './keepAlive.js'

export interface LeaseEvents {
  /** The lease is gone, or may be: nothing was heard of it for its whole time to live. Emitted once. */
  lost: [error: KvorumError]
}

/** A lease that is kept alive in the background until it is revoked, lost, or the client is closed. */
export class Lease extends EventEmitter<LeaseEvents> {
  readonly id: bigint
  /** As granted, in seconds; the server raises what is too short. */
  readonly ttl: number
  readonly #keepAlive: KeepAlive
  readonly #revoke: (id: bigint) => Promise<void>
  readonly #lost = new AbortController()

  constructor(
    id: bigint,
    ttl: number,
    grantedAt: number,
    keepAlive: KeepAlive,
    revoke: (id: bigint) => Promise<void>,
  ) {
    super()
    this.id = id
    this.ttl = ttl
    this.#keepAlive = keepAlive
    this.#revoke = revoke
    keepAlive.add({ id, ttlMs: ttl * 1_000, heardAt: grantedAt, lost: error => this.#markLost(error) })
  }

  /** Aborted when the lease is lost; its reason is the error. For work that must not outlive the lease. */
  get signal(): AbortSignal {
    return this.#lost.signal
  }

  #markLost(error: KvorumError): void {
    this.#lost.abort(error)
    this.emit('lost', error)
  }

  /** Stops renewing; the lease and its keys go when the time is over. */
  release(): void {
    this.#keepAlive.remove(this.id)
  }

  /** Deletes the lease and every key attached to it. A lease that is gone already counts as revoked. */
  async revoke(): Promise<void> {
    this.release()
    try {
      await this.#revoke(this.id)
    } catch (error) {
      if (!(error instanceof KvorumError) || error.code !== 'ERR_KV_LEASE_NOT_FOUND') throw error
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.revoke()
  }
}
