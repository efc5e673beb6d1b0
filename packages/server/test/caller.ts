import { Client, credentials, Metadata, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js'
import { codec, rpcNamed, type Init, type pb, type RpcName } from '@kvorum/protocol'
import type { Test } from 'tap'
import { running, type Running } from './harness.js'

export type RequestOf<Name extends RpcName> = Init<pb.Messages[pb.Rpcs[Name]['request']]>
export type ResponseOf<Name extends RpcName> = pb.Messages[pb.Rpcs[Name]['response']]

export const bytes = (text: string): Uint8Array => Buffer.from(text)
export const raw = (value: Buffer): Buffer => value

/** A gRPC client of any RPC, in our own messages. */
export class Caller {
  readonly client: Client
  constructor(server: Running) {
    this.client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure(), {
      'grpc.max_send_message_length': -1,
      'grpc.max_receive_message_length': -1,
      'grpc.enable_retries': 0,
      'grpc.use_local_subchannel_pool': 1,
    })
  }

  bytes(path: string, request: Uint8Array, metadata = new Metadata(), deadline?: Date): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const options = deadline === undefined ? {} : { deadline }
      this.client.makeUnaryRequest(
        path,
        raw,
        raw,
        Buffer.from(request),
        metadata,
        options,
        (error, response) => {
          if (error !== null) reject(error)
          else resolve(response!)
        },
      )
    })
  }

  async call<Name extends RpcName>(
    name: Name,
    request: RequestOf<Name>,
    metadata?: Metadata,
  ): Promise<ResponseOf<Name>> {
    const rpc = rpcNamed(name)
    const encoded = codec(rpc.request).encode(request as never)
    return codec(rpc.response).decode(await this.bytes(rpc.path, encoded, metadata)) as ResponseOf<Name>
  }

  /** A call that can be given up. */
  begin<Name extends RpcName>(name: Name, request: RequestOf<Name>, metadata = new Metadata()): Begun<Name> {
    const rpc = rpcNamed(name)
    const encoded = Buffer.from(codec(rpc.request).encode(request as never))
    let cancel = (): void => {}
    const answer = new Promise<ResponseOf<Name>>((resolve, reject) => {
      const call = this.client.makeUnaryRequest(rpc.path, raw, raw, encoded, metadata, (error, response) => {
        if (error !== null) reject(error)
        else resolve(codec(rpc.response).decode(response!) as ResponseOf<Name>)
      })
      cancel = () => call.cancel()
    })
    answer.catch(() => {})
    return { answer, cancel: () => cancel() }
  }

  open<Name extends RpcName>(name: Name, metadata = new Metadata()): Streamed<Name> {
    const rpc = rpcNamed(name)
    const call = this.client.makeBidiStreamRequest(rpc.path, raw, raw, metadata)
    return streamed(name, call)
  }
}

export interface Begun<Name extends RpcName> {
  readonly answer: Promise<ResponseOf<Name>>
  readonly cancel: () => void
}

export interface Streamed<Name extends RpcName> {
  readonly call: ClientDuplexStream<Buffer, Buffer>
  readonly got: ResponseOf<Name>[]
  readonly ended: () => { code: number; details: string } | null
  send(request: RequestOf<Name>): void
}

function streamed<Name extends RpcName>(
  name: Name,
  call: ClientDuplexStream<Buffer, Buffer>,
): Streamed<Name> {
  const rpc = rpcNamed(name)
  const got: ResponseOf<Name>[] = []
  let ended: { code: number; details: string } | null = null
  call.on('data', (message: Buffer) => got.push(codec(rpc.response).decode(message) as ResponseOf<Name>))
  call.on('error', () => {})
  call.on('status', status => (ended = { code: status.code, details: status.details }))
  return {
    call,
    got,
    ended: () => ended,
    send: request => call.write(Buffer.from(codec(rpc.request).encode(request as never))),
  }
}

export async function withServer(
  t: Test,
  work: (caller: Caller, server: Running) => Promise<void>,
  argv: string[] = [],
): Promise<void> {
  await using server = await running(argv)
  const caller = new Caller(server)
  try {
    await work(caller, server)
  } finally {
    caller.client.close()
  }
  t.pass()
}

export const fails = (t: Test, call: Promise<unknown>, code: number, details: string | RegExp) =>
  t.rejects(call as Promise<ServiceError>, { code, details })
