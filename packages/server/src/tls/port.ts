import type { PeerCertificate, TLSSocket } from 'node:tls'
import type { PortTls } from '../edge/port.js'
import type { Logger } from '../logging.js'
import { judgeAllowed } from './judge.js'
import { listenerOptions } from './options.js'
import type { CertificateSource } from './source.js'

/** TLS of the client port. `failed` counts. */
export const portTlsOf = (source: CertificateSource, logger: Logger, failed: () => void): PortTls => ({
  options: () => listenerOptions(source),
  follow: change => source.follow(change),
  refusal: socket => {
    const certificate = keptCertificate(socket)
    // Asked for and verified in the handshake, wherever there is an authority.
    return source.config.caFile === null ? null : judgeAllowed(source.config, certificate)
  },
  onFailure: (remote, problem) => {
    failed()
    logger.debug({ remote, problem }, 'a TLS connection of a client came to nothing')
  },
})

/**
 * Every call asks its connection for the certificate, and reading one costs as much as a call. It cannot change:
 * renegotiation is off.
 */
function keptCertificate(socket: TLSSocket): PeerCertificate {
  const certificate = socket.getPeerCertificate()
  Object.defineProperty(socket, 'getPeerCertificate', { value: () => certificate })
  return certificate
}
