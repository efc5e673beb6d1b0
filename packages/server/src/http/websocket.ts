import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import { MalformedError } from '@kvorum/model'
import { errorFor, gatewayStreamError, parseJsonBytes } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'
import { openStream } from '../edge/stream.js'
import { REGISTRY, type AnyStream } from '../rpc/registry.js'
import { bodyBytesMax } from './body.js'
import { metaOf } from './gateway.js'
import { isHostListed } from './host.js'

/** Browsers cannot send headers here: the token comes as the protocol after this one, which is the answer. */
const BEARER = 'Bearer'

export interface HttpAllowed {
  readonly corsOrigins: readonly string[]
  readonly hostWhitelist: readonly string[]
}

export interface WebSockets {
  /** Cuts those that are left. */
  readonly close: () => void
}

/** The gateway's streams over WebSockets, one JSON message per frame. */
export function addWebSockets(server: Server, edge: Edge, allowed: HttpAllowed): WebSockets {
  const streams = new Map(
    REGISTRY.flatMap(rpc => (rpc.kind === 'stream' ? rpc.rpc.gateway.map(path => [path, rpc] as const) : [])),
  )
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: true,
    perMessageDeflate: false,
    maxPayload: bodyBytesMax(edge.limits.requestBytesMax),
    handleProtocols: offered => (offered.has(BEARER) ? BEARER : false),
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket')
      return asPlainRequest(server, request, socket, head)
    const rpc = streams.get(pathOf(request))
    if (rpc === undefined) return refuseUpgrade(socket, 404)
    if (!isHostListed(request, allowed.hostWhitelist)) return refuseUpgrade(socket, 421)
    if (!isAllowed(request.headers.origin, allowed.corsOrigins)) return refuseUpgrade(socket, 403)
    takeToken(request)
    sockets.handleUpgrade(request, socket, head, client => pump(edge, rpc, request, client))
  })
  return {
    close: () => {
      for (const client of sockets.clients) client.terminate()
      sockets.close()
    },
  }
}

const pathOf = (request: IncomingMessage): string =>
  (request.url ?? '/').split('?', 1)[0]!.replace(/^\/v3beta\//, '/v3/')

/** CORS does not bind WebSockets, so that the server itself must look. Programs send no origin. */
const isAllowed = (origin: string | undefined, origins: readonly string[]): boolean =>
  origin === undefined || origins.includes('*') || origins.includes(origin)

function takeToken({ headers }: IncomingMessage): void {
  const [scheme, token] = (headers['sec-websocket-protocol'] ?? '').split(',').map(part => part.trim())
  if (scheme === BEARER && token !== undefined && token !== '') headers.authorization = `${BEARER} ${token}`
}

/** A client that would like another protocol, HTTP/2 mostly, gets its answer in this one. */
function asPlainRequest(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const lines = [`${request.method ?? 'GET'} ${request.url ?? '/'} HTTP/${request.httpVersion}`]
  const { rawHeaders } = request
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!
    if (!/^(connection|upgrade|http2-settings)$/i.test(name)) lines.push(`${name}: ${rawHeaders[at + 1]!}`)
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
  server.emit('connection', socket)
}

function refuseUpgrade(socket: Duplex, status: number): void {
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
  )
}

/** A WebSocket has no half-closed state: when the client closes, its stream is over. */
function pump(edge: Edge, rpc: AnyStream, request: IncomingMessage, client: WebSocket): void {
  const write = (value: object, taken?: () => void): void => {
    const text = JSON.stringify(value)
    edge.metrics.calls.sent(text.length)
    client.send(text, taken)
  }
  const open = openStream(edge, rpc, {
    meta: metaOf(request),
    decode: input => {
      if (input instanceof MalformedError) throw input
      return rpc.request.fromJson(input)
    },
    write: (message, taken) => write({ result: rpc.response.toJson(message as never) }, taken),
    end: error => {
      if (error !== null) write(gatewayStreamError(errorFor(error)))
      client.close()
    },
    flow: reading => (reading ? client.resume() : client.pause()),
  })
  client.on('message', (data: Buffer) => {
    edge.metrics.calls.received(data.length)
    open.receive(parsed(data))
  })
  client.on('close', open.cancelled)
  client.on('error', open.cancelled)
}

/** What is not JSON is handed on as its error, so that the stream refuses it like any other bad message. */
function parsed(data: Buffer): unknown {
  try {
    return parseJsonBytes(data)
  } catch (error) {
    if (error instanceof MalformedError) return error
    throw error
  }
}
