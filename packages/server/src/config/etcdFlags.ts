import { meaningless, refused, type Flag } from './flag.js'

const NO_V2 = 'the v2 API and its proxy are not part of this server'
const NO_BBOLT = 'the state store is not bbolt and decides that by itself'
const NO_DISCOVERY = 'name the members with --initial-cluster'
const NO_TRACING = 'slow requests are logged with their parts, and metrics tell the rest'
const KEEPS_BY_POSITION = 'old files are removed as soon as nothing needs them'
const NEW_LEASE_TIME = 'a new leader gives every lease its full time again'
const BATCHED = 'what one turn brings is written together'

/** etcd's flags that have no meaning here, or ask for what this server does not do. */
export const ETCD_FLAGS = {
  'wal-dir': refused('value', 'the log is kept inside the data directory, whose lock guards both'),
  'max-snapshots': meaningless('value', KEEPS_BY_POSITION),
  'max-wals': meaningless('value', KEEPS_BY_POSITION),
  'backend-bbolt-freelist-type': meaningless('value', NO_BBOLT),
  'experimental-backend-bbolt-freelist-type': meaningless('value', NO_BBOLT),
  'backend-batch-interval': meaningless('value', BATCHED),
  'backend-batch-limit': meaningless('value', BATCHED),
  'initial-election-tick-advance': meaningless('bool', 'the first election waits for its timeout once'),
  'raft-read-timeout': meaningless('value', 'a silent connection between members is replaced after 5s'),
  'raft-write-timeout': meaningless('value', 'a silent connection between members is replaced after 5s'),
  'socket-reuse-port': refused('bool', 'two servers on one port would hide each other'),
  'socket-reuse-address': meaningless('bool', 'the address is always reusable after a restart'),
  'enable-grpc-gateway': meaningless('bool', 'the JSON gateway is always on'),
  discovery: refused('value', NO_DISCOVERY),
  'discovery-fallback': meaningless('value', NO_DISCOVERY),
  'discovery-proxy': meaningless('value', NO_DISCOVERY),
  'discovery-srv': refused('value', NO_DISCOVERY),
  'discovery-srv-name': meaningless('value', NO_DISCOVERY),
  'enable-v2': refused('bool', NO_V2),
  'experimental-enable-v2v3': refused('value', NO_V2),
  'v2-deprecation': meaningless('value', NO_V2),
  proxy: refused('value', NO_V2, ['off']),
  'proxy-failure-wait': meaningless('value', NO_V2),
  'proxy-refresh-interval': meaningless('value', NO_V2),
  'proxy-dial-timeout': meaningless('value', NO_V2),
  'proxy-write-timeout': meaningless('value', NO_V2),
  'proxy-read-timeout': meaningless('value', NO_V2),
  'enable-pprof': refused('bool', 'profiles are taken with the tools of Node.js'),
  metrics: meaningless('value', 'histograms are always exported'),
  logger: meaningless('value', 'logs are JSON or text, see --log-format'),
  'log-outputs': refused('value', 'logs go to the standard error', ['default', 'stderr']),
  'log-package-levels': meaningless('value', 'one --log-level holds for all rooms'),
  debug: meaningless('bool', 'use --log-level=debug'),
  'enable-log-rotation': refused('bool', 'logs go to the standard error; rotate them where they are kept'),
  'log-rotation-config-json': meaningless('value', 'logs go to the standard error'),
  'experimental-enable-distributed-tracing': refused('bool', NO_TRACING),
  'experimental-distributed-tracing-address': meaningless('value', NO_TRACING),
  'experimental-distributed-tracing-service-name': meaningless('value', NO_TRACING),
  'experimental-distributed-tracing-instance-id': meaningless('value', NO_TRACING),
  'experimental-distributed-tracing-sampling-rate': meaningless('value', NO_TRACING),
  'experimental-compaction-batch-limit': meaningless('value', 'compaction works page by page between turns'),
  'experimental-compaction-sleep-interval': meaningless(
    'value',
    'compaction gives way to requests by itself',
  ),
  'experimental-txn-mode-write-with-shared-buffer': meaningless('bool', 'reads never copy the buffer'),
  'experimental-bootstrap-defrag-threshold-megabytes': meaningless('value', 'there is nothing to defragment'),
  'experimental-enable-lease-checkpoint': meaningless('bool', NEW_LEASE_TIME),
  'experimental-enable-lease-checkpoint-persist': meaningless('bool', NEW_LEASE_TIME),
  'experimental-wait-cluster-ready-timeout': meaningless(
    'value',
    'requests are answered from the start, if only with "no leader"',
  ),
  'bcrypt-cost': meaningless('value', 'passwords are hashed with scrypt'),
  'force-new-cluster': refused('bool', 'a snapshot is restored instead, with kvorum snapshot restore'),
  'experimental-memory-mlock': refused('bool', 'memory of this process cannot be locked'),
  'experimental-stop-grpc-service-on-defrag': meaningless('bool', 'there is nothing to defragment'),
  'experimental-downgrade-check-time': meaningless('value', 'downgrades are not carried out'),
} as const satisfies Readonly<Record<string, Flag<unknown>>>
