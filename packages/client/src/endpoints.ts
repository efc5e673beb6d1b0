import { connectivityState } from '@grpc/grpc-js'
import type { Endpoint } from './endpoint.js'
import { notConnected } from './error.js'

/** Takes the servers in turn, those first that are connected and have not failed lately. */
export class Endpoints {
  readonly all: readonly Endpoint[]
  readonly #connectTimeoutMs: number
  #turn = 0

  constructor(all: readonly Endpoint[], connectTimeoutMs: number) {
    this.all = all
    this.#connectTimeoutMs = connectTimeoutMs
  }

  /** A connected server. Rejects (not sent, retryable) when each was tried and none connects. */
  async acquire(timeoutMs: number): Promise<Endpoint> {
    const failures: string[] = []
    const left = new Set(this.all)
    while (left.size > 0) {
      const endpoint = this.#pick(left)
      const failure = await endpoint.ready(Math.min(timeoutMs, this.#connectTimeoutMs))
      if (failure === null) return endpoint
      failures.push(failure)
      left.delete(endpoint)
    }
    throw notConnected(`no server can be reached (${failures.join(', ')})`)
  }

  #pick(from: ReadonlySet<Endpoint>): Endpoint {
    this.#turn = (this.#turn + 1) % this.all.length
    const inTurn = [...this.all.slice(this.#turn), ...this.all.slice(0, this.#turn)]
    // Every state is read, so that every lost connection is set going again.
    const ranked = inTurn.filter(each => from.has(each)).map(each => ({ each, rank: rankOf(each) }))
    const best = Math.min(...ranked.map(({ rank }) => rank))
    return ranked.find(({ rank }) => rank === best)!.each
  }

  close(): void {
    for (const endpoint of this.all) endpoint.close()
  }
}

function rankOf(endpoint: Endpoint): number {
  switch (endpoint.state) {
    case connectivityState.READY:
      return endpoint.avoided ? 2 : 0
    case connectivityState.IDLE:
    case connectivityState.CONNECTING:
      return endpoint.avoided ? 3 : 1
    default:
      return 4
  }
}
