import { constants } from 'node:crypto'
import type { ConnectionOptions, SecureContextOptions, TlsOptions } from 'node:tls'
import type { PeerTls } from '@kvorum/peer'
import { judgeMember } from './judge.js'
import type { CertificateSource } from './source.js'

/**
 * A resumed session would skip the verification of a certificate that has been revoked since; renegotiation
 * lets a client make the server work.
 */
const SECURE_OPTIONS = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION

function contextOptions({ config, material }: CertificateSource): SecureContextOptions {
  return {
    ...(material.ca === null ? {} : { ca: material.ca }),
    ...(material.crl.length === 0 ? {} : { crl: [...material.crl] }),
    ...(config.ciphers === null ? {} : { ciphers: config.ciphers }),
    minVersion: config.minVersion,
    maxVersion: config.maxVersion,
  }
}

export const listenerOptions = (source: CertificateSource): TlsOptions => ({
  ...contextOptions(source),
  cert: source.material.cert,
  key: source.material.key,
  secureOptions: SECURE_OPTIONS,
  requestCert: source.config.caFile !== null,
  rejectUnauthorized: source.config.caFile !== null,
  // In the server's order: gRPC clients offer h2 alone; one that offers both is a web client, such as curl.
  ...(source.config.side === 'client' ? { ALPNProtocols: ['http/1.1', 'h2'] } : {}),
})

const dialOptions = (source: CertificateSource): ConnectionOptions => ({
  ...contextOptions(source),
  cert: source.material.dial.cert,
  key: source.material.dial.key,
  // Self-signed certificates keep listeners out, and prove nothing.
  rejectUnauthorized: source.config.certificate.kind === 'files',
})

export const peerTlsOf = (source: CertificateSource): PeerTls => ({
  listener: { options: () => listenerOptions(source), follow: change => source.follow(change) },
  dial: () => dialOptions(source),
  judge: (certificate, hosts) => judgeMember(source.config, certificate, hosts),
})
