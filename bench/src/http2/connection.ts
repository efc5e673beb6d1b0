import { connect as connectSocket, type Socket } from 'node:net'
import {
  FLAG,
  FRAME,
  FRAME_BYTES_MAX,
  FrameSplitter,
  FrameWriter,
  PREFACE,
  SETTING,
  WINDOW_DEFAULT,
} from './frames.js'
import { decodeHead, encodeHeaders, type ResponseHead } from './hpack.js'
import { dataPayload, headersPayload, readSettings } from './payload.js'
import { openStream, replyOf, takeMessage, type Call, type Reply, type Stream } from './stream.js'

export type { Call, Reply } from './stream.js'

/** Calls that wait for a free stream. More than that is a fault of the generator. */
const QUEUE_MAX = 100_000
const STREAM_WINDOW = 4 * 1024 * 1024
const CONNECTION_WINDOW = 1024 * 1024 * 1024
const HEADS_REMEMBERED_MAX = 1_000
const STREAM_ID_MAX = 0x7fff_ffff

/** Unary gRPC calls on one HTTP/2 connection without TLS, with as little work per call as the protocol allows. */
export class Http2Connection {
  readonly #socket: Socket
  readonly #authority: string
  readonly #out = new FrameWriter()
  readonly #splitter = new FrameSplitter()
  readonly #streams = new Map<number, Stream>()
  readonly #blocks = new Map<string, Buffer>()
  /** Without a dynamic table equal blocks mean equal heads; a server repeats a handful of them. */
  readonly #heads = new Map<string, ResponseHead>()
  readonly #queue: Call[] = []
  #queueHead = 0
  /** Streams with unsent data that wait for a window, oldest first. */
  #blocked: Stream[] = []
  #headerBlock: { stream: number; endStream: boolean; parts: Buffer[] } | null = null
  #nextId = 1
  #sendWindow = WINDOW_DEFAULT
  #peerStreamWindow = WINDOW_DEFAULT
  #streamsMax = 100
  #consumed = 0
  #flushing = false
  #draining = false
  #closed: Error | null = null
  /** Called once, with the first settings or with the error that came before them. */
  #greeted: ((error: Error | null) => void) | null = null

  private constructor(socket: Socket, authority: string) {
    this.#socket = socket
    this.#authority = authority
    this.#out.raw(PREFACE)
    this.#out.header(18, FRAME.settings, 0, 0)
    for (const [id, value] of [
      [SETTING.headerTableSize, 0],
      [SETTING.enablePush, 0],
      [SETTING.initialWindowSize, STREAM_WINDOW],
    ] as const) {
      this.#out.u16(id)
      this.#out.u32(value)
    }
    this.#windowUpdate(0, CONNECTION_WINDOW - WINDOW_DEFAULT)
    this.#flush()
    socket.on('data', chunk => this.#receive(chunk))
    socket.on('error', error => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('connection closed')))
  }

  /** Resolves when the peer's settings are known, so that its limits hold from the first call on. */
  static connect(host: string, port: number, timeoutMs = 2_000): Promise<Http2Connection> {
    return new Promise((resolve, reject) => {
      const socket = connectSocket({ host, port, noDelay: true })
      const connection = new Http2Connection(socket, `${host}:${port}`)
      const timer = setTimeout(() => connection.#fail(new Error('connect timed out')), timeoutMs)
      connection.#greeted = error => {
        clearTimeout(timer)
        if (error === null) resolve(connection)
        else reject(error)
      }
    })
  }

  get closed(): boolean {
    return this.#closed !== null || this.#draining
  }

  /** Calls begun and not answered. */
  get active(): number {
    return this.#streams.size + this.#queue.length - this.#queueHead
  }

  request(call: Call): void {
    if (this.#closed !== null || this.#draining) {
      const text = this.#closed?.message ?? 'server is going away'
      queueMicrotask(() => call.done({ status: -1, bytes: -1, body: null, text }))
      return
    }
    if (this.#queueHead < this.#queue.length || !this.#mayStart()) {
      if (this.#queue.length - this.#queueHead >= QUEUE_MAX) throw new Error('too many calls are waiting')
      this.#queue.push({ ...call, message: Buffer.from(call.message) })
    } else this.#start(call)
    this.#flushSoon()
  }

  /** The same as a promise, with the body kept; rejects on anything but a message with status 0. */
  async call(path: string, message: Uint8Array, timeoutMs = 10_000): Promise<Buffer> {
    const reply = await new Promise<Reply>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${path} timed out`)), timeoutMs)
      const done = (answer: Reply): void => {
        clearTimeout(timer)
        resolve(answer)
      }
      this.request({ path, message, keepBody: true, done })
    })
    if (reply.status !== 0 || reply.body === null) {
      throw new Error(`${path}: status ${reply.status} ${reply.text}`)
    }
    return reply.body
  }

  close(): void {
    this.#fail(new Error('closed by us'))
  }

  // --- sending

  #mayStart(): boolean {
    return this.#blocked.length === 0 && this.#streams.size < this.#streamsMax && this.#sendWindow > 0
  }

  #start(call: Call): void {
    const id = this.#nextId
    this.#nextId += 2
    if (this.#nextId > STREAM_ID_MAX) this.#draining = true
    const stream = openStream(id, call, this.#peerStreamWindow)
    this.#streams.set(id, stream)
    const block = this.#block(call.path)
    this.#out.header(block.length, FRAME.headers, FLAG.endHeaders, id)
    this.#out.raw(block)
    const length = 5 + call.message.length
    if (length <= FRAME_BYTES_MAX && length <= stream.window && length <= this.#sendWindow) {
      this.#out.header(length, FRAME.data, FLAG.endStream, id)
      this.#out.u8(0)
      this.#out.u32(call.message.length)
      this.#out.raw(call.message)
      stream.window -= length
      this.#sendWindow -= length
      return
    }
    const framed = Buffer.allocUnsafe(length)
    framed[0] = 0
    framed.writeUInt32BE(call.message.length, 1)
    framed.set(call.message, 5)
    stream.unsent = framed
    if (!this.#sendData(stream)) this.#blocked.push(stream)
  }

  #block(path: string): Buffer {
    let block = this.#blocks.get(path)
    if (block === undefined) {
      block = encodeHeaders([
        [':method', 'POST'],
        [':scheme', 'http'],
        [':path', path],
        [':authority', this.#authority],
        ['content-type', 'application/grpc'],
        ['te', 'trailers'],
      ])
      this.#blocks.set(path, block)
    }
    return block
  }

  /** True when all of it is out. */
  #sendData(stream: Stream): boolean {
    while (stream.unsent !== null) {
      const size = Math.min(stream.unsent.length, stream.window, this.#sendWindow, FRAME_BYTES_MAX)
      if (size <= 0) return false
      const last = size === stream.unsent.length
      this.#out.header(size, FRAME.data, last ? FLAG.endStream : 0, stream.id)
      this.#out.raw(stream.unsent.subarray(0, size))
      stream.window -= size
      this.#sendWindow -= size
      stream.unsent = last ? null : stream.unsent.subarray(size)
    }
    return true
  }

  /** After a window opened or a stream ended. */
  #resume(): void {
    if (this.#blocked.length > 0) this.#blocked = this.#blocked.filter(stream => !this.#sendData(stream))
    while (this.#queueHead < this.#queue.length && this.#mayStart()) {
      this.#start(this.#queue[this.#queueHead++]!)
    }
    if (this.#queueHead > 1_024 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#queueHead)
      this.#queueHead = 0
    }
  }

  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    this.#flushing = false
    if (this.#out.pending && this.#closed === null) this.#socket.write(this.#out.take())
  }

  #windowUpdate(stream: number, bytes: number): void {
    this.#out.header(4, FRAME.windowUpdate, 0, stream)
    this.#out.u32(bytes)
  }

  // --- receiving

  #receive(chunk: Buffer): void {
    // One write for everything that this chunk causes.
    this.#flushing = true
    try {
      this.#splitter.push(chunk, (type, flags, stream, payload) => this.#frame(type, flags, stream, payload))
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
    this.#resume()
    this.#flush()
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    switch (type) {
      case FRAME.data:
        return this.#data(flags, id, payload)
      case FRAME.headers:
        this.#headerBlock = {
          stream: id,
          endStream: (flags & FLAG.endStream) !== 0,
          parts: [headersPayload(flags, payload)],
        }
        return this.#headers(flags)
      case FRAME.continuation:
        this.#headerBlock?.parts.push(Buffer.from(payload))
        return this.#headers(flags)
      case FRAME.resetStream:
        return this.#end(id, `stream reset with code ${payload.readUInt32BE(0)}`)
      case FRAME.settings:
        return this.#settings(flags, payload)
      case FRAME.ping:
        return this.#ping(flags, payload)
      case FRAME.goAway:
        return this.#goAway(payload)
      case FRAME.windowUpdate:
        return this.#windowOpened(id, payload.readUInt32BE(0) & 0x7fff_ffff)
      default:
        return undefined
    }
  }

  #data(flags: number, id: number, payload: Buffer): void {
    this.#consumed += payload.length
    if (this.#consumed > CONNECTION_WINDOW / 2) {
      this.#windowUpdate(0, this.#consumed)
      this.#consumed = 0
    }
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    stream.consumed += payload.length
    const ended = (flags & FLAG.endStream) !== 0
    if (stream.consumed > STREAM_WINDOW / 2 && !ended) {
      this.#windowUpdate(id, stream.consumed)
      stream.consumed = 0
    }
    takeMessage(stream, dataPayload(flags, payload))
    if (ended) this.#end(id, 'stream ended without trailers')
  }

  #headers(flags: number): void {
    const block = this.#headerBlock
    if ((flags & FLAG.endHeaders) === 0 || block === null) return
    this.#headerBlock = null
    const bytes = block.parts.length === 1 ? block.parts[0]! : Buffer.concat(block.parts)
    const head = this.#head(bytes)
    const stream = this.#streams.get(block.stream)
    if (stream === undefined) return
    if (head.grpcStatus !== null) stream.status = head.grpcStatus
    if (head.grpcMessage !== null) stream.text = head.grpcMessage
    if (block.endStream) this.#end(block.stream, `HTTP status ${head.httpStatus ?? 'unknown'}`)
  }

  #head(bytes: Buffer): ResponseHead {
    const key = bytes.toString('latin1')
    let head = this.#heads.get(key)
    if (head === undefined) {
      head = decodeHead(bytes)
      if (this.#heads.size < HEADS_REMEMBERED_MAX) this.#heads.set(key, head)
    }
    return head
  }

  #end(id: number, reason: string): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    this.#streams.delete(id)
    if (stream.unsent !== null) this.#blocked = this.#blocked.filter(other => other !== stream)
    stream.done(replyOf(stream, reason))
  }

  #settings(flags: number, payload: Buffer): void {
    if ((flags & FLAG.ack) !== 0) return
    for (const [id, value] of readSettings(payload)) {
      if (id === SETTING.maxConcurrentStreams) this.#streamsMax = value
      if (id !== SETTING.initialWindowSize) continue
      for (const stream of this.#streams.values()) stream.window += value - this.#peerStreamWindow
      this.#peerStreamWindow = value
    }
    this.#out.header(0, FRAME.settings, FLAG.ack, 0)
    this.#greeted?.(null)
    this.#greeted = null
  }

  #ping(flags: number, payload: Buffer): void {
    if ((flags & FLAG.ack) !== 0) return
    this.#out.header(8, FRAME.ping, FLAG.ack, 0)
    this.#out.raw(payload)
  }

  #goAway(payload: Buffer): void {
    const last = payload.readUInt32BE(0) & 0x7fff_ffff
    this.#draining = true
    for (const id of this.#streams.keys()) if (id > last) this.#end(id, 'refused by GOAWAY')
    this.#refuseQueue('refused by GOAWAY')
  }

  #windowOpened(id: number, bytes: number): void {
    if (id === 0) {
      this.#sendWindow += bytes
      return
    }
    const stream = this.#streams.get(id)
    if (stream !== undefined) stream.window += bytes
  }

  #refuseQueue(text: string): void {
    const waiting = this.#queue.splice(0).slice(this.#queueHead)
    this.#queueHead = 0
    for (const call of waiting) call.done({ status: -1, bytes: -1, body: null, text })
  }

  #fail(error: Error): void {
    if (this.#closed !== null) return
    this.#closed = error
    this.#socket.destroy()
    this.#greeted?.(error)
    this.#greeted = null
    for (const id of this.#streams.keys()) this.#end(id, error.message)
    this.#refuseQueue(error.message)
  }
}
