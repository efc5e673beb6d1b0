import { parseAutoCompaction } from './autoCompaction.js'
import { parseAuthToken } from './authToken.js'
import type { InitialMember, ServerConfig } from './config.js'
import { accepted, rejected, type Parsed } from './flag.js'
import type { FlagValues } from './flags.js'
import { splitKeysProblem } from './splitKeys.js'
import { plainPeers, validateTls } from './validateTls.js'
import { namesHost, parseAdvertisedUrl, parseListenUrl, type NodeUrl } from './urls.js'

/** Election timeouts after which a member may be taken for dead at the earliest. */
const DEAD_ELECTIONS_MIN = 5

/** Values that are right one by one, made into a configuration that is right as a whole. */
export function validate(values: FlagValues): Parsed<ServerConfig> {
  if (!/^[^=,\s]+$/.test(values.name))
    return rejected('--name must not be empty or hold a comma, an equals sign or a space.')
  if (values['election-timeout'] < 5 * values['heartbeat-interval'])
    return rejected(
      `--election-timeout (${values['election-timeout']}ms) must be at least 5 times ` +
        `--heartbeat-interval (${values['heartbeat-interval']}ms).`,
    )
  if (values['dead-node-after'] < DEAD_ELECTIONS_MIN * values['election-timeout'])
    return rejected(
      `--dead-node-after (${values['dead-node-after']}ms) must be at least ${DEAD_ELECTIONS_MIN} times ` +
        `--election-timeout (${values['election-timeout']}ms): a restart must not copy everything.`,
    )
  const listenClient = parseUrls('--listen-client-urls', values['listen-client-urls'], parseListenUrl)
  if (!listenClient.ok) return listenClient
  const listenPeer = parseUrls('--listen-peer-urls', values['listen-peer-urls'], parseListenUrl)
  if (!listenPeer.ok) return listenPeer
  const advertiseClient = advertised('client', values['advertise-client-urls'], listenClient.value)
  if (!advertiseClient.ok) return advertiseClient
  const advertisePeer = advertised('peer', values['initial-advertise-peer-urls'], listenPeer.value)
  if (!advertisePeer.ok) return advertisePeer
  const advertisePeerUrls = hrefs(advertisePeer.value)
  const zero = advertisePeer.value.find(url => url.endpoint.port === 0)
  if (zero !== undefined)
    return rejected(`--initial-advertise-peer-urls: "${zero.href}" names no port that others could dial.`)
  const initialCluster =
    values['initial-cluster'].length === 0
      ? accepted([{ name: values.name, peerUrls: advertisePeerUrls }])
      : parseInitialCluster(values['initial-cluster'])
  if (!initialCluster.ok) return initialCluster
  const misfit = checkSelf(values.name, advertisePeerUrls, initialCluster.value)
  if (misfit !== null) return rejected(misfit)
  const listenHttp = moreUrls('--listen-client-http-urls', values['listen-client-http-urls'])
  if (!listenHttp.ok) return listenHttp
  const listenMetrics = moreUrls('--listen-metrics-urls', values['listen-metrics-urls'])
  if (!listenMetrics.ok) return listenMetrics
  const splitKeys = values['initial-split-keys']
  const misplaced = splitKeysProblem(splitKeys, initialCluster.value.length, values.replicas)
  if (misplaced !== null) return rejected(misplaced)
  const tls = validateTls(
    values,
    [...listenClient.value, ...listenHttp.value, ...listenMetrics.value],
    listenPeer.value,
  )
  if (!tls.ok) return tls
  const clusterUrls = initialCluster.value.flatMap(({ peerUrls }) => peerUrls)
  const plain = plainPeers(listenPeer.value, advertisePeer.value, clusterUrls, tls.value.peerTls)
  if (!plain.ok) return plain
  if (values['require-peer-tls'] && plain.value.length > 0)
    return rejected(`--require-peer-tls refuses peer URLs without TLS: ${plain.value.join(', ')}.`)
  const tokens = parseAuthToken(values['auth-token'], values['auth-token-ttl'])
  if (!tokens.ok) return tokens
  const autoCompaction = parseAutoCompaction(
    values['auto-compaction-mode'],
    values['auto-compaction-retention'],
  )
  if (!autoCompaction.ok) return autoCompaction
  return accepted({
    name: values.name,
    dataDir: values['data-dir'] === '' ? `${values.name}.kvorum` : values['data-dir'],
    listenClient: listenClient.value.map(url => url.endpoint),
    advertiseClientUrls: hrefs(advertiseClient.value),
    listenHttp: listenHttp.value.map(url => url.endpoint),
    listenMetrics: listenMetrics.value.map(url => url.endpoint),
    listenPeer: listenPeer.value.map(url => url.endpoint),
    advertisePeerUrls,
    ...tls.value,
    plainPeerUrls: plain.value,
    initialCluster: initialCluster.value,
    initialClusterState: values['initial-cluster-state'],
    initialClusterToken: values['initial-cluster-token'],
    initialSplitKeys: splitKeys,
    replicas: values.replicas,
    deadNodeAfterMs: values['dead-node-after'],
    shardSplitBytes: values['shard-split-size'],
    strictReconfigCheck: values['strict-reconfig-check'],
    heartbeatMs: values['heartbeat-interval'],
    electionTimeoutMs: values['election-timeout'],
    snapshotCount: values['snapshot-count'],
    maxRequestBytes: values['max-request-bytes'],
    maxTxnOps: values['max-txn-ops'],
    maxConcurrentStreams: values['max-concurrent-streams'],
    maxConnections: values['max-connections'],
    maxConnectionsPerHost: values['max-connections-per-host'],
    maxPendingRequests: values['max-pending-requests'],
    maxWatchersPerStream: values['max-watchers-per-stream'],
    maxRequestsPerUser: values['max-requests-per-user'],
    maxWatchersPerUser: values['max-watchers-per-user'],
    maxGrantsPerUser: values['max-lease-grants-per-user'],
    maxLeases: values['max-leases'],
    keepaliveIntervalMs: values['grpc-keepalive-interval'],
    keepaliveTimeoutMs: values['grpc-keepalive-timeout'],
    catchUpEntries: values['snapshot-catchup-entries'],
    watchProgressMs: values['watch-progress-notify-interval'],
    slowRequestMs: values['warning-unary-request-duration'],
    slowApplyMs: values['experimental-warning-apply-duration'],
    maintenance: {
      quotaBytes: values['quota-backend-bytes'],
      autoDisarmNoSpace: values['auto-disarm-nospace'],
      autoCompaction: autoCompaction.value,
      corruptCheck: {
        atStart: values['experimental-initial-corrupt-check'],
        everyMs: values['experimental-corrupt-check-time'],
        afterCompactionMs: values['experimental-compact-hash-check-enabled']
          ? values['experimental-compact-hash-check-time']
          : 0,
      },
    },
    corsOrigins: orAny(values.cors),
    hostWhitelist: orAny(values['host-whitelist']),
    tokens: tokens.value,
    auditLog: values['audit-log'],
    logLevel: values['log-level'],
    logFormat: values['log-format'],
  })
}

/** As in etcd, an empty list means any. */
const orAny = (items: readonly string[]): readonly string[] => (items.length === 0 ? ['*'] : items)

/** URLs that need not be given. */
const moreUrls = (flag: string, given: readonly string[]): Parsed<readonly NodeUrl[]> =>
  given.length === 0 ? accepted([]) : parseUrls(flag, given, parseListenUrl)

const hrefs = (urls: readonly NodeUrl[]): string[] => [...new Set(urls.map(url => url.href))].sort()

function parseUrls(
  flag: string,
  given: readonly string[],
  parse: (text: string) => Parsed<NodeUrl>,
): Parsed<readonly NodeUrl[]> {
  if (given.length === 0) return rejected(`${flag} must name at least one URL.`)
  const urls: NodeUrl[] = []
  for (const item of given) {
    const url = parse(item)
    if (!url.ok) return rejected(`${flag}: ${url.reason}`)
    urls.push(url.value)
  }
  return accepted(urls)
}

function advertised(
  side: 'client' | 'peer',
  given: readonly string[],
  listen: readonly NodeUrl[],
): Parsed<readonly NodeUrl[]> {
  const flag = side === 'client' ? '--advertise-client-urls' : '--initial-advertise-peer-urls'
  if (given.length > 0) return parseUrls(flag, given, parseAdvertisedUrl)
  return listen.every(namesHost)
    ? accepted(listen)
    : rejected(`${flag} is needed because --listen-${side}-urls names every interface, not a host.`)
}

/** "a=http://1.1.1.1:2380,a=http://1.1.1.2:2380,b=...": a name may come several times. */
function parseInitialCluster(items: readonly string[]): Parsed<readonly InitialMember[]> {
  const members = new Map<string, string[]>()
  const owners = new Map<string, string>()
  for (const item of items) {
    const at = item.indexOf('=')
    if (at < 1) return rejected(`--initial-cluster: "${item}" must be name=url.`)
    const name = item.slice(0, at)
    const url = parseAdvertisedUrl(item.slice(at + 1))
    if (!url.ok) return rejected(`--initial-cluster: ${url.reason}`)
    const owner = owners.get(url.value.href)
    if (owner !== undefined) return rejected(`--initial-cluster names ${url.value.href} twice.`)
    owners.set(url.value.href, name)
    members.set(name, [...(members.get(name) ?? []), url.value.href].sort())
  }
  return accepted(
    [...members].map(([name, peerUrls]) => ({ name, peerUrls })).sort((a, b) => (a.name < b.name ? -1 : 1)),
  )
}

function checkSelf(
  name: string,
  peerUrls: readonly string[],
  cluster: readonly InitialMember[],
): string | null {
  const self = cluster.find(member => member.name === name)
  if (self === undefined) return `--initial-cluster must contain this node, "${name}".`
  return self.peerUrls.join() === peerUrls.join()
    ? null
    : `--initial-cluster gives "${name}" the peer URLs ${self.peerUrls.join(',')}, ` +
        `but --initial-advertise-peer-urls are ${peerUrls.join(',')}.`
}
