import { Registry } from 'prom-client'
import t from 'tap'
import { NO_LEASE, utf8, type StageTimes, type WatchEvent } from '@kvorum/model'
import type { LogPort, StorePort } from '@kvorum/node'
import { SILENT } from '@kvorum/server'
import { closeEdge, createEdge, edgeLimits } from '#src/edge/edge.js'
import { createDiskTimes } from '#src/metrics/disk.js'
import { watch } from '#src/rpc/watch.js'
import { FakeNode } from './fakeNode.js'
import { configOf, running, until } from './harness.js'

/** Those of etcd's names that dashboards and alerts are made of, and that mean the same here. */
const NAMES = [
  'etcd_cluster_version',
  'etcd_disk_backend_commit_duration_seconds_bucket',
  'etcd_disk_wal_fsync_duration_seconds_bucket',
  'etcd_mvcc_db_total_size_in_bytes',
  'etcd_mvcc_db_total_size_in_use_in_bytes',
  'etcd_network_client_grpc_received_bytes_total',
  'etcd_network_client_grpc_sent_bytes_total',
  'etcd_server_has_leader',
  'etcd_server_health_failures',
  'etcd_server_health_success',
  'etcd_server_id',
  'etcd_server_is_leader',
  'etcd_server_is_learner',
  'etcd_server_leader_changes_seen_total',
  'etcd_server_proposals_applied_total',
  'etcd_server_proposals_committed_total',
  'etcd_server_proposals_failed_total',
  'etcd_server_proposals_pending',
  'etcd_server_version',
  'grpc_server_handled_total',
  'grpc_server_msg_received_total',
  'grpc_server_msg_sent_total',
  'grpc_server_started_total',
  'os_fd_limit',
  'os_fd_used',
  'process_cpu_seconds_total',
  'process_max_fds',
  'process_open_fds',
  'process_resident_memory_bytes',
  'process_start_time_seconds',
  'process_virtual_memory_bytes',
]

t.test("metrics have etcd's names", async t => {
  await using server = await running()
  await (await fetch(`${server.url}/v3/kv/range`, { method: 'POST', body: '{"key":"YQ=="}' })).text()
  await (await fetch(`${server.url}/health`)).text()
  const text = await (await fetch(`${server.url}/metrics`)).text()
  const lines = text.split('\n')
  for (const name of NAMES)
    t.ok(
      lines.some(line => line.startsWith(`${name} `) || line.startsWith(`${name}{`)),
      name,
    )
  t.match(text, /etcd_server_health_success 1\n/)
  t.match(text, /grpc_server_msg_sent_total\{[^}]*grpc_method="Range"[^}]*\} 1\n/)
})

t.test("what is done to keys has etcd's names", async t => {
  await using server = await running()
  const metrics = async () => (await fetch(`${server.url}/metrics`)).text()
  t.match(await metrics(), /^etcd_debugging_mvcc_keys_total Nan$/m)
  server.node.counters = {
    mvccKeys: 7,
    mvccPuts: 3,
    mvccPutBytes: 40,
    watchEvents: 5,
    watchers: 2,
    slowApplies: 1,
  }
  const text = await metrics()
  for (const line of [
    'etcd_mvcc_put_total 3',
    'etcd_debugging_mvcc_put_total 3',
    'etcd_debugging_mvcc_total_put_size_in_bytes 40',
    'kvorum_watch_events_total 5',
    'etcd_debugging_mvcc_events_total 5',
    'etcd_debugging_mvcc_watcher_total 2',
    'etcd_debugging_mvcc_keys_total 7',
    'etcd_debugging_mvcc_pending_events_total 0',
    'etcd_debugging_mvcc_compact_revision -1',
    'etcd_server_quota_backend_bytes 2048',
    'etcd_server_slow_apply_total 1',
  ])
    t.ok(text.includes(`\n${line}\n`), line)
  t.match(text, /# TYPE etcd_debugging_mvcc_watcher_total gauge\n/)
  t.match(text, /# TYPE etcd_mvcc_put_total counter\n/)
})

t.test('events are pending until their connection has taken them, or is gone', t => {
  const node = new FakeNode()
  const edge = createEdge(node, edgeLimits(configOf()), SILENT, 1000, t.testdir())
  const takes: (() => void)[] = []
  const send = (_: unknown, taken = (): void => {}): void => void takes.push(taken)
  const streams = [1, 2].map(() => watch(edge, { send, end: () => {}, flow: () => {} }))
  const kv = { key: utf8('k'), create: 2, mod: 2, version: 1, value: utf8('v'), lease: NO_LEASE }
  const event: WatchEvent = { kind: 'put', kv, prev: null }
  for (const stream of node.streams) {
    const { header } = node
    stream.deliver({ kind: 'progress', header, watchId: -1 })
    stream.deliver({ kind: 'events', header, watchId: 1, events: [event, event], fragment: false })
    stream.deliver({ kind: 'events', header, watchId: 1, events: [event], fragment: false })
  }
  t.equal(edge.state.pendingEvents, 6)
  for (const take of takes.slice(0, 2)) take()
  t.equal(edge.state.pendingEvents, 4)
  streams[0]!.closed()
  t.equal(edge.state.pendingEvents, 3)
  for (const take of takes.slice(2)) take()
  t.equal(edge.state.pendingEvents, 0)
  closeEdge(edge)
  t.end()
})

t.test('what the disk takes is measured, and passed on as it is', async t => {
  const registry = new Registry()
  const times = createDiskTimes(registry)
  const log = times.log({ append: () => Promise.resolve('durable') } as unknown as LogPort)
  const store = times.store({ batch: () => Promise.reject(new Error('broken')) } as unknown as StorePort)
  t.equal(await log.append({} as Parameters<LogPort['append']>[0]), 'durable')
  await t.rejects(store.batch([], {} as Parameters<StorePort['batch']>[1]), { message: 'broken' })
  const text = await registry.metrics()
  t.match(text, /etcd_disk_wal_fsync_duration_seconds_count 1\n/)
  t.match(text, /etcd_disk_backend_commit_duration_seconds_count 1\n/)
})

t.test('a slow request is logged with the rooms it was in', async t => {
  const warned: object[] = []
  const logger = { ...SILENT, warn: (facts: object) => void warned.push(facts) }
  await using server = await running(['--warning-unary-request-duration=1ms'], { logger })
  let release = (): void => {}
  server.node.stages = { replicate: 40.4, disk: 0.3, apply: 7 }
  server.node.held = new Promise(resolve => (release = resolve))
  const answer = fetch(`${server.url}/v3/kv/range`, { method: 'POST', body: '{"key":"YQ=="}' })
  await until(() => server.node.seen.length > 0, 'the request in the node')
  // Longer than the threshold, and than what the edge takes.
  setTimeout(release, 50)
  await (await answer).text()
  server.node.stages = {}
  const slow = warned.find(facts => 'nodeMs' in facts) as Record<string, number> | undefined
  t.match(slow, { rpc: 'etcdserverpb.KV/Range', code: 'OK' })
  t.strictSame(slow!['stagesMs'] as unknown, { replicate: 40, apply: 7 })
  t.ok(slow!['tookMs']! >= slow!['nodeMs']! && slow!['nodeMs']! > 0)
})

t.test('the stages of all requests are a histogram', async t => {
  await using server = await running()
  const ask = async (stages: Partial<StageTimes>): Promise<void> => {
    server.node.stages = stages
    await (await fetch(`${server.url}/v3/kv/range`, { method: 'POST', body: '{"key":"YQ=="}' })).text()
  }
  await ask({ confirm: 1, store: 0.4 })
  await ask({ confirm: 3 })
  await ask({ confirm: 20_000 })
  const text = await (await fetch(`${server.url}/metrics`)).text()
  t.match(text, '# TYPE kvorum_request_stage_seconds histogram\n')
  const value = (series: string): string | undefined =>
    text
      .split('\n')
      .find(line => line.startsWith(`kvorum_request_stage_seconds_${series} `))
      ?.split(' ')[1]
  const rows: readonly (readonly [string, string])[] = [
    ['bucket{le="0.0005",stage="confirm"}', '0'],
    ['bucket{le="0.001",stage="confirm"}', '1'],
    ['bucket{le="0.005",stage="confirm"}', '2'],
    ['bucket{le="10",stage="confirm"}', '2'],
    ['bucket{le="+Inf",stage="confirm"}', '3'],
    ['count{stage="confirm"}', '3'],
    ['sum{stage="confirm"}', '20.004'],
    ['bucket{le="0.0005",stage="store"}', '1'],
    ['count{stage="store"}', '1'],
    ['count{stage="apply"}', '0'],
  ]
  for (const [series, expected] of rows) t.equal(value(series), expected, series)
})

t.test('paths beside the gateway, and wrong methods', async t => {
  await using server = await running()
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(server.url + path, { method })
    return { status: response.status, text: await response.text() }
  }
  const variables = JSON.parse((await ask('/debug/vars')).text) as Record<string, unknown>
  t.match(variables, { memstats: { Sys: Number }, 'raft.status': { id: server.node.self.toString(16) } })
  for (const path of ['/health', '/livez', '/readyz', '/version', '/debug/vars'])
    t.equal((await ask(path, 'POST')).status, 405, path)
  t.equal((await ask('/v3/kv/range')).status, 405)
  t.equal((await ask('/nothing')).status, 404)
  t.match(await ask('/livez/serializable_read'), { status: 200, text: 'ok\n' })
  t.match((await ask('/readyz?verbose')).text, /\[\+\]linearizable_read ok/)
  t.match((await ask('/readyz?verbose&exclude=non_learner')).text, /\[\+\]non_learner excluded/)
  const origin = await fetch(`${server.url}/version`, { method: 'OPTIONS' })
  t.equal(origin.status, 200)
})
