import type { ConnectionOptions, PeerCertificate, TlsOptions } from 'node:tls'

/** What a listener needs of TLS. Changed files come as new options, without a restart. */
export interface ListenerTls {
  /** Of `tls.createServer`: protocols, whom to ask for a certificate, and the certificates at this moment. */
  readonly options: () => TlsOptions
  /** Calls `change` when the certificates are others; the result ends that. */
  readonly follow: (change: () => void) => () => void
}

/** How members speak TLS with each other. */
export interface PeerTls {
  readonly listener: ListenerTls
  /** For the next connection that is dialled. */
  readonly dial: () => ConnectionOptions
  /**
   * Why the bearer of this certificate may not speak for the member at these hosts; null: it may. Without a
   * certificate nothing was asked for.
   */
  readonly judge: (certificate: PeerCertificate | null, hosts: readonly string[]) => string | null
}
