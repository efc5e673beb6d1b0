import { mkdirSync, mkdtempSync, chmodSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LIMITS } from '@kvorum/model'
import t from 'tap'
import {
  clusterIdOf,
  FLAG_NAMES,
  helpText,
  leaseTtlMin,
  loadConfig,
  memberIdOf,
  nodeSetup,
  SILENT,
  type ConfigOutcome,
} from '@kvorum/server'
import { prepareDataDirectory } from '#src/dataDirectory.js'
import { consoleLine, createLogger } from '#src/logging.js'
import { configOf } from './harness.js'

interface Sources {
  readonly environment?: Record<string, string>
  readonly files?: Record<string, string>
}

function load(argv: string[], { environment = {}, files = {} }: Sources = {}): ConfigOutcome {
  const readFile = (path: string): string => {
    const content = files[path]
    if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
    return content
  }
  return loadConfig({ argv, environment, readFile })
}

function refusal(argv: string[], sources?: Sources): string {
  const outcome = load(argv, sources)
  return outcome.kind === 'refuse' ? outcome.reason : `not refused: ${outcome.kind}`
}

function run(argv: string[], sources?: Sources) {
  const outcome = load(argv, sources)
  if (outcome.kind !== 'run') throw new Error(JSON.stringify(outcome))
  return outcome
}

t.test('defaults', async t => {
  const { config, warnings } = run([])
  t.strictSame(warnings, [])
  t.match(config, {
    name: 'default',
    dataDir: 'default.kvorum',
    listenClient: [{ host: 'localhost', port: 2379 }],
    advertiseClientUrls: ['http://localhost:2379'],
    listenPeer: [{ host: 'localhost', port: 2380 }],
    initialCluster: [{ name: 'default', peerUrls: ['http://localhost:2380'] }],
    initialClusterState: 'new',
    heartbeatMs: 100,
    electionTimeoutMs: 1000,
    maxRequestBytes: 1.5 * 1024 * 1024,
    maxTxnOps: 128,
    watchProgressMs: 600_000,
  })
  t.equal(leaseTtlMin(config), 2)
})

t.test('one flag, written in every way Go takes', async t => {
  for (const argv of [
    ['--name=n1'],
    ['-name=n1'],
    ['--name', 'n1'],
    ['-name', 'n1'],
    ['--name=x', '--name=n1'],
    ['--name=n1', '--'],
    ['--pre-vote', '--name', 'n1'],
    ['--pre-vote=true', '-unsafe-no-fsync=F', '--name', 'n1'],
  ])
    t.equal(run(argv).config.name, 'n1', argv.join(' '))
})

t.test('where a new cluster is cut into shards is taken', async t => {
  t.strictSame(run([]).config.initialSplitKeys, [])
  t.strictSame(run(['--initial-split-keys=h,p']).config.initialSplitKeys, ['h', 'p'])
  t.match(load(['--initial-split-keys=p,h']), { kind: 'refuse', reason: /sorted and name no key twice/ })
  t.match(load(['--initial-split-keys=h,h']), { kind: 'refuse', reason: /sorted and name no key twice/ })
  const many = Array.from({ length: LIMITS.shardsPerNodeMax }, (_, at) => String(1e6 + at)).join()
  t.match(load([`--initial-split-keys=${many}`]), { kind: 'refuse', reason: /2048 shards for each member/ })
  t.match(refusal(['--shard-operations']), 'There is no flag --shard-operations; see --help.')
})

t.test('replicas of each shard', async t => {
  t.equal(run([]).config.replicas, 0)
  t.match(run(['--replicas=3']), { config: { replicas: 3 }, warnings: [] })
  t.match(run(['--replicas=4']).warnings, [/^--replicas=4: .* no more members than with 3\.$/])
  for (const given of ['0', '-1', 'x', '8'])
    t.match(refusal([`--replicas=${given}`]), `--replicas must be a whole number from 1 to 7, not "${given}"`)
  const [three, five] = [3, 5].map(count => nodeSetup(run([`--replicas=${count}`]).config, SILENT, () => {}))
  t.not(three!.cluster, five!.cluster, 'founders that were told of other places do not meet')
  const { initialCluster, initialClusterToken, initialSplitKeys } = three!.config
  t.equal(three!.cluster, clusterIdOf(initialCluster, initialClusterToken, initialSplitKeys, 3))
})

t.test('when a missing member is taken for dead', async t => {
  t.equal(run([]).config.deadNodeAfterMs, 300_000)
  t.equal(run(['--dead-node-after=1m30s']).config.deadNodeAfterMs, 90_000)
  t.equal(run(['--dead-node-after=10s']).config.deadNodeAfterMs, 10_000)
  t.match(refusal(['--dead-node-after=9s']), /^--dead-node-after must be at least 10000ms/)
  t.match(
    refusal(['--dead-node-after=1m', '--election-timeout=20000']),
    /must be at least 5 times --election/,
  )
  t.equal(run(['--election-timeout=50000']).config.deadNodeAfterMs, 300_000, 'the default fits all')
  t.match(refusal(['--dead-node-after=soon']), /must be a duration/)
})

t.test('the size at which a shard is split by itself', async t => {
  t.equal(run([]).config.shardSplitBytes, null, 'as the cluster is')
  t.equal(run(['--shard-split-size=0']).config.shardSplitBytes, 0)
  t.equal(run(['--shard-split-size=1048576']).config.shardSplitBytes, 1_048_576)
  for (const given of ['1048575', '-1', '1GiB'])
    t.match(refusal([`--shard-split-size=${given}`]), /must be 0 or a whole number of bytes from 1048576 on/)
})

t.test('help and version are printed', async t => {
  for (const argv of [['--help'], ['-h'], ['--name=x', '-help']]) t.equal(load(argv).kind, 'print')
  for (const name of FLAG_NAMES) t.match(helpText(), `--${name}`)
  t.match(load(['--version']), { kind: 'print', text: /^kvorum \d+\.\d+\.\d+ \(etcd API 3\.5\.21\)\n$/ })
})

t.test('every refusal is one sentence', async t => {
  const cases: [string[], RegExp][] = [
    [['--nonsense'], /^There is no flag --nonsense; see --help\.$/],
    [['--nonsense=1'], /^There is no flag --nonsense/],
    [['server'], /^"server" is not a flag\.$/],
    [['--', 'x'], /^"x" is not a flag\.$/],
    [['---name=x'], /is not a flag/],
    [['--name'], /^--name needs a value\.$/],
    [['--name', ''], /^--name must not be empty/],
    [['--pre-vote=maybe'], /^--pre-vote must be true or false, not "maybe"\.$/],
    [['--pre-vote=false'], /^--pre-vote cannot be turned off/],
    [['--unsafe-no-fsync'], /^--unsafe-no-fsync is refused: .*acknowledged write can be lost/],
    [
      ['--heartbeat-interval=fast'],
      /^--heartbeat-interval must be a whole number from 5 to 10000, not "fast"\.$/,
    ],
    [['--heartbeat-interval=-1'], /must be a whole number/],
    [
      ['--heartbeat-interval=300'],
      /^--election-timeout \(1000ms\) must be at least 5 times --heartbeat-interval/,
    ],
    [['--election-timeout=60000'], /from 25 to 50000/],
    [['--initial-cluster-state=old'], /^--initial-cluster-state must be one of new, existing, not "old"\.$/],
    [['--log-level=loud'], /must be one of debug/],
    [['--watch-progress-notify-interval=50ms'], /must be at least 100ms/],
    [['--watch-progress-notify-interval=soon'], /must be a duration/],
    [['--listen-client-urls='], /^--listen-client-urls must name at least one URL\.$/],
    [['--listen-client-urls=unix://x:1'], /the scheme must be http or https/],
    [['--listen-client-urls=http://example.org:1'], /needs an IP address or localhost/],
    [['--listen-client-urls=http://127.0.0.1:70000'], /a port is at most 65535/],
    [['--listen-client-urls=http://127.0.0.1'], /must be scheme, host and port only/],
    [['--listen-client-urls=http://127.0.0.1:1/path'], /must be scheme, host and port only/],
    [['--listen-client-urls=http://u:p@127.0.0.1:1'], /must be scheme, host and port only/],
    [['--listen-client-urls=http://0.0.0.0:1'], /^--advertise-client-urls is needed/],
    [['--listen-peer-urls=http://[::]:1'], /^--initial-advertise-peer-urls is needed/],
    [['--advertise-client-urls=http://0.0.0.0:1'], /names no host that others could dial/],
    [['--initial-advertise-peer-urls=http://a:0'], /names no port that others could dial/],
    [['--initial-cluster=a'], /"a" must be name=url/],
    [['--initial-cluster=a=http://a:1'], /^--initial-cluster must contain this node, "default"\.$/],
    [['--initial-cluster=default=http://a:1,b=http://a:1'], /names http:\/\/a:1 twice/],
    [['--initial-cluster=default=http://a:1'], /gives "default" the peer URLs http:\/\/a:1, but/],
    [['--config-file=none.yaml'], /^The configuration file none\.yaml cannot be read \(ENOENT\)\.$/],
  ]
  for (const [argv, sentence] of cases) t.match(refusal(argv), sentence, argv.join(' '))
})

t.test('TLS: half a set of flags is refused', async t => {
  const client = '--listen-client-urls=https://127.0.0.1:1'
  const peer = ['--listen-peer-urls=https://127.0.0.1:2']
  const [cert, ca] = [['--cert-file=c', '--key-file=k'], '--trusted-ca-file=a']
  const peerCert = ['--peer-cert-file=c', '--peer-key-file=k']
  const cases: [string[], RegExp][] = [
    [[client], /^--listen-client-urls has an https URL, which needs --cert-file and --key-file\.$/],
    [peer, /^--listen-peer-urls has an https URL, which needs --peer-cert-file and --peer-key-file\.$/],
    [[client, '--cert-file=c'], /^--cert-file needs --key-file\.$/],
    [[client, '--key-file=k'], /^--key-file needs --cert-file\.$/],
    [[...peer, '--peer-cert-file=c'], /^--peer-cert-file needs --peer-key-file\.$/],
    [
      [...peer, ...peerCert, '--peer-client-key-file=k'],
      /^--peer-client-key-file needs --peer-client-cert-file/,
    ],
    [cert, /^--cert-file is given, but --listen-client-urls has no https URL\.$/],
    [['--auto-tls'], /^--auto-tls is given, but --listen-client-urls has no https URL\.$/],
    [peerCert, /^--peer-cert-file is given, but --listen-peer-urls has no https URL\.$/],
    [[ca], /^--trusted-ca-file needs --cert-file and --key-file\.$/],
    [[client, ...cert, '--client-cert-auth'], /^--client-cert-auth needs --trusted-ca-file\.$/],
    [[client, ...cert, '--client-crl-file=r'], /^--client-crl-file needs --trusted-ca-file\.$/],
    [[client, ...cert, '--client-cert-allowed-cn=n'], /^--client-cert-allowed-cn needs --trusted-ca-file\.$/],
    [
      [...peer, ...peerCert, '--peer-client-cert-auth'],
      /^--peer-client-cert-auth needs --peer-trusted-ca-file/,
    ],
    [[...peer, ...peerCert, '--peer-crl-file=r'], /^--peer-crl-file needs --peer-trusted-ca-file/],
    [[...peer, '--peer-auto-tls', '--peer-trusted-ca-file=a'], /cannot be used with --peer-auto-tls/],
    [[client, ...cert, '--cipher-suites=RC4'], /^--cipher-suites: "RC4" is not known/],
    [[client, ...cert, '--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2'], /must not be above/],
    [['--tls-min-version=TLS1.0'], /must be one of/],
    [['--initial-advertise-peer-urls=https://a:1'], /but no peer URL of that scheme is listened on/],
    [
      ['--initial-cluster=default=http://localhost:2380,b=https://b:1'],
      /^--initial-cluster has https:\/\/b:1, which needs --peer-cert-file/,
    ],
    [
      ['--listen-peer-urls=http://10.0.0.1:1', '--require-peer-tls'],
      /^--require-peer-tls refuses peer URLs without TLS: http:\/\/10\.0\.0\.1:1\.$/,
    ],
  ]
  for (const [argv, sentence] of cases) t.match(refusal(argv), sentence, argv.join(' '))
  t.strictSame(run(['--listen-peer-urls=http://10.0.0.1:1']).config.plainPeerUrls, ['http://10.0.0.1:1'])
  t.strictSame(run(['--require-peer-tls']).config.plainPeerUrls, [], 'this machine alone needs none')
  const { clientTls } = run([client, ...cert, ca, '--cipher-suites=TLS_RSA_WITH_AES_128_GCM_SHA256']).config
  t.match(clientTls, { caFile: 'a', namesUsers: false, ciphers: /^TLS_AES_128.*:AES128-GCM-SHA256$/ })
})

t.test('limits, and other doors', async t => {
  t.match(
    run([
      '--max-connections=5',
      '--max-connections-per-host=4',
      '--max-pending-requests=3',
      '--max-watchers-per-stream=2',
      '--max-requests-per-user=11',
      '--max-watchers-per-user=12',
      '--max-lease-grants-per-user=13',
      '--max-leases=14',
      '--grpc-keepalive-interval=0s',
      '--grpc-keepalive-timeout=1s',
      '--host-whitelist=a,b',
      '--cors=',
      '--listen-metrics-urls=http://127.0.0.1:9',
      '--listen-client-http-urls=http://127.0.0.1:8',
      '--experimental-snapshot-catchup-entries=7',
    ]).config,
    {
      maxConnections: 5,
      maxConnectionsPerHost: 4,
      maxPendingRequests: 3,
      maxWatchersPerStream: 2,
      maxRequestsPerUser: 11,
      maxWatchersPerUser: 12,
      maxGrantsPerUser: 13,
      maxLeases: 14,
      keepaliveIntervalMs: 0,
      keepaliveTimeoutMs: 1000,
      hostWhitelist: ['a', 'b'],
      corsOrigins: ['*'],
      listenMetrics: [{ port: 9 }],
      listenHttp: [{ port: 8 }],
      catchUpEntries: 7,
    },
  )
  t.match(refusal(['--listen-metrics-urls=https://127.0.0.1:9']), /which needs --cert-file/)
  t.match(refusal(['--listen-client-http-urls=x']), /^--listen-client-http-urls: "x" must be scheme/)
  t.match(refusal(['--max-watchers-per-stream=0']), /must be a whole number from 1/)
})

t.test("etcd's flags: aliases, those without effect, those refused", async t => {
  t.equal(run(['--experimental-warning-unary-request-duration=1s']).config.slowRequestMs, 1000)
  const named = { environment: { ETCD_EXPERIMENTAL_WARNING_UNARY_REQUEST_DURATION: '2s' } }
  t.equal(run([], named).config.slowRequestMs, 2000)
  t.strictSame(
    run(['--max-wals=9', '--enable-v2=false', '--proxy=off', '--log-outputs', 'stderr']).warnings,
    ['--max-wals has no effect: old files are removed as soon as nothing needs them.'],
  )
  t.match(refusal(['--enable-v2']), /^--enable-v2 is refused: the v2 API/)
  t.match(refusal(['--discovery-srv=example.org']), /^--discovery-srv is refused: name the members/)
})

t.test('environment: under flags, our names over etcd names, unknown ones are told', async t => {
  const environment = { ETCD_NAME: 'e', KVORUM_NAME: 'k', ETCD_LOG_LEVEL: 'warn', ETCD_QUOTA: '1', PATH: '/' }
  const outcome = run([], { environment })
  t.equal(outcome.config.name, 'k')
  t.equal(outcome.config.logLevel, 'warn')
  t.strictSame(outcome.warnings, [
    'ETCD_NAME is ignored because KVORUM_NAME is set.',
    'The environment variable ETCD_QUOTA is not known and has no effect.',
  ])
  const flagged = run(['--log-level=error'], { environment: { ETCD_LOG_LEVEL: 'warn' } })
  t.equal(flagged.config.logLevel, 'error')
  t.match(flagged.warnings, [/setting of --log-level is ignored because the flag is given/])
})

t.test('a file alone: everything else is ignored, and that is said', async t => {
  const files = {
    'c.yaml': [
      'name: n2',
      'heartbeat-interval: 50',
      'pre-vote: true',
      'listen-client-urls: [http://127.0.0.1:1, "http://[::1]:2"]',
      'data-dir: /somewhere',
    ].join('\n'),
    'empty.yaml': '# nothing\n',
    'bad.yaml': 'name: [1',
    'list.yaml': '- name',
    'unknown.yaml': 'nmae: x',
    'deep.yaml': 'name: {a: 1}',
    'wrong.yaml': 'heartbeat-interval: x',
    'tls.yaml': [
      'listen-client-urls: https://127.0.0.1:1',
      'client-transport-security:',
      '  cert-file: c.pem',
      '  key-file: c.key',
      '  client-cert-auth: true',
      '  trusted-ca-file: ca.pem',
      'peer-transport-security:',
    ].join('\n'),
    'section.yaml': 'peer-transport-security: {cert-fiel: x}',
  }
  const outcome = run(['--config-file=c.yaml', '--name=ignored'], {
    files,
    environment: { ETCD_DATA_DIR: '/x' },
  })
  t.match(outcome.config, { name: 'n2', dataDir: '/somewhere', heartbeatMs: 50 })
  t.strictSame(outcome.config.listenClient, [
    { host: '127.0.0.1', port: 1, secure: false },
    { host: '::1', port: 2, secure: false },
  ])
  t.strictSame(outcome.warnings, ['With --config-file every other setting is ignored: --name, --data-dir.'])
  t.equal(run([], { files, environment: { ETCD_CONFIG_FILE: 'empty.yaml' } }).config.name, 'default')
  const refused = (name: string): string => refusal([`--config-file=${name}`], { files })
  t.match(refused('bad.yaml'), /^The configuration file bad\.yaml is not valid YAML: /)
  t.match(refused('list.yaml'), /must hold a mapping/)
  t.match(refused('unknown.yaml'), /has the unknown setting "nmae"\.$/)
  const { clientTls, peerTls } = run(['--config-file=tls.yaml'], { files }).config
  const certificate = { kind: 'files', certFile: 'c.pem', keyFile: 'c.key' }
  t.match(clientTls, { certificate, caFile: 'ca.pem' }, 'as etcd writes it')
  t.equal(peerTls, null)
  t.match(refused('section.yaml'), /has the unknown setting "peer-transport-security\.cert-fiel"\.$/)
  t.match(refused('deep.yaml'), /gives "name" something that is neither a value nor a list/)
  t.match(refused('wrong.yaml'), /^--heartbeat-interval must be a whole number/)
})

t.test('identity: the same for all members, different for another token', async t => {
  const cluster = 'a=http://10.0.0.1:2380,b=http://10.0.0.2:2380,b=http://10.0.1.2:2380'
  const a = configOf(
    '--name=a',
    `--initial-cluster=${cluster}`,
    '--initial-advertise-peer-urls=http://10.0.0.1:2380',
  )
  const b = configOf(
    '--name=b',
    `--initial-cluster=${cluster.split(',').reverse().join()}`,
    '--initial-advertise-peer-urls=http://10.0.1.2:2380,http://10.0.0.2:2380',
  )
  const [ofA, ofB] = [a, b].map(config => nodeSetup(config, SILENT, () => {}))
  t.equal(ofA!.cluster, ofB!.cluster)
  t.strictSame(
    ofA!.members.map(member => member.id),
    ofB!.members.map(member => member.id),
  )
  t.not(ofA!.self, ofB!.self)
  t.equal(ofA!.members.find(member => member.id === ofA!.self)?.name, 'a')
  t.strictSame(ofB!.members.find(member => member.name === 'a')?.clientUrls, [])
  t.not(clusterIdOf(a.initialCluster, 'x'), clusterIdOf(a.initialCluster, 'y'))
  t.equal(memberIdOf(['u', 'v'], 't'), memberIdOf(['v', 'u'], 't'))
  t.not(memberIdOf(['u', 'v'], 't'), memberIdOf(['uv'], 't'))
})

t.test('data directory', async t => {
  const base = mkdtempSync(join(tmpdir(), 'kvorum-dir-'))
  const fresh = join(base, 'a', 'b')
  t.strictSame(prepareDataDirectory(fresh), { ok: true, value: [] })
  t.equal(statSync(fresh).mode & 0o777, 0o700)
  t.strictSame(prepareDataDirectory(fresh), { ok: true, value: [] })
  chmodSync(fresh, 0o755)
  t.match(prepareDataDirectory(fresh), { ok: true, value: [/is open to other users \(mode 755\)/] })
  chmodSync(fresh, 0o777)
  t.match(prepareDataDirectory(fresh), { ok: false, reason: /is writable by everybody; chmod 700 it\.$/ })
  const file = join(base, 'file')
  writeFileSync(file, '')
  t.match(prepareDataDirectory(file), { ok: false, reason: /is not a directory\.$/ })
  t.match(prepareDataDirectory(join(file, 'below')), { ok: false, reason: /is not a directory\.$/ })
  if (process.getuid?.() !== 0) {
    mkdirSync(join(base, 'locked'), { mode: 0o500 })
    t.match(prepareDataDirectory(join(base, 'locked')), {
      ok: false,
      reason: /cannot be written by this user/,
    })
  }
})

t.test('logs: one JSON object per line, or text', async t => {
  const file = join(mkdtempSync(join(tmpdir(), 'kvorum-log-')), 'log')
  writeFileSync(file, '')
  const logger = createLogger({ level: 'info', format: 'json', destination: file })
  logger.debug({}, 'too much')
  logger.info({ port: 1 }, 'hello')
  await new Promise<void>(resolve => setImmediate(resolve))
  logger.flush()
  const { readFileSync } = await import('node:fs')
  const { until } = await import('./harness.js')
  await until(() => readFileSync(file, 'utf8').endsWith('\n'), 'the log line')
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  t.equal(lines.length, 1)
  t.match(JSON.parse(lines[0]!), { level: 'info', msg: 'hello', port: 1 })
  t.match(consoleLine(lines[0]!), /^\d{4}-.* INFO {2}hello port=1\n$/)
})

t.test('automatic compaction, as etcd reads it', async t => {
  const of = (retention: string, mode = 'periodic') =>
    run([`--auto-compaction-mode=${mode}`, `--auto-compaction-retention=${retention}`]).config.maintenance
      .autoCompaction
  t.strictSame(run([]).config.maintenance.autoCompaction, { kind: 'off' })
  for (const mode of ['periodic', 'revision']) t.strictSame(of('0', mode), { kind: 'off' })
  t.strictSame(of('0s'), { kind: 'off' })
  t.strictSame(of('10m'), { kind: 'periodic', retentionMs: 600_000 })
  t.strictSame(of('1h30m'), { kind: 'periodic', retentionMs: 5_400_000 })
  t.strictSame(of('72'), { kind: 'periodic', retentionMs: 72 * 3_600_000 }, 'a plain number is of hours')
  t.strictSame(of('1000', 'revision'), { kind: 'revision', keep: 1000 })
  t.match(refusal(['--auto-compaction-retention=-1']), /^--auto-compaction-retention must be a duration/)
  t.match(
    refusal(['--auto-compaction-mode=revision', '--auto-compaction-retention=1h']),
    /^--auto-compaction-retention must be a number of revisions with .*, not "1h"\.$/,
  )
  t.match(refusal(['--auto-compaction-mode=weekly']), /must be one of periodic, revision/)
})

t.test('commands that are slow to apply', async t => {
  t.equal(run([]).config.slowApplyMs, 100)
  t.equal(run(['--experimental-warning-apply-duration=1s']).config.slowApplyMs, 1000)
  t.equal(run(['--warning-apply-duration=2s']).config.slowApplyMs, 2000)
})

t.test('corruption checks', async t => {
  const of = (...argv: string[]) => run(argv).config.maintenance.corruptCheck
  t.strictSame(of(), { atStart: false, everyMs: 0, afterCompactionMs: 0 })
  t.strictSame(of('--experimental-initial-corrupt-check', '--experimental-corrupt-check-time=12h'), {
    atStart: true,
    everyMs: 12 * 3_600_000,
    afterCompactionMs: 0,
  })
  t.equal(of('--experimental-compact-hash-check-enabled').afterCompactionMs, 60_000)
  t.equal(of('--compact-hash-check-time=5m').afterCompactionMs, 0, 'not enabled')
  t.match(refusal(['--experimental-compact-hash-check-time=0s']), /must be at least 1ms/)
})
