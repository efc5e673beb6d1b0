import { Client, connectivityState, type ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js'
import type { Clock } from './clock.js'
import { invalid } from './error.js'

/** One server: its address and one connection to it, kept by the gRPC library. */
export class Endpoint {
  /** host:port */
  readonly address: string
  readonly client: Client
  readonly #clock: Clock
  #avoidUntil = 0

  constructor(address: string, credentials: ChannelCredentials, options: ChannelOptions, clock: Clock) {
    this.address = address
    this.client = new Client(address, credentials, { ...CHANNEL, ...options })
    this.#clock = clock
  }

  /** Also sets an idle connection going. */
  get state(): connectivityState {
    return this.client.getChannel().getConnectivityState(true)
  }

  /** Connected servers can still be of no use, cut off from the others: leave this one alone for a while. */
  avoid(): void {
    this.#avoidUntil = this.#clock.now() + AVOID_MS
  }

  get avoided(): boolean {
    return this.#clock.now() < this.#avoidUntil
  }

  /** Null once connected, or why not: the attempt failed, or `timeoutMs` passed. */
  async ready(timeoutMs: number): Promise<string | null> {
    const channel = this.client.getChannel()
    const deadline = Date.now() + timeoutMs
    for (;;) {
      const { state } = this
      switch (state) {
        case connectivityState.READY:
          return null
        case connectivityState.SHUTDOWN:
          return `${this.address}: closed`
        case connectivityState.TRANSIENT_FAILURE:
          return `${this.address}: connection failed`
        default: {
          const changed = await new Promise<boolean>(resolve => {
            channel.watchConnectivityState(state, deadline, error => resolve(error === undefined))
          })
          if (!changed) return `${this.address}: no connection within ${Math.round(timeoutMs)} ms`
        }
      }
    }
  }

  close(): void {
    this.client.close()
  }
}

const AVOID_MS = 1_000

const CHANNEL: ChannelOptions = {
  // Every repetition is ours to decide: the library's own would also repeat writes.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_channelz': 0,
  'grpc.enable_http_proxy': 0,
  // Servers bound requests; an answer is as large as the request asked for.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // etcd's servers punish pings that come faster than every five seconds.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
}

export interface Address {
  readonly hostPort: string
  /** Null: none was written. */
  readonly scheme: 'http' | 'https' | null
}

/** host, host:port, http://host:port or https://host:port; the port is 2379 where none is given. */
export function parseEndpoint(text: string): Address {
  const [, scheme, host, port] =
    /^(?:(https?):\/\/)?(\[[\da-fA-F:.]+\]|[^:/?#\s]+)(?::(\d+))?\/?$/.exec(text) ?? []
  if (host === undefined)
    throw invalid(`'${text}' is not an endpoint; write for example http://127.0.0.1:2379`)
  return { hostPort: `${host}:${port ?? '2379'}`, scheme: (scheme as Address['scheme'] | undefined) ?? null }
}
