import { Agent, request as httpRequest, type ClientRequest } from 'node:http'
import { Client, credentials, Metadata, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js'
import { codec, rpcNamed, type Codec, type RpcName } from '@kvorum/protocol'
import { flawed, type Flaw } from './malformed.js'
import { grpcWatch, jsonWatch, type WatchStream } from './watchStream.js'

export type Message = Record<string, unknown>

/** What a server made of a call: its response as our codec decodes it (or as JSON), or its refusal. */
export type Answer =
  | { readonly kind: 'ok'; readonly message: Message }
  | { readonly kind: 'refused'; readonly code: number; readonly text: string; readonly http?: number }

export const PATIENCE_MS = 15_000
const WATCH = 'etcdserverpb.Watch/Watch'

/** Each has a connection of its own. */
export const CLIENTS = 3

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

/** Connections of several clients to one server or cluster, over both of its doors. */
export class Target {
  readonly name: string
  readonly #addresses: readonly string[]
  readonly #clients: readonly Client[]
  readonly #agent = new Agent({ keepAlive: true })
  /** By the user who holds it. */
  readonly tokens = new Map<string, string>()

  /** Takes the members in turn. */
  constructor(name: string, members: readonly string[]) {
    this.name = name
    this.#addresses = Array.from({ length: CLIENTS }, (_, i) => members[i % members.length]!)
    this.#clients = this.#addresses.map(
      address =>
        new Client(address, credentials.createInsecure(), {
          'grpc.max_receive_message_length': -1,
          'grpc.initial_reconnect_backoff_ms': 50,
          'grpc.max_reconnect_backoff_ms': 200,
          'grpc.use_local_subchannel_pool': 1,
        }),
    )
  }

  #metadata(as: string | undefined): Metadata {
    const metadata = new Metadata()
    const token = as === undefined ? undefined : (this.tokens.get(as) ?? as)
    if (token !== undefined) metadata.set('token', token)
    return metadata
  }

  grpc(name: RpcName, message: Message, as?: string, client = 0): Promise<Answer> {
    const { response } = codecsOf(name)
    return new Promise(resolve => {
      this.#clients[client]!.makeUnaryRequest(
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

  json(name: RpcName, message: Message, as?: string, client = 0, flaw?: Flaw): Promise<Answer> {
    const json = codecsOf(name).request.toJson(message) as Message
    const body = flaw === undefined ? JSON.stringify(json) : flawed(json, flaw)
    return this.post(rpcNamed(name).gateway[0]!, body, as, client)
  }

  /** Of the gateway's streams, the first message. */
  post(path: string, body: string, as?: string, client = 0): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = this.#post(path, body, as, client)
      sent.on('response', answer => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('end', () => resolve(jsonAnswer(answer.statusCode ?? 0, Buffer.concat(chunks).toString())))
        answer.on('error', reject)
      })
      sent.setTimeout(PATIENCE_MS, () =>
        sent.destroy(new Error(`${this.name}: no answer to ${path} ${body}`)),
      )
      sent.on('error', reject)
    })
  }

  #post(path: string, body: string, as: string | undefined, client: number): ClientRequest {
    const token = as === undefined ? {} : { authorization: this.tokens.get(as) ?? as }
    const [host, port] = this.#addresses[client]!.split(':')
    const sent = httpRequest({ host, port, path, method: 'POST', agent: this.#agent, headers: token })
    sent.end(body)
    return sent
  }

  keepAlive(message: Message, as?: string, client = 0): Promise<Answer> {
    const name = 'etcdserverpb.Lease/LeaseKeepAlive'
    return new Promise(resolve => {
      const stream = this.#duplex(name, as, client)
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

  #duplex(name: RpcName, as: string | undefined, client: number): ClientDuplexStream<Buffer, Message> {
    const { response } = codecsOf(name)
    return this.#clients[client]!.makeBidiStreamRequest(
      `/${name}`,
      (bytes: Buffer) => bytes,
      bytes => response.decode(bytes) as Message,
      this.#metadata(as),
    )
  }

  watchStream(as?: string, client = 0): WatchStream {
    return grpcWatch(this.#duplex(WATCH, as, client), request => encode(WATCH, request))
  }

  /** Over the gateway: takes one request. */
  jsonWatch(as?: string, client = 0): WatchStream {
    const { request, response } = codecsOf(WATCH)
    return jsonWatch(
      body => this.#post(rpcNamed(WATCH).gateway[0]!, JSON.stringify(request.toJson(body)), as, client),
      message => response.fromJson(message) as Message,
    )
  }

  close(): void {
    for (const client of this.#clients) client.close()
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
  return { kind: 'refused', code: Number(body['code'] ?? 0), text: String(body['message']), http }
}
