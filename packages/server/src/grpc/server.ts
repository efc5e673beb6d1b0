import type { Socket } from 'node:net'
import {
  Server,
  ServerCredentials,
  status as grpcStatus,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { LIMITS, ok, refuse, type KvError } from '@kvorum/model'
import { errorFor } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'
import { openStream, type StreamWire } from '../edge/stream.js'
import { runUnary } from '../edge/unary.js'
import { commonNameOf } from '../tls/judge.js'
import { tokenOf } from '../auth/bearer.js'
import type { CallMeta } from '../rpc/handler.js'
import { REGISTRY, type AnyStream, type AnyUnary } from '../rpc/registry.js'
import { openHttp2 } from './opening.js'

/**
 * gRPC over sockets that somebody else accepted. Messages stay bytes here: handlers bring their own codecs, so
 * that another transport can take this one's place.
 */
export interface GrpcFront {
  readonly accept: (socket: Socket) => void
  /** Tells clients to go elsewhere and lets calls finish. */
  readonly drain: (graceMs: number) => void
  readonly close: () => void
}

export interface GrpcOptions {
  /** The common name of a client's certificate is part of its calls. */
  readonly namesUsers: boolean
  /** A client that has been silent for so long is asked whether it is there; 0: never. */
  readonly keepaliveIntervalMs: number
  /** How long it may take to answer. */
  readonly keepaliveTimeoutMs: number
}

const DEFAULTS: GrpcOptions = {
  namesUsers: false,
  keepaliveIntervalMs: 2 * 60 * 60 * 1000,
  keepaliveTimeoutMs: 20_000,
}
/** The library's own "never". */
const NEVER_MS = 2 ** 31 - 1

export function createGrpc(edge: Edge, options: Partial<GrpcOptions> = {}): GrpcFront {
  const { namesUsers, keepaliveIntervalMs, keepaliveTimeoutMs } = { ...DEFAULTS, ...options }
  const { limits } = edge
  const server = new Server({
    // Somewhat more than a request may have, so that the refusal can be etcd's.
    'grpc.max_receive_message_length': limits.requestBytesMax + LIMITS.requestOverheadBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': limits.streamsPerConnectionMax,
    'grpc.keepalive_time_ms': keepaliveIntervalMs === 0 ? NEVER_MS : keepaliveIntervalMs,
    'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
    'grpc.enable_channelz': 0,
  })
  for (const handler of REGISTRY) {
    const { path } = handler.rpc
    if (handler.kind === 'unary')
      server.register(path, unaryCall(edge, handler, namesUsers), same, same, 'unary')
    else if (handler.rpc.requestStream)
      server.register(path, bidiCall(edge, handler, namesUsers), same, same, 'bidi')
    else server.register(path, serverStreamCall(edge, handler, namesUsers), same, same, 'serverStream')
  }
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  return {
    accept: socket => openHttp2(socket, () => injector.injectConnection(socket)),
    drain: graceMs => injector.drain(graceMs),
    close: () => {
      injector.destroy()
      server.forceShutdown()
    },
  }
}

const same = (bytes: Buffer): Buffer => bytes
const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** What every kind of call knows about its connection. */
type Calling = Pick<ServerUnaryCall<Buffer, Buffer>, 'metadata' | 'getPeer' | 'getAuthContext'>

function metaOf(call: Calling, namesUsers: boolean): CallMeta {
  const { metadata } = call
  const certificate = namesUsers ? call.getAuthContext().sslPeerCertificate : undefined
  return {
    requireLeader: metadata.get('hasleader')[0] === 'true',
    clientVersion: String(metadata.get('client-api-version')[0] ?? ''),
    session: String(metadata.get('kvorum-session')[0] ?? ''),
    remote: call.getPeer(),
    host: call.getPeer().replace(/:\d+$/, ''),
    token: tokenOf(metadata.get('token')[0] ?? metadata.get('authorization')[0]),
    certificateName: certificate === undefined ? null : commonNameOf(certificate),
  }
}

function statusOf(error: KvError): { code: grpcStatus; details: string } {
  const { grpc, message } = errorFor(error)
  return { code: grpc, details: message }
}

const unaryCall =
  (edge: Edge, rpc: AnyUnary, namesUsers: boolean) =>
  (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void => {
    const { calls } = edge.metrics
    const bytes = call.request
    calls.received(bytes.length)
    // Cancelled: the client has gone, or its deadline has passed. The library says so after every answer, too.
    const gone = new AbortController()
    let answered = false
    call.on('cancelled', () => {
      if (!answered) gone.abort()
    })
    const meta = metaOf(call, namesUsers)
    void runUnary(
      edge,
      rpc,
      { meta, signal: gone.signal },
      {
        decode: () =>
          bytes.length > edge.limits.requestBytesMax
            ? refuse('requestTooLarge')
            : ok(rpc.request.decode(bytes)),
        encode: response => asBuffer(rpc.response.encode(response as never)),
      },
    ).then(result => {
      answered = true
      if (result.ok) calls.sent(result.value.length)
      if (result.ok) answer(null, result.value)
      else answer(statusOf(result.error))
    })
  }

type Writing = Pick<ServerDuplexStream<Buffer, Buffer>, 'write' | 'emit' | keyof Calling> & {
  end: () => void
}

function streamWire(
  edge: Edge,
  rpc: AnyStream,
  call: Writing,
  namesUsers: boolean,
  flow: StreamWire['flow'],
): StreamWire {
  return {
    meta: metaOf(call, namesUsers),
    decode: input => rpc.request.decode(input as Buffer),
    write: (response, taken) => {
      const bytes = asBuffer(rpc.response.encode(response as never))
      edge.metrics.calls.sent(bytes.length)
      call.write(bytes, taken)
    },
    end: error => {
      if (error === null) call.end()
      else call.emit('error', statusOf(error))
    },
    flow,
  }
}

const bidiCall =
  (edge: Edge, rpc: AnyStream, namesUsers: boolean) =>
  (call: ServerDuplexStream<Buffer, Buffer>): void => {
    const flow = (reading: boolean) => (reading ? call.resume() : call.pause())
    const open = openStream(edge, rpc, streamWire(edge, rpc, call, namesUsers, flow))
    call.on('cancelled', open.cancelled)
    call.on('error', open.cancelled)
    call.on('data', (bytes: Buffer) => {
      edge.metrics.calls.received(bytes.length)
      open.receive(bytes)
    })
    call.on('end', open.halfClosed)
  }

const serverStreamCall =
  (edge: Edge, rpc: AnyStream, namesUsers: boolean) =>
  (call: ServerWritableStream<Buffer, Buffer>): void => {
    const open = openStream(
      edge,
      rpc,
      streamWire(edge, rpc, call, namesUsers, () => {}),
    )
    call.on('cancelled', open.cancelled)
    call.on('error', open.cancelled)
    open.receive(call.request)
    open.halfClosed()
  }
