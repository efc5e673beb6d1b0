import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { MalformedError, ok, refuse, type KvError } from '@kvorum/model'
import { errorFor, gatewayError, gatewayStreamError, JsonSequence, parseJsonBytes } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'
import { openStream } from '../edge/stream.js'
import { runUnary } from '../edge/unary.js'
import { tokenOf } from '../auth/bearer.js'
import type { CallMeta } from '../rpc/handler.js'
import { REGISTRY, type AnyStream, type AnyUnary } from '../rpc/registry.js'
import { bodyBytesMax, readBody } from './body.js'

/** The JSON gateway: every RPC that has a path there, with the handlers that gRPC uses. */
export function addGateway(app: FastifyInstance, edge: Edge): void {
  for (const handler of REGISTRY)
    for (const path of handler.rpc.gateway)
      if (handler.kind === 'unary') app.post(path, unaryRoute(edge, handler))
      else app.post(path, streamRoute(edge, handler))
}

const JSON_TYPE = 'application/json'

export const metaOf = (request: IncomingMessage): CallMeta => ({
  requireLeader: request.headers['grpc-metadata-hasleader'] === 'true',
  clientVersion: '',
  remote: request.socket.remoteAddress ?? '',
  host: request.socket.remoteAddress ?? '',
  token: tokenOf(request.headers.authorization),
  certificateName: null,
  session: String(request.headers['kvorum-session'] ?? ''),
})

const unaryRoute =
  (edge: Edge, rpc: AnyUnary) =>
  async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    const body = await readBody(request.raw, bodyBytesMax(edge.limits.requestBytesMax))
    if (body.ok) edge.metrics.calls.received(body.value.length)
    const result = await runUnary(
      edge,
      rpc,
      { meta: metaOf(request.raw), signal: gone.signal },
      {
        decode: () => {
          if (!body.ok) return body
          const message = rpc.request.fromJson(parseJsonBytes(body.value))
          return isTooLarge(edge, rpc, body.value, message) ? refuse('requestTooLarge') : ok(message)
        },
        encode: response => JSON.stringify(rpc.response.toJson(response as never)),
      },
    )
    void reply.type(JSON_TYPE)
    if (result.ok) {
      edge.metrics.calls.sent(result.value.length)
      return reply.send(result.value)
    }
    if (!request.raw.complete) void reply.header('connection', 'close')
    return sendError(reply, result.error)
  }

/** The limit is on the message, whatever its JSON looks like; a body below it cannot hold a larger one. */
const isTooLarge = (edge: Edge, rpc: AnyUnary, body: Buffer, message: unknown): boolean =>
  body.length > edge.limits.requestBytesMax &&
  rpc.request.encode(message as never).length > edge.limits.requestBytesMax

export function sendError(reply: FastifyReply, error: KvError): FastifyReply {
  const wire = errorFor(error)
  return reply
    .code(wire.http)
    .type(JSON_TYPE)
    .send(JSON.stringify(gatewayError(wire)))
}

const streamRoute =
  (edge: Edge, rpc: AnyStream) =>
  (request: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack()
    pump(edge, rpc, metaOf(request.raw), request.raw, reply.raw)
  }

/**
 * A stream over HTTP/1.1: requests are JSON objects one after the other, answers one object per chunk. The
 * status line waits for the first answer, so that a refusal can have its own.
 */
function pump(
  edge: Edge,
  rpc: AnyStream,
  meta: CallMeta,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const head = (status: number): void => {
    if (!response.headersSent) response.writeHead(status, { 'content-type': JSON_TYPE, connection: 'close' })
  }
  const open = openStream(edge, rpc, {
    meta,
    decode: input => {
      if (input instanceof MalformedError) throw input
      return rpc.request.fromJson(input)
    },
    write: (message, taken) => {
      const line = `${JSON.stringify({ result: rpc.response.toJson(message as never) })}\n`
      edge.metrics.calls.sent(line.length)
      head(200)
      response.write(line, taken)
    },
    end: error => {
      const wire = error === null ? null : errorFor(error)
      head(wire === null ? 200 : wire.http)
      response.end(wire === null ? '' : `${JSON.stringify(gatewayStreamError(wire))}\n`)
      // What the client still sends is thrown away.
      request.resume()
    },
    flow: reading => (reading ? request.resume() : request.pause()),
  })
  readSequence(request, bodyBytesMax(edge.limits.requestBytesMax), {
    bytes: count => edge.metrics.calls.received(count),
    item: open.receive,
    end: open.halfClosed,
  })
  request.on('error', open.cancelled)
  response.on('error', open.cancelled)
  response.on('close', open.cancelled)
}

interface SequenceSink {
  readonly bytes: (count: number) => void
  readonly item: (value: unknown) => void
  readonly end: () => void
}

/** What is not JSON is handed on as its error, so that the stream refuses it like any other bad message. */
function readSequence(request: IncomingMessage, bytesMax: number, sink: SequenceSink): void {
  const sequence = new JsonSequence(bytesMax)
  let broken = false
  const guarded = (act: () => void): void => {
    if (broken) return
    try {
      act()
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      broken = true
      sink.item(error)
    }
  }
  request.on('data', (chunk: Buffer) =>
    guarded(() => {
      sink.bytes(chunk.length)
      for (const value of sequence.push(chunk)) sink.item(value)
    }),
  )
  request.on('end', () =>
    guarded(() => {
      sequence.end()
      sink.end()
    }),
  )
}
