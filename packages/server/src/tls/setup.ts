import type { PeerTls } from '@kvorum/peer'
import type { ServerConfig } from '../config/config.js'
import { accepted, type Parsed } from '../config/flag.js'
import type { PortTls } from '../edge/port.js'
import type { Logger } from '../logging.js'
import { peerTlsOf } from './options.js'
import { portTlsOf } from './port.js'
import { CertificateSource, type SourceStatus } from './source.js'

/** What a server has of TLS, for clients and for members. */
export interface TlsSetup {
  readonly port: PortTls | null
  readonly peers: PeerTls | null
  /** Calls can tell who the client is by its certificate. */
  readonly namesUsers: boolean
  readonly status: () => TlsStatus
  readonly close: () => void
}

export interface TlsStatus {
  readonly sources: readonly SourceStatus[]
  /** Connections of clients that came to nothing. */
  readonly failedHandshakes: number
  readonly plainPeerUrls: number
}

export const NO_TLS: TlsStatus = { sources: [], failedHandshakes: 0, plainPeerUrls: 0 }

/** Reads all certificates, or says in a sentence what is wrong with them. */
export async function setUpTls(config: ServerConfig, logger: Logger): Promise<Parsed<TlsSetup>> {
  const sources: CertificateSource[] = []
  for (const side of [config.clientTls, config.peerTls]) {
    if (side === null) continue
    const source = await CertificateSource.open(side, config.dataDir, logger)
    if (!source.ok) {
      for (const opened of sources) opened.close()
      return source
    }
    sources.push(source.value)
  }
  warn(config, logger)
  const client = sources.find(source => source.config.side === 'client')
  const peer = sources.find(source => source.config.side === 'peer')
  let failedHandshakes = 0
  return accepted({
    port: client === undefined ? null : portTlsOf(client, logger, () => failedHandshakes++),
    peers: peer === undefined ? null : peerTlsOf(peer),
    namesUsers: config.clientTls?.namesUsers ?? false,
    status: () => ({
      sources: sources.map(source => source.status),
      failedHandshakes,
      plainPeerUrls: config.plainPeerUrls.length,
    }),
    close: () => {
      for (const source of sources) source.close()
    },
  })
}

function warn({ clientTls, peerTls, plainPeerUrls, listenClient }: ServerConfig, logger: Logger): void {
  if (plainPeerUrls.length > 0)
    logger.warn(
      { urls: plainPeerUrls },
      'PEER TRAFFIC IS NOT ENCRYPTED: whoever reaches these URLs can read and change everything; ' +
        'use --peer-cert-file, --peer-key-file and --peer-trusted-ca-file, and --require-peer-tls to insist',
    )
  if (peerTls !== null && peerTls.caFile === null)
    logger.warn({}, 'members are not verified: without --peer-trusted-ca-file anybody may pass for one')
  if (clientTls?.caFile != null && listenClient.some(endpoint => !endpoint.secure))
    logger.warn({}, 'clients of the http URLs in --listen-client-urls are asked for no certificate')
}
