import type { Test } from 'tap'
import { certificates } from '../process/certificates.js'
import { Cluster } from '../process/cluster.js'
import type { ServerProcess } from '../process/serverProcess.js'

/** The ways into a cluster that every client of the suite is tried on. */
export const MODES = ['plain', 'TLS', 'mutual TLS'] as const
export type Mode = (typeof MODES)[number]

export interface Access {
  readonly mode: Mode
  readonly cluster: Cluster
  /** Files of PEM text. */
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
  /** Where a client of this mode finds a node. */
  url(node: ServerProcess): string
}

/** Three real processes. */
export async function startAccess(t: Test, mode: Mode, flags: readonly string[] = []): Promise<Access> {
  if (mode === 'plain') {
    const cluster = await Cluster.start(t, { flags })
    return { mode, cluster, ca: null, cert: null, key: null, url: ({ plan }) => plan.clientUrl }
  }
  const { path } = await certificates(t, { node: ['127.0.0.1', 'localhost'], client: [] })
  const mutual = mode === 'mutual TLS'
  const side = (name: string, auth: boolean): string[] => [
    `--${name}cert-file=${path('node.pem')}`,
    `--${name}key-file=${path('node.key')}`,
    ...(auth ? [`--${name}trusted-ca-file=${path('ca.pem')}`, `--${name}client-cert-auth`] : []),
  ]
  const cluster = await Cluster.start(t, { flags, tls: [...side('', mutual), ...side('peer-', true)] })
  return {
    mode,
    cluster,
    ca: path('ca.pem'),
    cert: mutual ? path('client.pem') : null,
    key: mutual ? path('client.key') : null,
    url: ({ plan }) => plan.secureUrl!,
  }
}

export const hostsOf = (access: Access, nodes = access.cluster.nodes): string[] =>
  nodes.map(node => new URL(access.url(node)).host)

/** A follower, and the leader, of this moment. */
export async function roles({
  cluster,
}: Access): Promise<{ leader: ServerProcess; follower: ServerProcess }> {
  const leader = await cluster.leader()
  return { leader, follower: cluster.others(leader)[0]! }
}
