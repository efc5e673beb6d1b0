import { RawClient } from '@kvorum/client'
import { utf8 } from '@kvorum/model'
import { pb } from '@kvorum/protocol'
import type { Test } from 'tap'
import { certificates } from '../process/certificates.js'
import { Cluster } from '../process/cluster.js'
import type { ServerProcess } from '../process/serverProcess.js'

/** The ways into a cluster that every client of the suite is tried on. */
export const MODES = ['plain', 'plain, eight shards', 'TLS', 'mutual TLS', 'TLS with users'] as const
export type Mode = (typeof MODES)[number]

export interface Access {
  readonly mode: Mode
  readonly cluster: Cluster
  /** Files of PEM text. */
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
  /** Who asks, where somebody must. */
  readonly user: { readonly name: string; readonly password: string } | null
  /** Where a client of this mode finds a node. */
  url(node: ServerProcess): string
}

/** Cuts between the keys that the suite uses, also within its prefixes. */
const EIGHT_SHARDS = '--initial-split-keys=b,f,k2,l,n,p,w1'

/** Three real processes. */
export async function startAccess(t: Test, mode: Mode, flags: readonly string[] = []): Promise<Access> {
  if (mode === 'plain' || mode === 'plain, eight shards') {
    const cluster = await Cluster.start(t, { flags: mode === 'plain' ? flags : [...flags, EIGHT_SHARDS] })
    return { mode, cluster, ca: null, cert: null, key: null, user: null, url: ({ plan }) => plan.clientUrl }
  }
  const { path } = await certificates(t, { node: ['127.0.0.1', 'localhost'], client: [] })
  const mutual = mode === 'mutual TLS'
  const side = (name: string, auth: boolean): string[] => [
    `--${name}cert-file=${path('node.pem')}`,
    `--${name}key-file=${path('node.key')}`,
    ...(auth ? [`--${name}trusted-ca-file=${path('ca.pem')}`, `--${name}client-cert-auth`] : []),
  ]
  const cluster = await Cluster.start(t, { flags, tls: [...side('', mutual), ...side('peer-', true)] })
  const user = mode === 'TLS with users' ? ROOT : null
  if (user !== null) await enableUsers(cluster)
  return {
    mode,
    cluster,
    user,
    ca: path('ca.pem'),
    cert: mutual ? path('client.pem') : null,
    key: mutual ? path('client.key') : null,
    url: ({ plan }) => plan.secureUrl!,
  }
}

const ROOT = { name: 'root', password: 'the password of root' }
/** May read the keys that begin with `open/`, and nothing else. */
export const READER = { name: 'reader', password: 'another: with a colon' }

async function enableUsers(cluster: Cluster): Promise<void> {
  const client = new RawClient({ endpoints: cluster.endpoints, timeoutMs: 30_000 })
  const options = { no_password: false }
  const perm = { permType: pb.PermissionType.READ, key: utf8('open/'), range_end: utf8('open0') }
  await client.call('etcdserverpb.Auth/RoleAdd', { name: 'root' })
  await client.call('etcdserverpb.Auth/RoleAdd', { name: 'reader' })
  await client.call('etcdserverpb.Auth/RoleGrantPermission', { name: 'reader', perm })
  for (const { name, password } of [ROOT, READER]) {
    await client.call('etcdserverpb.Auth/UserAdd', { name, password, options })
    await client.call('etcdserverpb.Auth/UserGrantRole', { user: name, role: name })
  }
  await client.call('etcdserverpb.Auth/AuthEnable', {})
  const { token } = await client.call('etcdserverpb.Auth/Authenticate', ROOT)
  for (const node of cluster.nodes) node.token = token
  await client.close()
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
