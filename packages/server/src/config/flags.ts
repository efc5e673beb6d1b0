import { LIMITS } from '@kvorum/model'
import { AUTH_FLAGS } from './authFlags.js'
import { ETCD_FLAGS } from './etcdFlags.js'
import { bool, choice, duration, integer, list, text, type Flag } from './flag.js'
import { LIMIT_FLAGS } from './limitFlags.js'
import { TLS_FLAGS } from './tlsFlags.js'
import { MAINTENANCE_FLAGS } from './maintenanceFlags.js'
import { SHARD_FLAGS } from './shardFlags.js'

/** What a server is, where it listens, and with whom. */
const MEMBER_FLAGS = {
  name: text('default', 'name', 'Name of this node, unique in the cluster.'),
  'data-dir': text('', 'dir', 'Where this node keeps everything. Default: NAME.kvorum.'),
  'listen-client-urls': list(
    'http://localhost:2379',
    'urls',
    'Where to answer clients (gRPC and HTTP on one port).',
  ),
  'advertise-client-urls': list(
    '',
    'urls',
    'Client URLs told to the cluster. Default: --listen-client-urls, if they name a host.',
  ),
  'listen-peer-urls': list('http://localhost:2380', 'urls', 'Where to listen for other nodes.'),
  'initial-advertise-peer-urls': list(
    '',
    'urls',
    'Peer URLs told to the cluster. Default: --listen-peer-urls, if they name a host.',
  ),
  'initial-cluster': list(
    '',
    'name=url,...',
    'The members of a new cluster. Default: this node with its advertised peer URLs.',
  ),
  'initial-cluster-state': choice(
    ['new', 'existing'],
    'new',
    'Whether this start creates a cluster or joins one.',
  ),
  'initial-cluster-token': text(
    'etcd-cluster',
    'token',
    'Keeps clusters apart that were made from the same URLs.',
  ),
  'strict-reconfig-check': bool(true, 'Refuse changes of the members that would endanger the quorum.'),
  'heartbeat-interval': integer(
    100,
    { least: 5, most: 10_000 },
    'ms',
    'Milliseconds between heartbeats of a leader.',
  ),
  'election-timeout': integer(
    1000,
    { least: 25, most: 50_000 },
    'ms',
    'Milliseconds without a leader before an election; at least 5 heartbeats.',
  ),
  'snapshot-count': integer(
    10_000,
    { least: 1, most: 10_000_000 },
    'entries',
    'Applied entries after which old log entries may be purged.',
  ),
  'max-request-bytes': integer(
    LIMITS.requestBytesMax,
    { least: 1024, most: LIMITS.inflightBytesMax },
    'bytes',
    'Largest client request.',
  ),
  'max-txn-ops': integer(
    LIMITS.txnOpsMax,
    { least: 1, most: 10_000 },
    'count',
    'Most operations, or compares, in one transaction.',
  ),
  'max-concurrent-streams': integer(
    LIMITS.streamsPerConnectionMax,
    { least: 1, most: 1_000_000 },
    'count',
    'Most open gRPC streams on one connection.',
  ),
  'watch-progress-notify-interval': duration(
    '10m',
    100,
    'How often an idle watcher that asked for it is told the revision.',
  ),
  'warning-unary-request-duration': duration('300ms', 1, 'Requests that take longer are logged.'),
  cors: list('*', 'origins', 'Origins that browsers may call from.'),
  'pre-vote': bool(true, 'Always on: a node asks before it disturbs a leader.', {
    only: true,
    why: 'cannot be turned off: elections without it let one slow node disturb a healthy cluster',
  }),
  'unsafe-no-fsync': bool(false, 'Refused: an acknowledged write would not be durable.', {
    only: false,
    why: 'is refused: without fsync an acknowledged write can be lost, and that is a promise of this server',
  }),
  'log-level': choice(['debug', 'info', 'warn', 'error', 'fatal'], 'info', 'Least severe messages to log.'),
  'log-format': choice(['json', 'console'], 'json', 'One JSON object per line, or text for people.'),
  'config-file': text('', 'file', 'A YAML file with these settings; every other flag is then ignored.'),
} as const satisfies Readonly<Record<string, Flag<unknown>>>

/** Every setting of a server. Adding one is a row of a table, a field of ServerConfig and, if needed, a rule. */
export const FLAGS = {
  ...MEMBER_FLAGS,
  ...LIMIT_FLAGS,
  ...TLS_FLAGS,
  ...AUTH_FLAGS,
  ...MAINTENANCE_FLAGS,
  ...SHARD_FLAGS,
  ...ETCD_FLAGS,
} as const

/** Those that have no effect here, or are refused. */
export const FOREIGN_FLAG_NAMES: readonly string[] = Object.keys(ETCD_FLAGS)

/** The order and the headings of `--help`. */
const HELP: readonly (readonly [heading: string, table: Readonly<Record<string, Flag<unknown>>>])[] = [
  ['Server:', MEMBER_FLAGS],
  ['Limits, and other doors:', LIMIT_FLAGS],
  ['TLS:', TLS_FLAGS],
  ['Users:', AUTH_FLAGS],
  ['Maintenance:', MAINTENANCE_FLAGS],
  ['Shards:', SHARD_FLAGS],
  ["etcd's flags that have no effect here, or are refused:", ETCD_FLAGS],
]

/** Other names of a flag: those it had while etcd called it experimental, and those etcd gave up. */
const ALIASES: Readonly<Record<string, keyof typeof FLAGS>> = {
  'experimental-watch-progress-notify-interval': 'watch-progress-notify-interval',
  'experimental-warning-unary-request-duration': 'warning-unary-request-duration',
  'warning-apply-duration': 'experimental-warning-apply-duration',
  'corrupt-check-time': 'experimental-corrupt-check-time',
  'compact-hash-check-time': 'experimental-compact-hash-check-time',
  'experimental-snapshot-catchup-entries': 'snapshot-catchup-entries',
}

export type FlagName = keyof typeof FLAGS
export type FlagValues = {
  readonly [Name in FlagName]: (typeof FLAGS)[Name] extends Flag<infer Value> ? Value : never
}

export const FLAG_NAMES = Object.keys(FLAGS) as FlagName[]

/** The flag that goes by this name or alias. */
export function flagNamed(name: string): FlagName | null {
  if (Object.hasOwn(FLAGS, name)) return name as FlagName
  return Object.hasOwn(ALIASES, name) ? ALIASES[name]! : null
}

/** The names under which a flag is looked up in the environment, the strongest one first. */
export function environmentNames(name: FlagName): readonly string[] {
  const names = [name, ...Object.keys(ALIASES).filter(alias => ALIASES[alias] === name)]
  return names.flatMap(each => {
    const suffix = each.toUpperCase().replaceAll('-', '_')
    return [`KVORUM_${suffix}`, `ETCD_${suffix}`]
  })
}

/** The text of `--help`. */
export function helpText(): string {
  return [
    'Usage: kvorum server [flags]',
    '',
    'Every flag is also read from the environment as KVORUM_NAME or ETCD_NAME (flags win), or all of them',
    'from one YAML file with --config-file.',
    '',
    ...HELP.flatMap(([heading, table]) => [heading, ...Object.entries(table).map(helpRow), '']),
    `Also taken: ${Object.entries(ALIASES)
      .map(([alias, name]) => `--${alias} for --${name}`)
      .join(', ')}.`,
    '',
  ].join('\n')
}

function helpRow([name, flag]: readonly [string, Flag<unknown>]): string {
  const usage = `  --${name}${flag.argument === '' ? '' : ` <${flag.argument}>`}`
  const fallback = flag.fallback === '' ? '' : ` (default ${flag.fallback})`
  const column = usage.length < 40 ? usage.padEnd(40) : `${usage}\n${' '.repeat(40)}`
  return `${column}${flag.help}${fallback}`
}
