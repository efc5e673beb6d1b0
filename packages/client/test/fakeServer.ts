import { createServer, type AddressInfo, type Socket } from 'node:net'
import {
  Server,
  ServerCredentials,
  type Metadata,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from '@grpc/grpc-js'
import { codec, rpcNamed, RPCS, type Init, type pb, type RpcName } from '@kvorum/protocol'
import type { Test } from 'tap'

type RequestOf<Name extends RpcName> = pb.Messages[pb.Rpcs[Name]['request']]
type ResponseOf<Name extends RpcName> = pb.Messages[pb.Rpcs[Name]['response']]

export type UnaryAnswer<Name extends RpcName> =
  Init<ResponseOf<Name>> | { readonly code: number; readonly details: string } | 'silence'
export type FakeStream<Name extends RpcName> = ServerDuplexStream<RequestOf<Name>, Init<ResponseOf<Name>>>

type Unary = (request: never, metadata: Metadata) => unknown
type Duplex = (stream: never) => void

/** A gRPC server with the real protocol on the wire, whose answers a test writes. */
export class FakeServer {
  #stop = (): void => undefined
  readonly #sockets = new Set<Socket>()
  #port = 0
  readonly #unary = new Map<RpcName, Unary>()
  readonly #duplex = new Map<RpcName, Duplex>()
  /** Names of all calls so far, in their order. */
  readonly calls: RpcName[] = []

  static async start(t: Test): Promise<FakeServer> {
    const fake = new FakeServer()
    await fake.listen()
    t.teardown(() => fake.stop())
    return fake
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  count(name: RpcName): number {
    return this.calls.filter(call => call === name).length
  }

  unary<Name extends RpcName>(
    name: Name,
    answer: (request: RequestOf<Name>, metadata: Metadata) => UnaryAnswer<Name>,
  ): void {
    this.#unary.set(name, answer as unknown as Unary)
  }

  duplex<Name extends RpcName>(name: Name, serve: (stream: FakeStream<Name>) => void): void {
    this.#duplex.set(name, serve as unknown as Duplex)
  }

  /** On the same port as before, if there was one. */
  async listen(): Promise<void> {
    const grpc = new Server({ 'grpc.enable_channelz': 0 })
    for (const rpc of RPCS) this.#register(grpc, rpc.name)
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure())
    const listener = createServer(socket => {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => this.#sockets.delete(socket))
      injector.injectConnection(socket)
    })
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject)
      listener.listen(this.#port, '127.0.0.1', resolve)
    })
    this.#port = (listener.address() as AddressInfo).port
    this.#stop = () => {
      listener.close()
      for (const socket of this.#sockets) socket.destroy()
      grpc.forceShutdown()
    }
  }

  /** Breaks every connection in the middle of whatever it does. */
  stop(): void {
    this.#stop()
    this.#stop = () => undefined
  }

  /** Breaks the connections, and takes new ones. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #register(server: Server, name: RpcName): void {
    const rpc = rpcNamed(name)
    const requests = codec(rpc.request)
    const responses = codec(rpc.response)
    const deserialize = (bytes: Buffer): unknown => requests.decode(bytes)
    const serialize = (message: unknown): Buffer => Buffer.from(responses.encode(message as never))
    // A stream of answers to one request is, on the wire, a stream both ways.
    const duplex = rpc.responseStream
    const handle = duplex
      ? (call: ServerDuplexStream<unknown, unknown>) => {
          this.calls.push(name)
          call.on('error', () => undefined)
          this.#duplex.get(name)?.(call as never)
        }
      : (call: ServerUnaryCall<unknown, unknown>, done: sendUnaryData<unknown>) => {
          this.calls.push(name)
          const answer = this.#unary.get(name)?.(call.request as never, call.metadata) ?? {}
          if (answer === 'silence') return
          if (isFailure(answer)) done(answer as never)
          else done(null, answer)
        }
    server.register(rpc.path, handle as never, serialize, deserialize, duplex ? 'bidi' : 'unary')
  }
}

const isFailure = (answer: unknown): boolean =>
  typeof answer === 'object' && answer !== null && 'code' in answer && 'details' in answer

/** Waits for a condition, looking again whenever the event loop comes round. */
export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 1))
  }
}
