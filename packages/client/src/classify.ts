import { status as Status, type ServiceError } from '@grpc/grpc-js'
import type { ErrorCode } from '@kvorum/model'
import { ERRORS } from '@kvorum/protocol'
import { KvorumError, notConnected, type KvorumErrorCode } from './error.js'

/** Whether a call can change anything. */
export type CallKind = 'read' | 'write'

/** 'leaseNotFound' becomes ERR_KV_LEASE_NOT_FOUND. */
export const codeOf = (code: ErrorCode): KvorumErrorCode =>
  `ERR_KV_${code.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`

/** etcd's and our own refusals by the text they travel as; statuses alone do not tell them apart. */
const BY_TEXT: ReadonlyMap<string, ErrorCode> = new Map(
  Object.entries(ERRORS).map(([code, { text }]) => [text, code as ErrorCode]),
)
const DETAILED = Object.entries(ERRORS).filter(([, { detailed }]) => detailed)

function refusalOf(text: string): ErrorCode | null {
  const exact = BY_TEXT.get(text)
  if (exact !== undefined) return exact
  return (
    (DETAILED.find(([, error]) => text.startsWith(`${error.text}: `))?.[0] as ErrorCode | undefined) ?? null
  )
}

/** A server that answers with one of these has looked at the request and turned it down. */
const TURNED_DOWN: ReadonlySet<number> = new Set([
  Status.INVALID_ARGUMENT,
  Status.NOT_FOUND,
  Status.ALREADY_EXISTS,
  Status.PERMISSION_DENIED,
  Status.FAILED_PRECONDITION,
  Status.OUT_OF_RANGE,
  Status.UNIMPLEMENTED,
  Status.UNAUTHENTICATED,
])

/** Refusals under other statuses of which the same is known. */
const TURNED_DOWN_CODES: ReadonlySet<ErrorCode> = new Set(['noSpace', 'tooManyLeases', 'tooManyRequests'])

/** Another attempt, or another server, may do better. */
const PASSING: ReadonlySet<number> = new Set([
  Status.UNAVAILABLE,
  Status.INTERNAL,
  Status.DEADLINE_EXCEEDED,
  Status.CANCELLED,
])

/**
 * Said by the gRPC library itself when it had no connection to put the request on, never by a server. The
 * tests hold the library to these texts.
 */
const NEVER_SENT = [
  /^No connection established/,
  /^Name resolution failed/,
  /^Failed to start HTTP\/2 stream/,
  /^Channel closed before call started/,
]

/** One place turns what the gRPC library reports into our error. */
export function classify(error: ServiceError, kind: CallKind): KvorumError {
  const { code: grpcStatus, details } = error
  if (NEVER_SENT.some(text => text.test(details))) return notConnected(details, error)
  const refusal = refusalOf(details)
  const turnedDown = TURNED_DOWN.has(grpcStatus) || (refusal !== null && TURNED_DOWN_CODES.has(refusal))
  const indeterminate = kind === 'write' && !turnedDown
  const passing = PASSING.has(grpcStatus) || refusal === 'tooManyRequests'
  const code: KvorumErrorCode =
    refusal === null ? `ERR_KV_${Status[grpcStatus] ?? 'UNKNOWN'}` : codeOf(refusal)
  const facts = { grpcStatus, indeterminate, retryable: passing && !indeterminate, cause: error }
  return new KvorumError(code, details, facts)
}

export const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error
