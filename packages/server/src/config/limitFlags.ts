import { LIMITS } from '@kvorum/model'
import { duration, integer, list, meaningless, type Flag } from './flag.js'

/** What one client may take, and where else this server may be asked about itself. */
export const LIMIT_FLAGS = {
  'max-connections': integer(
    LIMITS.connectionsMax,
    { least: 1, most: 1_000_000 },
    'count',
    'Most connections of one client address that is listened on.',
  ),
  'max-connections-per-host': integer(
    LIMITS.connectionsPerHostMax,
    { least: 1, most: 1_000_000 },
    'count',
    'Most connections from one remote address to one address that is listened on.',
  ),
  'max-pending-requests': integer(
    LIMITS.pendingRequestsMax,
    { least: 1, most: LIMITS.pendingRequestsMax },
    'count',
    'Most requests under way; further ones are told that they are too many.',
  ),
  'max-watchers-per-stream': integer(
    LIMITS.watchersPerStreamMax,
    { least: 1, most: LIMITS.watchersPerStreamMax },
    'count',
    'Most watchers on one watch stream.',
  ),
  'max-requests-per-user': integer(
    LIMITS.requestsPerUserMax,
    { least: 1, most: LIMITS.pendingRequestsMax },
    'count',
    'Most requests under way of one user, where authentication is on.',
  ),
  'max-watchers-per-user': integer(
    LIMITS.watchersPerUserMax,
    { least: 1, most: 10_000_000 },
    'count',
    'Most open watches of one user, where authentication is on.',
  ),
  'max-lease-grants-per-user': integer(
    LIMITS.grantsPerUserMax,
    { least: 1, most: LIMITS.pendingRequestsMax },
    'count',
    'Most grants of leases under way of one user, where authentication is on.',
  ),
  'max-leases': integer(
    LIMITS.leasesMax,
    { least: 1, most: 10_000_000 },
    'count',
    'Most leases of the cluster; further ones are refused until others have ended.',
  ),
  'grpc-keepalive-min-time': meaningless('value', 'the pings of clients are answered and not counted'),
  'grpc-keepalive-interval': duration(
    '2h',
    0,
    'How often a silent gRPC client is asked whether it is there; 0s: never.',
  ),
  'grpc-keepalive-timeout': duration('20s', 1, 'How long it may take to answer.'),
  'host-whitelist': list(
    '*',
    'hosts',
    'Hosts that HTTP requests without TLS may name; others get status 421.',
  ),
  'listen-client-http-urls': list('', 'urls', 'Where to answer HTTP alone, besides --listen-client-urls.'),
  'listen-metrics-urls': list('', 'urls', 'Where to answer /metrics and health checks alone, besides.'),
  'snapshot-catchup-entries': integer(
    LIMITS.catchUpEntries,
    { least: 1, most: 1_000_000 },
    'entries',
    'Applied log entries kept for members that are a little late.',
  ),
} as const satisfies Readonly<Record<string, Flag<unknown>>>
