import { Metadata, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js'
import type { Init } from '@kvorum/protocol'
import { backoffMs } from './backoff.js'
import { classify, isServiceError, type CallKind } from './classify.js'
import { sleep } from './clock.js'
import { Session } from './credentials.js'
import type { Endpoint } from './endpoint.js'
import type { Endpoints } from './endpoints.js'
import { closedError, KvorumError, notConnected } from './error.js'
import { METHODS, type Method } from './method.js'
import { retryOf, type AuthOptions, type CallOptions, type Settings } from './options.js'

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
  #inFlight = 0

  constructor(settings: Settings, endpoints: Endpoints, auth: AuthOptions | undefined) {
    this.settings = settings
    this.#endpoints = endpoints
    this.#session = new Session(auth, (name, password) => this.#authenticate(name, password))
  }

  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /** Aborted when the client is closed; its reason is what everything pending rejects with. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  close(): void {
    if (this.closed) return
    this.#closing.abort(closedError())
    this.#endpoints.close()
  }

  async unary<Request, Response>(
    method: Method<Request, Response>,
    request: Init<Request>,
    kind: CallKind,
    options: CallOptions = {},
  ): Promise<Response> {
    const message = method.encode(request)
    return this.#bounded(options, signal =>
      this.#repeated(options, signal, async (timeoutMs, renewed) => {
        const endpoint = await this.#endpoints.acquire(timeoutMs)
        const metadata = await this.#session.metadata()
        try {
          const attemptMs = kind === 'read' ? Math.min(timeoutMs, this.settings.attemptTimeoutMs) : timeoutMs
          return await send(endpoint, method, message, metadata, attemptMs, signal)
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
    options: CallOptions = {},
  ): Promise<Response> {
    const timeoutMs = options.timeoutMs ?? this.settings.timeoutMs
    return this.#bounded(options, async signal => {
      const failure = await endpoint.ready(Math.min(timeoutMs, this.settings.connectTimeoutMs))
      if (failure !== null) throw notConnected(failure)
      const metadata = await this.#session.metadata()
      try {
        return await send(endpoint, method, method.encode(request), metadata, timeoutMs, signal)
      } catch (error) {
        throw isServiceError(error) ? classify(error, 'read') : error
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

  async #bounded<Value>(options: CallOptions, run: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
    if (this.closed) throw closedError()
    options.signal?.throwIfAborted()
    if (this.#inFlight >= this.settings.inFlightMax) {
      throw new KvorumError('ERR_KV_TOO_MANY_REQUESTS', `${this.#inFlight} calls are unanswered`, {
        retryable: true,
      })
    }
    this.#inFlight++
    const { signal, release } = either(this.closing, options.signal)
    try {
      return await run(signal)
    } finally {
      this.#inFlight--
      release()
    }
  }

  async #repeated<Value>(
    options: CallOptions,
    signal: AbortSignal,
    attempt: (timeoutMs: number, renewed: boolean) => Promise<Value>,
  ): Promise<Value> {
    const { clock, logger } = this.settings
    const retry = retryOf(this.settings.retry, options.retry)
    const deadline = clock.now() + (options.timeoutMs ?? this.settings.timeoutMs)
    let renewed = false
    for (let failures = 1; ; failures++) {
      const left = deadline - clock.now()
      try {
        return await attempt(Math.max(left, 1), renewed)
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof KvorumError) || !error.retryable) throw error
        const pause = error.cause instanceof TokenRefused ? 0 : backoffMs(retry, failures, clock.random())
        if (failures >= retry.attemptsMax || clock.now() + pause >= deadline) throw error
        renewed ||= error.cause instanceof TokenRefused
        logger.debug({ code: error.code, failures, pause }, 'call failed, trying again')
        await sleep(clock, pause, signal)
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
      const answer = await send(endpoint, authenticate, message, new Metadata(), timeoutMs, this.closing)
      return answer.token
    } catch (error) {
      throw isServiceError(error) ? classify(error, 'read') : error
    }
  }
}

/** Marks an error that only a stale token caused. */
class TokenRefused extends Error {}

/** A signal that follows both; `release` lets go of them. */
function either(
  closing: AbortSignal,
  given: AbortSignal | undefined,
): { signal: AbortSignal; release: () => void } {
  const release = (): void => undefined
  if (given === undefined) return { signal: closing, release }
  const controller = new AbortController()
  const close = (): void => controller.abort(closing.reason)
  const abort = (): void => controller.abort(given.reason)
  closing.addEventListener('abort', close)
  given.addEventListener('abort', abort)
  return {
    signal: controller.signal,
    release: () => {
      closing.removeEventListener('abort', close)
      given.removeEventListener('abort', abort)
    },
  }
}

/** One attempt on one server. Rejects with the library's error, or with the signal's reason. */
function send<Request, Response>(
  endpoint: Endpoint,
  method: Method<Request, Response>,
  message: Buffer,
  metadata: Metadata,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const call = endpoint.client.makeUnaryRequest<Buffer, Response>(
      method.path,
      bytes => bytes,
      method.decode,
      message,
      metadata,
      { deadline: Date.now() + timeoutMs },
      (error, response) => {
        signal.removeEventListener('abort', abort)
        if (error !== null) reject(signal.aborted ? (signal.reason as Error) : error)
        else resolve(response!)
      },
    )
    const abort = (): void => {
      call.cancel()
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', abort, { once: true })
  })
}
