import { setMaxListeners } from 'node:events'
import { Metadata, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js'
import { ERRORS, type Init } from '@kvorum/protocol'
import { backoffMs } from './backoff.js'
import { classify, isServiceError, type CallKind } from './classify.js'
import { sleep } from './clock.js'
import { Session } from './credentials.js'
import type { Endpoint } from './endpoint.js'
import type { Endpoints } from './endpoints.js'
import { closedError, KvorumError, notConnected } from './error.js'
import { METHODS, type Method } from './method.js'
import { retryOf, type AuthOptions, type CallOptions, type Settings } from './options.js'
import { PendingCalls, type PendingCall } from './pendingCalls.js'

/** A server refuses the token, not the request: worth one more attempt with a fresh token. */
const TOKEN_REFUSED: ReadonlySet<string> = new Set([
  'etcdserver: invalid auth token',
  'etcdserver: revision of auth store is old',
  'etcdserver: user name is empty',
])

export type Stream<Request, Response> = ClientDuplexStream<Init<Request>, Response>

/** Sends calls: picks a server, repeats what may be repeated, and turns every failure into a KvorumError. */
export class Transport {
  readonly settings: Settings
  readonly #endpoints: Endpoints
  readonly #session: Session
  readonly #closing = new AbortController()
  readonly #pending: PendingCalls

  constructor(settings: Settings, endpoints: Endpoints, auth: AuthOptions | undefined) {
    this.settings = settings
    this.#pending = new PendingCalls(settings.inFlightMax)
    // Every watch listens.
    setMaxListeners(0, this.#closing.signal)
    this.#endpoints = endpoints
    this.#session = new Session(auth, (name, password) => this.#authenticate(name, password))
  }

  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /** Aborted when the client is closed; for what outlives a single call. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  close(): void {
    if (this.closed) return
    const error = closedError()
    this.#closing.abort(error)
    this.#pending.close(error)
    this.#endpoints.close()
  }

  async unary<Request, Response>(
    method: Method<Request, Response>,
    request: Init<Request>,
    kind: CallKind,
    options: CallOptions = {},
  ): Promise<Response> {
    const message = method.encode(request)
    return this.#pending.run(options.signal, call =>
      this.#repeated(options, call, async (left, renewed) => {
        const endpoint = await this.#endpoints.acquire(left())
        const metadata = await this.#session.metadata()
        const timeoutMs = kind === 'read' ? Math.min(left(), this.settings.attemptTimeoutMs) : left()
        try {
          return await send(endpoint, method, message, metadata, timeoutMs, call)
        } catch (error) {
          throw this.#failed(error, kind, endpoint, metadata, renewed)
        }
      }),
    )
  }

  /** To one server, which need not be among the endpoints, and without repetition. */
  async unaryTo<Request, Response>(
    endpoint: Endpoint,
    method: Method<Request, Response>,
    request: Init<Request>,
    kind: CallKind,
    options: CallOptions = {},
  ): Promise<Response> {
    const timeoutMs = options.timeoutMs ?? this.settings.timeoutMs
    return this.#pending.run(options.signal, async call => {
      const failure = await endpoint.ready(Math.min(timeoutMs, this.settings.connectTimeoutMs))
      if (failure !== null) throw notConnected(failure)
      const metadata = await this.#session.metadata()
      try {
        return await send(endpoint, method, method.encode(request), metadata, timeoutMs, call)
      } catch (error) {
        throw isServiceError(error) ? classify(error, kind) : error
      }
    })
  }

  /**
   * A stream on a connected server. Without a deadline: a lost server shows by unanswered pings, and by
   * `hasleader` one that is cut off from its cluster.
   */
  async stream<Request, Response>(
    method: Method<Request, Response>,
  ): Promise<{ stream: Stream<Request, Response>; fail: (error: ServiceError) => KvorumError }> {
    const endpoint = await this.#endpoints.acquire(this.settings.connectTimeoutMs)
    const metadata = await this.#session.metadata()
    if (this.closed) throw closedError()
    metadata.set('hasleader', 'true')
    const stream = endpoint.client.makeBidiStreamRequest<Init<Request>, Response>(
      method.path,
      method.encode,
      method.decode,
      metadata,
    )
    // Whoever iterates the stream hears of its errors; those that come later concern nobody.
    stream.on('error', () => undefined)
    return { stream, fail: error => this.#failed(error, 'read', endpoint, metadata, false) as KvorumError }
  }

  /** What an attempt's failure means; also makes the next attempt avoid the server, or take a new token. */
  #failed(error: unknown, kind: CallKind, endpoint: Endpoint, metadata: Metadata, renewed: boolean): unknown {
    if (!isServiceError(error)) return error
    const failure = classify(error, kind)
    if (failure.retryable || failure.indeterminate) endpoint.avoid()
    if (TOKEN_REFUSED.has(error.details) && !renewed && this.#session.renew(metadata)) {
      return new KvorumError(failure.code, failure.message, {
        grpcStatus: failure.grpcStatus,
        retryable: true,
        cause: new TokenRefused(),
      })
    }
    return failure
  }

  async #repeated<Value>(
    options: CallOptions,
    call: PendingCall,
    attempt: (left: () => number, renewed: boolean) => Promise<Value>,
  ): Promise<Value> {
    const { clock, logger } = this.settings
    const retry = retryOf(this.settings.retry, options.retry)
    const deadline = clock.now() + (options.timeoutMs ?? this.settings.timeoutMs)
    const left = (): number => Math.max(deadline - clock.now(), 1)
    let renewed = false
    for (let failures = 1; ; failures++) {
      try {
        return await attempt(left, renewed)
      } catch (error) {
        if (call.aborted !== null || !(error instanceof KvorumError) || !error.retryable) throw error
        const refused = error.cause instanceof TokenRefused
        const pause = refused ? 0 : backoffMs(retry, failures, clock.random())
        if (failures >= retry.attemptsMax || clock.now() + pause >= deadline) throw error
        renewed ||= refused
        logger.debug({ code: error.code, failures, pause }, 'call failed, trying again')
        await sleep(clock, pause)
        if (call.aborted !== null) throw error
      }
    }
  }

  async #authenticate(name: string, password: string): Promise<string> {
    const { settings } = this
    const endpoint = await this.#endpoints.acquire(settings.connectTimeoutMs)
    const { authenticate } = METHODS
    const message = authenticate.encode({ name, password })
    const timeoutMs = settings.attemptTimeoutMs
    try {
      const call = { aborted: null, cancel: null }
      return (await send(endpoint, authenticate, message, new Metadata(), timeoutMs, call)).token
    } catch (error) {
      // Whoever has a password need not know whether anybody asks for it.
      if (isServiceError(error) && error.details === ERRORS.authNotEnabled.text) return ''
      throw isServiceError(error) ? classify(error, 'read') : error
    }
  }
}

/** Marks an error that only a stale token caused. */
class TokenRefused extends Error {}

/** One attempt on one server, unless the call was given up before. Rejects with the library's error. */
function send<Request, Response>(
  endpoint: Endpoint,
  method: Method<Request, Response>,
  message: Buffer,
  metadata: Metadata,
  timeoutMs: number,
  pending: PendingCall,
): Promise<Response> {
  if (pending.aborted !== null) return Promise.reject(pending.aborted.reason as Error)
  return new Promise((resolve, reject) => {
    const call = endpoint.client.makeUnaryRequest<Buffer, Response>(
      method.path,
      bytes => bytes,
      method.decode,
      message,
      metadata,
      { deadline: Date.now() + timeoutMs },
      (error, response) => {
        pending.cancel = null
        if (error !== null) reject(error)
        else resolve(response!)
      },
    )
    pending.cancel = () => call.cancel()
  })
}
