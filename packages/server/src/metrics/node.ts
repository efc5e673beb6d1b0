import { Gauge, Counter, type Registry } from 'prom-client'
import type { KvNode, NodeStatus } from '@kvorum/model'
import type { MetricSources } from './index.js'
import { ETCD_API_VERSION, ETCD_CLUSTER_VERSION, KVORUM_VERSION } from '../version.js'

type Reading = (status: NodeStatus) => number
const flag = (value: boolean): number => (value ? 1 : 0)

/** What the node says about itself, under etcd's names where the meaning is the same. */
const READINGS: readonly (readonly [name: string, help: string, read: Reading])[] = [
  ['etcd_server_has_leader', 'Whether this node knows a leader.', status => flag(status.leader !== 0n)],
  ['etcd_server_is_learner', 'Whether this node is a learner.', status => flag(status.learner)],
  ['etcd_server_proposals_committed_total', 'Highest committed index.', status => status.committed],
  ['etcd_server_proposals_applied_total', 'Highest applied index.', status => status.applied],
  ['etcd_mvcc_db_total_size_in_bytes', 'Bytes of the state store on disk.', status => status.diskBytes],
  [
    'etcd_mvcc_db_total_size_in_use_in_bytes',
    'Logical bytes of keys and values.',
    status => status.logicalBytes,
  ],
  [
    'etcd_debugging_mvcc_db_total_size_in_bytes',
    'Bytes of the state store on disk.',
    status => status.diskBytes,
  ],
  [
    'etcd_debugging_mvcc_compact_revision',
    'Revision that was compacted last; -1 where none was.',
    status => Math.max(0, ...status.groups.map(group => group.compactRevision)) || -1,
  ],
  ['etcd_server_quota_backend_bytes', 'The quota; 0: there is none.', status => status.quotaBytes],
  ['etcd_debugging_mvcc_current_revision', 'Current revision of the store.', status => status.revision],
  [
    'etcd_debugging_mvcc_keys_total',
    'Keys that have a value; not a number where this node does not have all shards.',
    ({ counters }) => counters['mvccKeys'] ?? NaN,
  ],
  ['kvorum_term', 'Term of the meta group.', status => status.term],
  ['kvorum_ready', 'Whether this node may serve.', status => flag(status.ready)],
  ['kvorum_groups', 'Raft groups on this node.', status => status.groups.length],
  [
    'kvorum_groups_led',
    'Raft groups this node leads.',
    status => status.groups.filter(group => group.isLeader).length,
  ],
  [
    'kvorum_groups_quarantined',
    'Raft groups on this node that are set aside because of damage.',
    status => status.groups.filter(group => group.quarantined).length,
  ],
  [
    'kvorum_peers_connected',
    'Other nodes this node is connected to.',
    status => status.peers.filter(peer => peer.connected).length,
  ],
  [
    'kvorum_peer_queued_bytes',
    'Bytes waiting to be sent to other nodes.',
    status => status.peers.reduce((sum, peer) => sum + peer.queuedBytes, 0),
  ],
]

/** Counters of the node that etcd has under names of its own; the others get the prefix `kvorum_`. */
const ETCD_NAMES: Readonly<Record<string, readonly string[]>> = {
  leader_changes: ['etcd_server_leader_changes_seen_total'],
  leases_expired: ['etcd_server_lease_expired_total', 'etcd_debugging_server_lease_expired_total'],
  proposals_failed: ['etcd_server_proposals_failed_total'],
  proposals_pending: ['etcd_server_proposals_pending'],
  slow_applies: ['etcd_server_slow_apply_total'],
  mvcc_puts: ['etcd_mvcc_put_total', 'etcd_debugging_mvcc_put_total'],
  mvcc_put_bytes: ['etcd_debugging_mvcc_total_put_size_in_bytes'],
  mvcc_deletes: ['etcd_mvcc_delete_total', 'etcd_debugging_mvcc_delete_total'],
  mvcc_ranges: ['etcd_mvcc_range_total', 'etcd_debugging_mvcc_range_total'],
  mvcc_txns: ['etcd_mvcc_txn_total', 'etcd_debugging_mvcc_txn_total'],
  mvcc_compacted_versions: ['etcd_debugging_mvcc_db_compaction_keys_total'],
  watch_events: ['kvorum_watch_events_total', 'etcd_debugging_mvcc_events_total'],
  watch_streams: ['etcd_debugging_mvcc_watch_stream_total'],
  watchers: ['etcd_debugging_mvcc_watcher_total'],
  slow_watchers: ['etcd_debugging_mvcc_slow_watcher_total'],
}

/** What does not only grow, or is known under its plain name, is no counter in Prometheus' sense. */
const GAUGE = /_(max|seconds|bytes|pending|open|streams)$|watchers$/

export interface NodeMetrics {
  /** Takes a fresh reading of the node into the registry. */
  read(): void
}

export function createNodeMetrics(
  registry: Registry,
  node: KvNode,
  edge: Pick<MetricSources, 'leaderChanges' | 'pendingEvents'>,
): NodeMetrics {
  const registers = [registry]
  const gauges = READINGS.map(([name, help, read]) => ({ gauge: new Gauge({ name, help, registers }), read }))
  const isLeader = new Gauge({
    name: 'etcd_server_is_leader',
    help: 'Whether this node is the leader.',
    registers,
  })
  const pendingEvents = new Gauge({
    name: 'etcd_debugging_mvcc_pending_events_total',
    help: 'Events that watches have handed on and their connections have not taken yet.',
    registers,
  })
  const identity = (name: string, help: string, label: string, value: string): void =>
    new Gauge({ name, help, labelNames: [label], registers }).set({ [label]: value }, 1)
  identity('etcd_server_id', 'Id of this node.', 'server_id', node.self.toString(16))
  identity('etcd_server_version', 'Version of the etcd API served.', 'server_version', ETCD_API_VERSION)
  identity(
    'etcd_cluster_version',
    'Version of the cluster.',
    'cluster_version',
    ETCD_CLUSTER_VERSION.replace(/\.\d+$/, ''),
  )
  identity('kvorum_version', 'Version of kvorum.', 'version', KVORUM_VERSION)
  const counted = new Map<string, (value: number) => void>()
  return {
    read: () => {
      const status = node.status()
      for (const { gauge, read } of gauges) gauge.set(read(status))
      isLeader.set(flag(status.leader !== 0n && status.leader === node.self))
      pendingEvents.set(edge.pendingEvents())
      const { mvccKeys: _, ...ofNode } = status.counters
      const counters: Record<string, number> = {
        // Dashboards expect these, counted by the node or not.
        leaderChanges: edge.leaderChanges(),
        proposalsFailed: 0,
        proposalsPending: 0,
        ...ofNode,
      }
      for (const [name, value] of Object.entries(counters)) {
        let set = counted.get(name)
        if (set === undefined) counted.set(name, (set = metricOf(registry, name)))
        set(value)
      }
    },
  }
}

function metricOf(registry: Registry, counter: string): (value: number) => void {
  const snake = counter.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`).replace(/[^a-z0-9_]/g, '_')
  const plain = GAUGE.test(snake) ? `kvorum_${snake}` : `kvorum_${snake}_total`
  const help = `The node's ${snake.replaceAll('_', ' ')}.`
  const setters = (ETCD_NAMES[snake] ?? [plain]).map(name => {
    const options = { name, help, registers: [registry] }
    return GAUGE.test(snake) ? setGauge(new Gauge(options)) : setTotal(new Counter(options))
  })
  return value => {
    for (const set of setters) set(value)
  }
}

const setGauge = (gauge: Gauge) => (value: number) => gauge.set(value)

const setTotal = (total: Counter) => (value: number) => {
  total.reset()
  total.inc(value)
}
