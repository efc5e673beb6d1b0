import type { ChannelOptions } from '@grpc/grpc-js'
import { LIMITS } from '@kvorum/model'
import { RETRY_DEFAULT, type RetryPolicy } from './backoff.js'
import { systemClock, type Clock } from './clock.js'
import { invalid } from './error.js'

/** What the client asks of a logger; pino's fits. */
export interface Logger {
  debug(facts: object, text: string): void
  info(facts: object, text: string): void
  warn(facts: object, text: string): void
  error(facts: object, text: string): void
}

/** PEM texts. Without `ca`, the system's authorities are trusted. */
export interface TlsOptions {
  readonly ca?: string | Uint8Array
  readonly cert?: string | Uint8Array
  readonly key?: string | Uint8Array
  /** The name to expect in the server's certificate, where it is not the endpoint's. */
  readonly serverName?: string
  /** Take any certificate: whoever is in between can read and change everything. */
  readonly insecureSkipVerify?: boolean
}

export type AuthOptions =
  { readonly username: string; readonly password: string } | { readonly token: string }

export interface ConnectOptions {
  /** host:port, http://host:port or https://host:port (which asks for TLS). */
  readonly endpoints: string | readonly string[]
  readonly auth?: AuthOptions
  /**
   * For https endpoints, and for those without a scheme; refused together with http ones. `true` is TLS with the
   * system's authorities, which is also what https asks for by itself.
   */
  readonly tls?: boolean | TlsOptions
  /** Silent by default. */
  readonly logger?: Logger
  /** Closes the client when aborted, also while it connects. */
  readonly signal?: AbortSignal
  /** Of one call with all its attempts; calls can say otherwise. Milliseconds, 10000. */
  readonly timeoutMs?: number
  /** Of one attempt of a read, after which another server is asked. Milliseconds, 4000. */
  readonly attemptTimeoutMs?: number
  /** Of connecting to one server. Milliseconds, 2000. */
  readonly connectTimeoutMs?: number
  readonly retry?: Partial<RetryPolicy>
  /** Calls begun and not answered; further ones are refused. 10000. */
  readonly inFlightMax?: number
  readonly clock?: Clock
  /** For the gRPC library, over what the client sets. */
  readonly channelOptions?: ChannelOptions
}

/** Of a single call. */
export interface CallOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  readonly retry?: Partial<RetryPolicy>
}

export interface Settings {
  readonly timeoutMs: number
  readonly attemptTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly retry: RetryPolicy
  readonly inFlightMax: number
  readonly clock: Clock
  readonly logger: Logger
}

const nothing = (): void => undefined
const SILENT: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

export function settingsOf(options: ConnectOptions): Settings {
  return {
    timeoutMs: positive('timeoutMs', options.timeoutMs ?? 10_000),
    attemptTimeoutMs: positive('attemptTimeoutMs', options.attemptTimeoutMs ?? 4_000),
    connectTimeoutMs: positive('connectTimeoutMs', options.connectTimeoutMs ?? 2_000),
    retry: retryOf(RETRY_DEFAULT, options.retry),
    inFlightMax: positive('inFlightMax', options.inFlightMax ?? LIMITS.pendingRequestsMax / 2),
    clock: options.clock ?? systemClock,
    logger: options.logger ?? SILENT,
  }
}

export function retryOf(base: RetryPolicy, given: Partial<RetryPolicy> | undefined): RetryPolicy {
  const policy = { ...base, ...given }
  positive('retry.attemptsMax', policy.attemptsMax)
  positive('retry.initialMs', policy.initialMs)
  positive('retry.maxMs', policy.maxMs)
  return policy
}

export function positive(name: string, value: number): number {
  if (!(value > 0)) throw invalid(`${name} ${value} is not positive`)
  return value
}
