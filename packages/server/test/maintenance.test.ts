import t from 'tap'
import type { MemberAlarm } from '@kvorum/model'
import { nodeId } from '@kvorum/model'
import { configOf, running, type Running } from './harness.js'

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function post(server: Running, path: string, body: object): Promise<Answer> {
  const response = await fetch(`${server.url}/v3/maintenance/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const get = async (server: Running, path: string): Promise<string> => {
  const response = await fetch(server.url + path)
  return `${response.status} ${await response.text()}`
}

const up = (member: number, alarm: MemberAlarm['alarm']): MemberAlarm => ({
  member: nodeId(BigInt(member)),
  alarm,
})

t.test('Alarm: list, raise, take back; what changes nothing names nothing', async t => {
  await using server = await running()
  const alarm = async (body: object) => (await post(server, 'alarm', body)).body['alarms']
  t.equal(await alarm({}), undefined)
  t.same(await alarm({ action: 'ACTIVATE', memberID: '5', alarm: 'NOSPACE' }), [
    { memberID: '5', alarm: 'NOSPACE' },
  ])
  t.equal(await alarm({ action: 1, memberID: '5', alarm: 1 }), undefined, 'up already')
  t.equal(await alarm({ action: 1, memberID: '5', alarm: 'NONE' }), undefined)
  await alarm({ action: 1, memberID: '6', alarm: 2 })
  t.same(await alarm({ alarm: 'CORRUPT', memberID: '5' }), [{ memberID: '6', alarm: 'CORRUPT' }])
  t.equal((await alarm({})) instanceof Array, true)
  t.same(await alarm({ action: 2, memberID: '6', alarm: 2 }), [{ memberID: '6', alarm: 'CORRUPT' }])
  t.equal(await alarm({ action: 2, memberID: '6', alarm: 2 }), undefined)
  t.match(await post(server, 'alarm', { action: 1, alarm: 9 }), { status: 400, body: { code: 3 } })
  t.match(await post(server, 'alarm', { action: 9 }), { status: 400, body: { code: 3 } })
  server.node.refusal = 'noLeader'
  t.match(await post(server, 'alarm', {}), { status: 503 }, 'the list is never stale')
})

t.test('Status has every field, and says which alarms are up', async t => {
  await using server = await running()
  server.node.alarms = [up(5, 'noSpace'), up(6, 'corrupt')]
  t.match((await post(server, 'status', {})).body, {
    version: '3.5.21',
    storageVersion: '3.5.0',
    dbSize: '5000',
    dbSizeInUse: '1000',
    dbSizeQuota: '2048',
    downgradeInfo: {},
    errors: ['memberID:5 alarm:NOSPACE ', 'memberID:6 alarm:CORRUPT '],
  })
  server.node.leader = 0n
  t.match((await post(server, 'status', {})).body, { errors: [/no leader$/, /^memberID:5/] })
})

t.test('health tells of alarms, unless they are excluded', async t => {
  await using server = await running()
  server.node.alarms = [up(5, 'noSpace')]
  t.equal(await get(server, '/health'), '503 {"health":"false","reason":"ALARM NOSPACE"}')
  t.equal(await get(server, '/health?exclude=NOSPACE'), '200 {"health":"true","reason":""}')
  t.equal(await get(server, '/readyz/data_corruption'), '200 ok\n')
  server.node.alarms = [up(5, 'noSpace'), up(6, 'corrupt')]
  t.match(await get(server, '/health?exclude=NOSPACE'), /ALARM CORRUPT/)
  t.equal(await get(server, '/health?exclude=NOSPACE&exclude=CORRUPT'), '200 {"health":"true","reason":""}')
  t.match(await get(server, '/readyz'), /^503 [^]*data_corruption failed: alarm activated: CORRUPT/)
})

t.test('hashes, defragmentation and downgrades', async t => {
  await using server = await running()
  const { body } = await post(server, 'hashkv', {})
  t.match(body, { hash: 77, compact_revision: '-1', hash_revision: '1', header: { revision: '1' } })
  t.match((await post(server, 'hash', {})).body, { hash: 77 })
  t.match(await post(server, 'hashkv', { revision: 9 }), { status: 400, body: { code: 11 } })
  t.same((await post(server, 'defragment', {})).body, {}, 'no header')
  const down = async (action: string, version: string) =>
    (await post(server, 'downgrade', { action, version })).body
  t.match(await down('VALIDATE', '3.4'), { code: 3, error: 'etcdserver: invalid downgrade target version' })
  t.match(await down('ENABLE', '3.4.0'), { code: 3, error: /invalid downgrade target version/ })
  t.match(await down('VALIDATE', 'three'), { code: 3, error: /wrong downgrade target version format/ })
  t.match(await down('CANCEL', ''), { code: 9, error: 'etcdserver: no inflight downgrade job' })
  t.match(await post(server, 'downgrade', { action: 7 }), { status: 400 })
})

t.test('the quota as etcd reads it', async t => {
  const quotaOf = (...argv: string[]) => configOf(...argv).maintenance.quotaBytes
  t.equal(quotaOf(), 2 * 1024 ** 3)
  t.equal(quotaOf('--quota-backend-bytes=0'), 2 * 1024 ** 3)
  t.equal(quotaOf('--quota-backend-bytes=-1'), 0, 'no bound')
  t.equal(quotaOf('--quota-backend-bytes=16777216'), 16_777_216)
  t.throws(() => configOf('--quota-backend-bytes=1GB'), /whole number of bytes/)
  t.equal(configOf('--auto-disarm-nospace').maintenance.autoDisarmNoSpace, true)
})
