import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { FastifyInstance } from 'fastify'

/**
 * Whether the host that a request names is on the list: it keeps web pages of other sites from asking this
 * server under a name of theirs. With TLS the certificate does that.
 */
export const isHostListed = ({ headers, socket }: IncomingMessage, whitelist: readonly string[]): boolean =>
  whitelist.includes('*') ||
  socket instanceof TLSSocket ||
  whitelist.includes((headers.host ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, ''))

export function addHostCheck(app: FastifyInstance, whitelist: readonly string[]): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (isHostListed(request.raw, whitelist)) return done()
    void reply
      .code(421)
      .type('text/plain; charset=utf-8')
      .send('the host of the request is not in --host-whitelist\n')
  })
}
