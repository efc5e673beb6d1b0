import { Agent, request as httpRequest } from 'node:http'
import { Client, credentials, Metadata, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js'
import { codec, rpcNamed, type Codec, type RpcName } from '@kvorum/protocol'

export type Message = Record<string, unknown>

/** What a server made of a call: its response as our codec decodes it (or as JSON), or its refusal. */
export type Answer =
  | { readonly kind: 'ok'; readonly message: Message }
  | { readonly kind: 'refused'; readonly code: number; readonly text: string; readonly http?: number }

const PATIENCE_MS = 15_000

/** Codecs with their types forgotten. */
interface AnyCodec {
  readonly request: Codec<object>
  readonly response: Codec<object>
}

const codecs = new Map<RpcName, AnyCodec>()

function codecsOf(name: RpcName): AnyCodec {
  const known = codecs.get(name)
  if (known !== undefined) return known
  const rpc = rpcNamed(name)
  const made = {
    request: codec(rpc.request) as unknown as Codec<object>,
    response: codec(rpc.response) as unknown as Codec<object>,
  }
  codecs.set(name, made)
  return made
}

const encode = (name: RpcName, message: Message): Buffer => {
  const bytes = codecsOf(name).request.encode(message)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** One connection to one server, over both of its doors. */
export class Target {
  readonly name: string
  readonly #address: string
  readonly #client: Client
  readonly #agent = new Agent({ keepAlive: true })
  /** By the user who holds it. */
  readonly tokens = new Map<string, string>()

  constructor(name: string, address: string) {
    this.name = name
    this.#address = address
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 200,
    })
  }

  #metadata(as: string | undefined): Metadata {
    const metadata = new Metadata()
    const token = as === undefined ? undefined : (this.tokens.get(as) ?? as)
    if (token !== undefined) metadata.set('token', token)
    return metadata
  }

  grpc(name: RpcName, message: Message, as?: string): Promise<Answer> {
    const { response } = codecsOf(name)
    return new Promise(resolve => {
      this.#client.makeUnaryRequest(
        `/${name}`,
        (bytes: Buffer) => bytes,
        bytes => response.decode(bytes) as Message,
        encode(name, message),
        this.#metadata(as),
        { deadline: Date.now() + PATIENCE_MS },
        (error: ServiceError | null, decoded?: Message) =>
          resolve(
            error === null
              ? { kind: 'ok', message: decoded! }
              : { kind: 'refused', code: error.code, text: error.details },
          ),
      )
    })
  }

  json(name: RpcName, message: Message, as?: string): Promise<Answer> {
    const body = JSON.stringify(codecsOf(name).request.toJson(message))
    return this.post(rpcNamed(name).gateway[0]!, body, as)
  }

  /** Of the gateway's streams, the first message. */
  post(path: string, body: string, as?: string): Promise<Answer> {
    const token = as === undefined ? {} : { authorization: this.tokens.get(as) ?? as }
    return new Promise((resolve, reject) => {
      const [host, port] = this.#address.split(':')
      const sent = httpRequest(
        { host, port, path, method: 'POST', agent: this.#agent, timeout: PATIENCE_MS, headers: token },
        answer => {
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk))
          answer.on('end', () => {
            const text = Buffer.concat(chunks).toString()
            resolve(jsonAnswer(answer.statusCode ?? 0, text))
          })
          answer.on('error', reject)
        },
      )
      sent.on('timeout', () => sent.destroy(new Error(`${this.name}: no answer to ${path} ${body}`)))
      sent.on('error', reject)
      sent.end(body)
    })
  }

  keepAlive(message: Message, as?: string): Promise<Answer> {
    const name = 'etcdserverpb.Lease/LeaseKeepAlive'
    return new Promise(resolve => {
      const stream = this.#duplex(name, as)
      let answer: Answer = { kind: 'refused', code: 0, text: 'the stream ended without an answer' }
      stream.on('data', (decoded: Message) => (answer = { kind: 'ok', message: decoded }))
      stream.on('error', (error: ServiceError) =>
        resolve({ kind: 'refused', code: error.code, text: error.details }),
      )
      stream.on('end', () => resolve(answer))
      stream.write(encode(name, message))
      stream.end()
    })
  }

  #duplex(name: RpcName, as: string | undefined): ClientDuplexStream<Buffer, Message> {
    const { response } = codecsOf(name)
    return this.#client.makeBidiStreamRequest(
      `/${name}`,
      (bytes: Buffer) => bytes,
      bytes => response.decode(bytes) as Message,
      this.#metadata(as),
    )
  }

  watchStream(as?: string): WatchStream {
    return new WatchStream(this.#duplex('etcdserverpb.Watch/Watch', as))
  }

  close(): void {
    this.#client.close()
    this.#agent.destroy()
  }
}

function jsonAnswer(http: number, text: string): Answer {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return { kind: 'refused', code: -1, text: `not JSON: ${text}`, http }
  }
  const body = parsed as Message
  if (http === 200) return { kind: 'ok', message: body }
  return { kind: 'refused', code: Number(body['code'] ?? 0), text: String(body['error']), http }
}

/** A watch stream and everything it has said so far. */
export class WatchStream {
  readonly #stream: ClientDuplexStream<Buffer, Message>
  readonly said: Message[] = []
  ended: string | null = null
  #wake: (() => void)[] = []

  constructor(stream: ClientDuplexStream<Buffer, Message>) {
    this.#stream = stream
    stream.on('data', (message: Message) => {
      this.said.push(message)
      this.#notify()
    })
    stream.on('error', (error: ServiceError) => {
      this.ended ??= `${error.code} ${error.details}`
      this.#notify()
    })
    stream.on('end', () => {
      this.ended ??= 'end'
      this.#notify()
    })
  }

  #notify(): void {
    const woken = this.#wake
    this.#wake = []
    for (const wake of woken) wake()
  }

  send(request: Message): void {
    if (this.ended === null) this.#stream.write(encode('etcdserverpb.Watch/Watch', request))
  }

  /** Waits until `condition` holds; false: it does not, for a long time. */
  async until(condition: () => boolean, patienceMs = PATIENCE_MS): Promise<boolean> {
    const deadline = performance.now() + patienceMs
    while (!condition() && this.ended === null) {
      const left = deadline - performance.now()
      if (left <= 0) return false
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#wake.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    return condition()
  }

  close(): void {
    this.ended ??= 'closed'
    this.#stream.cancel()
  }
}
