import { METHODS } from './method.js'
import { responsesOf } from './responses.js'
import type { Transport } from './transport.js'

/** A piece of a snapshot file. The last 32 bytes of all pieces are the SHA-256 of those before. */
export interface SnapshotPiece {
  readonly bytes: Uint8Array
  /** Bytes that are still to come; may be no more than an estimate. */
  readonly remaining: number
}

/** One snapshot of one server; it does not go on elsewhere when that is lost. */
export async function* snapshotPieces(
  transport: Transport,
  signal: AbortSignal | undefined,
): AsyncGenerator<SnapshotPiece, void, undefined> {
  const ended = AbortSignal.any(signal === undefined ? [transport.closing] : [signal, transport.closing])
  ended.throwIfAborted()
  const { stream, fail } = await transport.stream(METHODS.snapshot)
  const abort = (): void => stream.cancel()
  ended.addEventListener('abort', abort, { once: true })
  try {
    ended.throwIfAborted()
    stream.write({})
    stream.end()
    for await (const { blob, remaining_bytes } of responsesOf(stream, fail))
      yield { bytes: blob, remaining: remaining_bytes }
  } catch (error) {
    ended.throwIfAborted()
    throw error
  } finally {
    ended.removeEventListener('abort', abort)
    stream.cancel()
  }
}
