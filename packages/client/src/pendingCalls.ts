import { KvorumError } from './error.js'

/** One call that is under way. */
export interface PendingCall {
  /** Set once the call is given up; nothing more needs to be done for it. */
  readonly aborted: { readonly reason: unknown } | null
  /** What gives up the attempt that is out; null between attempts. */
  cancel: (() => void) | null
}

/**
 * The calls of one client: bounded in number, and given up together when the client closes, or one by one by
 * their signals. A set rather than listeners on one signal, which are slow to remove by the thousand.
 */
export class PendingCalls {
  readonly #max: number
  readonly #aborts = new Set<(reason: unknown) => void>()
  #closed: { readonly reason: unknown } | null = null

  constructor(max: number) {
    this.#max = max
  }

  /** Rejects with the signal's reason as soon as it is aborted, whatever the task is waiting for. */
  run<Value>(signal: AbortSignal | undefined, task: (call: PendingCall) => Promise<Value>): Promise<Value> {
    if (this.#closed !== null) return Promise.reject(this.#closed.reason as Error)
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error)
    if (this.#aborts.size >= this.#max) {
      const text = `${this.#max} calls are unanswered`
      return Promise.reject(new KvorumError('ERR_KV_TOO_MANY_REQUESTS', text, { retryable: true }))
    }
    return new Promise<Value>((resolve, reject) => {
      const call = { aborted: null as { reason: unknown } | null, cancel: null }
      const abort = (reason: unknown): void => {
        release()
        call.aborted = { reason }
        ;(call as PendingCall).cancel?.()
        reject(reason as Error)
      }
      const onSignal = (): void => abort(signal!.reason)
      const release = (): void => {
        this.#aborts.delete(abort)
        signal?.removeEventListener('abort', onSignal)
      }
      this.#aborts.add(abort)
      signal?.addEventListener('abort', onSignal)
      task(call).then(resolve, reject).finally(release)
    })
  }

  close(reason: unknown): void {
    if (this.#closed !== null) return
    this.#closed = { reason }
    for (const abort of this.#aborts) abort(reason)
  }
}
