import { pb, type Init } from '@kvorum/protocol'
import { backoffMs } from './backoff.js'
import { BoundedQueue } from './boundedQueue.js'
import { isServiceError } from './classify.js'
import { sleep } from './clock.js'
import { Entry, entryOf } from './entry.js'
import { KvorumError, type KvorumErrorCode } from './error.js'
import { requestKeys, type Keys } from './keys.js'
import { METHODS } from './method.js'
import { revisionOf } from './operations.js'
import { positive } from './options.js'
import type { Stream, Transport } from './transport.js'

export interface WatchOptions {
  /** The first revision to tell of; where none is given, what comes after the watch was created. */
  readonly from?: number
  /** With each change, the entry before it (where history still has it). */
  readonly prevKv?: boolean
  /** Only puts, or only deletes. */
  readonly only?: 'put' | 'delete'
  /** Ask for batches without events now and then, that say how far the watch is. */
  readonly progress?: boolean
  /** Ends the watch; the iterator then rejects with the signal's reason. */
  readonly signal?: AbortSignal
  /** Batches read ahead of the consumer; beyond that the server is made to wait. 64. */
  readonly queueMax?: number
}

export interface WatchEvent {
  readonly kind: 'put' | 'delete'
  readonly revision: number
  /** Of a delete: the key and the revision only. */
  readonly entry: Entry
  readonly previous: Entry | null
}

/** All changes of one revision. Without events (only if asked for): nothing more up to this revision. */
export interface WatchBatch {
  readonly revision: number
  readonly events: readonly WatchEvent[]
}

type WatchStream = Stream<pb.WatchRequest, pb.WatchResponse>

const QUEUE_DEFAULT = 64

/**
 * A watch over any number of connections: whatever breaks, it goes on, on another server if need be, with the
 * revision after the last one it has read. Iterate it for single events, or `batches()` for whole revisions;
 * one of the two, once. It ends with `close()`, with its signal, or by an error.
 */
export class Watcher implements AsyncIterable<WatchEvent> {
  /** The revision after which everything is told; rejects when the watch was refused. */
  readonly started: Promise<number>
  readonly #transport: Transport
  readonly #create: Init<pb.WatchCreateRequest>
  readonly #queue: BoundedQueue<WatchBatch>
  readonly #stop = new AbortController()
  readonly #done: Promise<void>
  #stream: WatchStream | null = null
  /** Revision to go on with; 0 until the server has named one. */
  #next: number
  #handedOut: number | null = null
  #failures = 0
  #tellStarted!: (revision: number) => void
  #tellRefused!: (error: unknown) => void

  constructor(transport: Transport, keys: Keys, options: WatchOptions) {
    this.#transport = transport
    this.#next = options.from ?? 0
    this.#queue = new BoundedQueue(positive('queueMax', options.queueMax ?? QUEUE_DEFAULT))
    this.#create = {
      ...requestKeys(keys),
      prev_kv: options.prevKv ?? false,
      progress_notify: options.progress ?? false,
      filters: options.only === undefined ? [] : [FILTER[options.only]],
    }
    this.started = new Promise((resolve, reject) => {
      this.#tellStarted = resolve
      this.#tellRefused = reject
    })
    // Waiting for it is the caller's choice.
    this.started.catch(() => undefined)
    this.#done = this.#run(options.signal)
  }

  /** Where a later watch goes on without a gap, after what the iterator has handed out; null before that. */
  get resumeRevision(): number | null {
    return this.#handedOut === null ? null : this.#handedOut + 1
  }

  async *batches(): AsyncGenerator<WatchBatch, void, undefined> {
    try {
      for (;;) {
        const { done, value } = await this.#queue.next()
        if (done === true) return
        this.#handedOut = value.revision
        yield value
      }
    } finally {
      await this.close()
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchEvent, void, undefined> {
    for await (const batch of this.batches()) yield* batch.events
  }

  async close(): Promise<void> {
    this.#queue.discard()
    this.#stop.abort()
    this.#stream?.cancel()
    await this.#done
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // --- the connection's side

  async #run(signal: AbortSignal | undefined): Promise<void> {
    const { closing } = this.#transport
    let ended: { readonly cause: unknown } | null = null
    const abort = (): void => {
      ended ??= { cause: signal?.aborted === true ? signal.reason : closing.reason }
      this.#stop.abort()
      this.#stream?.cancel()
    }
    for (const each of [signal, closing]) {
      if (each?.aborted === true) abort()
      each?.addEventListener('abort', abort, { once: true })
    }
    try {
      while (!this.#stop.signal.aborted) await this.#connection()
    } catch (error) {
      if (!this.#stop.signal.aborted) ended ??= { cause: error }
    }
    for (const each of [signal, closing]) each?.removeEventListener('abort', abort)
    this.#tellRefused(ended === null ? watchClosed() : (ended as { cause: unknown }).cause)
    this.#queue.end(ended ?? undefined)
  }

  /** One connection from its beginning to its end. Returns where another may follow, and throws otherwise. */
  async #connection(): Promise<void> {
    const { settings } = this.#transport
    const stop = this.#stop.signal
    try {
      const { stream, fail } = await this.#transport.stream(METHODS.watch)
      this.#stream = stream
      try {
        if (stop.aborted) return
        stream.write({ create_request: { ...this.#create, start_revision: this.#next } })
        for await (const response of stream as AsyncIterable<pb.WatchResponse>) await this.#receive(response)
      } catch (error) {
        throw isServiceError(error) ? fail(error) : error
      } finally {
        this.#stream = null
        stream.cancel()
      }
    } catch (error) {
      if (stop.aborted || !(error instanceof KvorumError) || !error.retryable) throw error
      settings.logger.debug({ code: error.code, next: this.#next }, 'watch lost its server')
    }
    this.#failures++
    await sleep(settings.clock, backoffMs(settings.retry, this.#failures, settings.clock.random()), stop)
  }

  async #receive(response: pb.WatchResponse): Promise<void> {
    if (response.canceled) throw cancelError(response)
    this.#failures = 0
    if (response.created) {
      if (this.#next === 0) this.#next = revisionOf(response) + 1
      this.#tellStarted(this.#next - 1)
      return
    }
    if (response.events.length === 0) {
      // The server promises that nothing at or below its revision is still to come.
      const revision = revisionOf(response)
      if (revision < this.#next) return
      this.#next = revision + 1
      if (this.#create.progress_notify === true) await this.#queue.push({ revision, events: [] })
      return
    }
    for (const batch of batchesOf(response.events)) {
      // Told already, on a connection before this one.
      if (batch.revision < this.#next) continue
      this.#next = batch.revision + 1
      await this.#queue.push(batch)
    }
  }
}

const FILTER = {
  put: pb.WatchCreateRequestFilterType.NODELETE,
  delete: pb.WatchCreateRequestFilterType.NOPUT,
} as const

/** Events come in the order of their revisions, and those of one revision in one response. */
function* batchesOf(events: readonly pb.Event[]): Generator<WatchBatch> {
  let batch: { revision: number; events: WatchEvent[] } | null = null
  for (const event of events) {
    if (event.kv === null) continue
    const revision = event.kv.mod_revision
    if (batch !== null && batch.revision !== revision) {
      yield batch
      batch = null
    }
    batch ??= { revision, events: [] }
    batch.events.push({
      kind: event.type === pb.EventEventType.DELETE ? 'delete' : 'put',
      revision,
      entry: new Entry(event.kv),
      previous: entryOf(event.prev_kv),
    })
  }
  if (batch !== null) yield batch
}

/** The history that the watch needs is gone, or the server gives another reason. */
function cancelError(response: pb.WatchResponse): KvorumError {
  const { compact_revision: compactRevision, cancel_reason: reason } = response
  if (compactRevision > 0) {
    const text = `history up to revision ${compactRevision} has been compacted`
    return new KvorumError('ERR_KV_COMPACTED', text, { compactRevision })
  }
  const [, status] = /code = (\w+) desc = /.exec(reason) ?? []
  const code: KvorumErrorCode =
    status === 'PermissionDenied' ? 'ERR_KV_PERMISSION_DENIED' : 'ERR_KV_WATCH_CANCELED'
  return new KvorumError(code, reason === '' ? 'the server canceled the watch' : reason)
}

const watchClosed = (): KvorumError => new KvorumError('ERR_KV_CLOSED', 'the watch is closed')
