/** What became of one unary call. */
export interface Reply {
  /** The gRPC status; -1 where there was none (reset, disconnected, not gRPC). */
  readonly status: number
  /** Length of the response message; -1 where none arrived in full. */
  readonly bytes: number
  /** The message, where the caller asked to keep it. */
  readonly body: Buffer | null
  readonly text: string
}

export interface Call {
  /** Path of the method, for example '/etcdserverpb.KV/Put'. */
  readonly path: string
  /** Copied before `request` returns, so that a template can be patched for the next call. */
  readonly message: Uint8Array
  readonly keepBody?: boolean
  readonly done: (reply: Reply) => void
}

export interface Stream {
  readonly id: number
  readonly keepBody: boolean
  readonly done: (reply: Reply) => void
  /** Bytes the peer still takes on this stream. */
  window: number
  /** What is not sent yet. */
  unsent: Uint8Array | null
  /** Bytes that arrived since the last window update. */
  consumed: number
  /** The response's length prefix as far as it arrived, and the message behind it. */
  prefix: number[]
  missing: number
  chunks: Buffer[]
  bytes: number
  status: number | null
  text: string
}

export const openStream = (id: number, call: Call, window: number): Stream => ({
  id,
  keepBody: call.keepBody ?? false,
  done: call.done,
  window,
  unsent: null,
  consumed: 0,
  prefix: [],
  missing: -1,
  chunks: [],
  bytes: -1,
  status: null,
  text: '',
})

/** `reason` is why the stream ended, for an answer that gives no status of its own. */
export function replyOf(stream: Stream, reason: string): Reply {
  const complete = stream.missing === 0
  return {
    status: stream.status ?? -1,
    bytes: complete ? stream.bytes : -1,
    body: complete && stream.keepBody ? Buffer.concat(stream.chunks) : null,
    text: stream.status === null ? reason : stream.text,
  }
}

/** Follows the five-byte prefix and the message behind it through however many DATA frames they come in. */
export function takeMessage(stream: Stream, payload: Buffer): void {
  let at = 0
  while (stream.missing === -1 && at < payload.length) {
    stream.prefix.push(payload[at++]!)
    if (stream.prefix.length < 5) continue
    const [compressed, a, b, c, d] = stream.prefix as [number, number, number, number, number]
    if (compressed !== 0) throw new Error('a compressed response, though none was allowed')
    stream.bytes = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
    stream.missing = stream.bytes
  }
  if (at === payload.length) return
  stream.missing -= payload.length - at
  if (stream.missing < 0) throw new Error('more than one message in a unary response')
  if (stream.keepBody) stream.chunks.push(Buffer.from(payload.subarray(at)))
}
