import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { refuse } from '@kvorum/model'
import { gatewayError, wireError, type WireError } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'
import { ETCD_API_VERSION, ETCD_CLUSTER_VERSION, KVORUM_VERSION } from '../version.js'
import { addDebugVars } from './debug.js'
import { addGateway, sendError } from './gateway.js'
import { addHealth } from './health.js'
import { addHostCheck } from './host.js'
import { addWebSockets, type WebSockets } from './websocket.js'

/** HTTP/1.1 over sockets that somebody else accepted. */
export interface HttpFront {
  readonly accept: (socket: Socket) => void
  /** Ends connections that are between two requests. */
  readonly closeIdle: () => void
  readonly close: () => Promise<void>
}

const HEADERS_MS = 10_000
const IDLE_MS = 120_000

export interface HttpOptions {
  readonly corsOrigins: readonly string[]
  /** Hosts that requests without TLS may name; '*' is any. */
  readonly hostWhitelist: readonly string[]
}

/** Everything that is answered over HTTP/1.1. */
export async function createHttp(edge: Edge, options: HttpOptions): Promise<HttpFront> {
  const app = createApp()
  addHostCheck(app, options.hostWhitelist)
  addCors(app, options.corsOrigins)
  addGateway(app, edge)
  addHealth(app, edge)
  addDebugVars(app, edge)
  app.get('/version', () => ({
    etcdserver: ETCD_API_VERSION,
    etcdcluster: ETCD_CLUSTER_VERSION,
    kvorum: KVORUM_VERSION,
  }))
  await finish(app, edge)
  return front(app, addWebSockets(app.server, edge, options))
}

/** Metrics and health alone. */
export async function createMetricsHttp(edge: Edge): Promise<HttpFront> {
  const app = createApp()
  addHealth(app, edge)
  await finish(app, edge)
  return front(app, null)
}

function createApp(): FastifyInstance {
  const app = fastify({
    logger: false,
    rewriteUrl: request => (request.url ?? '/').replace(/^\/v3beta\//, '/v3/'),
    // A stream's request may take as long as it likes; the headers and other bodies may not (see body.ts).
    requestTimeout: 0,
    keepAliveTimeout: IDLE_MS,
    http: { headersTimeout: HEADERS_MS, connectionsCheckingInterval: 1000 },
    frameworkErrors: (_error, _request, reply) => void answer(reply, wireError('invalidArgument', 'bad URL')),
  })
  takeAnyBody(app)
  return app
}

async function finish(app: FastifyInstance, edge: Edge): Promise<void> {
  app.get('/metrics', async (_request, reply) =>
    reply.type(edge.metrics.contentType).send(await edge.metrics.render()),
  )
  app.setNotFoundHandler((request, reply) => nobody(app, request, reply))
  app.setErrorHandler((error, request, reply) => {
    edge.logger.error({ url: request.url, error: String(error) }, 'a request failed')
    return sendError(reply, refuse('internal', { outcome: 'unknown' }).error)
  })
  await app.ready()
}

function front(app: FastifyInstance, webSockets: WebSockets | null): HttpFront {
  const server = app.server as Server
  // Without this event, which a server that never listens does not get, headersTimeout is not enforced.
  server.emit('listening')
  return {
    accept: socket => server.emit('connection', socket),
    closeIdle: () => server.closeIdleConnections(),
    close: async () => {
      webSockets?.close()
      // Ends the periodic check too; the error says that the server never listened.
      server.close(() => {})
      server.closeAllConnections()
      await app.close()
    },
  }
}

/** Bodies are read by the routes, whatever their content type says or whether there is one, as in etcd. */
function takeAnyBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  app.addHook('onRequest', (request, _reply, done) => {
    delete request.raw.headers['content-type']
    done()
  })
}

function addCors(app: FastifyInstance, origins: readonly string[]): void {
  const any = origins.includes('*')
  app.addHook('onRequest', (request, reply, done) => {
    const { origin } = request.headers
    const allowed = any ? '*' : origins.find(candidate => candidate === origin)
    if (allowed !== undefined) {
      // On the raw answer, so that streams have them too.
      reply.raw.setHeader('access-control-allow-origin', allowed)
      reply.raw.setHeader('access-control-allow-methods', 'POST, GET, OPTIONS, PUT, DELETE')
      reply.raw.setHeader('access-control-allow-headers', 'accept, content-type, authorization')
      if (!any) reply.raw.setHeader('vary', 'origin')
    }
    if (request.method === 'OPTIONS') void reply.code(200).send()
    else done()
  })
}

/** No route: the path is not served, or not with this method. */
function nobody(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const url = request.url.split('?', 1)[0]!
  const allowed = (['GET', 'POST'] as const).filter(method => app.hasRoute({ method, url }))
  if (!request.raw.complete) void reply.header('connection', 'close')
  if (allowed.length > 0) {
    void reply.header('allow', allowed.join(', '))
    return answer(reply, { ...wireError('unimplemented', 'Method Not Allowed'), http: 405 })
  }
  if (/^\/(v3|kvorum)\//.test(url)) return answer(reply, wireError('notFound', 'Not Found'))
  return reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n')
}

const answer = (reply: FastifyReply, error: WireError): FastifyReply =>
  reply
    .code(error.http)
    .type('application/json')
    .send(JSON.stringify(gatewayError(error)))
