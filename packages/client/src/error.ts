/** Stable names; see `codeOf` for how they follow from the server's. */
export type KvorumErrorCode = `ERR_KV_${string}`

export interface KvorumErrorFacts {
  /** Of the gRPC answer; null where the failure is the client's own. */
  readonly grpcStatus?: number | null
  readonly retryable?: boolean
  readonly indeterminate?: boolean
  /** With ERR_KV_COMPACTED, where the server says it: history is gone up to here. */
  readonly compactRevision?: number
  readonly cause?: unknown
}

/**
 * Everything the client rejects with, except the reason of an aborted signal, which passes through untouched.
 * Decide by `code`, `retryable` and `indeterminate`; texts are for people.
 */
export class KvorumError extends Error {
  override readonly name = 'KvorumError'
  readonly code: KvorumErrorCode
  readonly grpcStatus: number | null
  /** The same call may succeed later, and repeating it cannot apply a write twice. */
  readonly retryable: boolean
  /** A write that may or may not have been applied, now or a little later. Never repeated by the client. */
  readonly indeterminate: boolean
  readonly compactRevision: number | null

  constructor(code: KvorumErrorCode, message: string, facts: KvorumErrorFacts = {}) {
    super(message, facts.cause === undefined ? {} : { cause: facts.cause })
    this.code = code
    this.grpcStatus = facts.grpcStatus ?? null
    this.retryable = facts.retryable ?? false
    this.indeterminate = facts.indeterminate ?? false
    this.compactRevision = facts.compactRevision ?? null
  }
}

export const closedError = (): KvorumError => new KvorumError('ERR_KV_CLOSED', 'the client is closed')

export const invalid = (message: string): KvorumError => new KvorumError('ERR_KV_INVALID_ARGUMENT', message)

/** No server has seen the request, whatever it was. */
export const notConnected = (message: string, cause?: unknown): KvorumError =>
  new KvorumError('ERR_KV_NOT_CONNECTED', message, { retryable: true, cause })
