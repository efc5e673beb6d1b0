import t from 'tap'
import { KvorumError } from '@kvorum/client'
import { durationText } from '#src/format/duration.js'
import { tableText } from '#src/format/table.js'
import { run } from '#src/run.js'
import { record, type Script } from './fakes.js'

const RANGE = 'etcdserverpb.KV/Range'
const ALARM = 'etcdserverpb.Maintenance/Alarm'
const STATUS = 'etcdserverpb.Maintenance/Status'
const HASH_KV = 'etcdserverpb.Maintenance/HashKV'
const DEFRAGMENT = 'etcdserverpb.Maintenance/Defragment'
const MEMBER_LIST = 'etcdserverpb.Cluster/MemberList'
const MOVE_LEADER = 'etcdserverpb.Maintenance/MoveLeader'

async function play(line: string, script: Script = {}) {
  const recorder = record(script)
  const status = await run(recorder.io, line.split(' '))
  const { calls, connects } = recorder
  const asked = connects.map(({ endpoints }) => endpoints.join())
  return { status, out: recorder.out(), err: recorder.err(), calls, asked }
}

const lines = (...all: readonly string[]): string => `${all.join('\n')}\n`
const MEMBERS = {
  members: [
    { ID: '10', name: 'a', peerURLs: ['http://p:1'], clientURLs: ['http://a:1', 'http://a:2'] },
    { ID: '11', isLearner: true, peerURLs: ['http://p:2'] },
  ],
}

t.test('alarms', async t => {
  const answers = { [ALARM]: { alarms: [{ memberID: '18446744073709551615', alarm: 'NOSPACE' }] } }
  const list = await play('alarm list', { answers })
  t.match(list, { status: 0, out: 'memberID:18446744073709551615 alarm:NOSPACE \n' })
  t.strictSame(list.calls, [{ name: ALARM, request: { action: 0 } }])
  t.equal((await play('alarm list')).out, '')
  t.match(
    (await play('alarm list -w json', { answers })).out,
    /"alarms":\[\{"memberID":18446744073709551615,"alarm":1\}\]\}\n$/,
  )
  t.match((await play('alarm list -w fields', { answers })).out, /"AlarmType" : NOSPACE\n\n$/)
  t.equal(
    (await play('alarm list -w table', { answers })).out,
    lines(
      '+----------------------+---------+',
      '|      MEMBER ID       |  ALARM  |',
      '+----------------------+---------+',
      '| 18446744073709551615 | NOSPACE |',
      '+----------------------+---------+',
    ),
  )
  const disarmed = await play('alarm disarm', { answers })
  t.match(disarmed, { status: 0, out: 'memberID:18446744073709551615 alarm:NOSPACE \n' })
  t.match(disarmed.calls, [
    { name: ALARM, request: { action: 0 } },
    { name: ALARM, request: { action: 2, memberID: 2n ** 64n - 1n, alarm: 1 } },
  ])
  t.equal((await play('alarm disarm')).calls.length, 1, 'there is nothing to take back')
})

t.test('compaction', async t => {
  t.match(await play('compaction 7'), {
    status: 0,
    out: 'compacted revision 7\n',
    calls: [{ name: 'etcdserverpb.KV/Compact', request: { revision: 7, physical: false } }],
  })
  t.match((await play('compaction --physical 7')).calls, [{ request: { revision: 7, physical: true } }])
  t.match(await play('compaction x'), { status: 2, err: /"x" is not a revision/ })
})

t.test('defrag goes from one to the next, and says who failed', async t => {
  t.match(await play('defrag --endpoints a:1,b:1,c:1', { down: ['b:1'] }), {
    status: 1,
    out: 'Finished defragmenting etcd member[a:1]\nFinished defragmenting etcd member[c:1]\n',
    err: 'Failed to defragment etcd member[b:1] (b:1: connection failed)',
  })
  const all = await play('defrag --cluster', { answers: { [MEMBER_LIST]: MEMBERS } })
  t.strictSame(all.asked, ['127.0.0.1:2379', 'http://a:1', 'http://a:2'])
  t.strictSame(
    all.calls.map(({ name }) => name),
    [MEMBER_LIST, DEFRAGMENT, DEFRAGMENT],
  )
})

t.test('endpoint health', async t => {
  const healthy = await play('endpoint health')
  t.match(healthy, {
    status: 0,
    out: '127.0.0.1:2379 is healthy: successfully committed proposal: took = 1.5ms\n',
    calls: [{ name: RANGE, request: { key: Buffer.from('health') } }, { name: ALARM }],
  })
  t.equal(
    (await play('endpoint health -w json')).out,
    '[{"endpoint":"127.0.0.1:2379","health":true,"took":"1.5ms"}]\n',
  )
  t.equal(
    (await play('endpoint health -w fields')).out,
    lines('"Endpoint" : "127.0.0.1:2379"', '"Health" : true', '"Took" : 1.5ms', '"Error" : ', ''),
  )
  const all = await play('endpoint --cluster health', { answers: { [MEMBER_LIST]: MEMBERS } })
  t.strictSame(all.asked, ['127.0.0.1:2379', 'http://a:1', 'http://a:2'])
  const denied = new KvorumError('ERR_KV_PERMISSION_DENIED', 'etcdserver: permission denied')
  t.equal((await play('endpoint health', { answers: { [RANGE]: denied } })).status, 0)
  const alarms = {
    [ALARM]: {
      alarms: [
        { memberID: '1', alarm: 'NOSPACE' },
        { memberID: '2', alarm: 'CORRUPT' },
      ],
    },
  }
  t.match(await play('endpoint health', { answers: alarms }), {
    status: 1,
    out: /is unhealthy: failed to commit proposal: Active Alarm\(s\): NOSPACE CORRUPT\n/,
    err: 'Error: unhealthy cluster',
  })
  t.match(await play('endpoint health --endpoints=a:1,b:1 -w table', { down: ['b:1'] }), {
    status: 1,
    out: /\| ENDPOINT \| HEALTH \| TOOK {2}\| {9}ERROR {10}\|\n.*\n\| {6}a:1 \| {3}true \| .*\n\| {6}b:1 \| {2}false \| .* \| b:1: connection failed \|\n/,
  })
})

t.test('endpoint status and hashkv', async t => {
  const answers = {
    [STATUS]: {
      version: '3.5.0',
      dbSize: '20480',
      leader: '10',
      raftTerm: '2',
      raftIndex: '24',
      raftAppliedIndex: '23',
    },
    [HASH_KV]: { hash: 4_000_000_000, compact_revision: '3' },
    [MEMBER_LIST]: MEMBERS,
  }
  const row = 'http://a:1, a, 3.5.0, 20 kB, true, false, 2, 24, 23, '
  t.equal((await play('endpoint status --cluster', { answers })).out, lines(row, row.replace('a:1', 'a:2')))
  t.equal(
    (await play('endpoint status --endpoints=a:1 -w table', { answers })).out.split('\n')[1],
    '| ENDPOINT | ID | VERSION | DB SIZE | IS LEADER | IS LEARNER | RAFT TERM | RAFT INDEX | RAFT APPLIED INDEX | ERRORS |',
  )
  t.equal((await play('status', { answers })).out, (await play('endpoint status', { answers })).out)
  const hash = await play('endpoint hashkv --rev=5 --endpoints=a:1,b:1', { answers, down: ['a:1'] })
  t.match(hash, {
    status: 1,
    out: 'b:1, 4000000000\n',
    err: 'Failed to get the hash of endpoint a:1 (a:1: connection failed)',
  })
  t.strictSame(hash.calls, [{ name: HASH_KV, request: { revision: 5 } }])
  t.match(
    (await play('endpoint hashkv -w json', { answers })).out,
    /^\[\{"Endpoint":"127.0.0.1:2379","HashKV":\{"header":\{.*\},"hash":4000000000,"compact_revision":3\}\}\]\n$/,
  )
  t.match(
    (await play('endpoint hashkv -w fields', { answers })).out,
    /"Endpoint" : "127.0.0.1:2379"\n"Hash" : 4000000000\n\n$/,
  )
  t.match((await play('endpoint hashkv -w table', { answers })).out, /\| {4}ENDPOINT {4}\| {4}HASH {4}\|/)
})

t.test('member list', async t => {
  const answers = { [MEMBER_LIST]: MEMBERS }
  t.equal(
    (await play('member list', { answers })).out,
    lines('a, started, a, http://p:1, http://a:1,http://a:2, false', 'b, unstarted, , http://p:2, , true'),
  )
  const [, head, , first] = (await play('member list -w table', { answers })).out.split('\n')
  t.equal(head, '| ID |  STATUS   | NAME | PEER ADDRS |     CLIENT ADDRS      | IS LEARNER |')
  t.equal(first, '|  a |   started |    a | http://p:1 | http://a:1,http://a:2 |      false |')
  t.match(
    (await play('member list -w fields', { answers })).out,
    /"ClientURL" : "http:\/\/a:2"\n"IsLearner" : false\n\n/,
  )
})

t.test('move-leader finds the leader though another member is down', async t => {
  const answers = { [MEMBER_LIST]: MEMBERS, [STATUS]: { leader: '10' } }
  const script = { answers, down: ['http://a:1'] }
  const moved = await play('move-leader b --endpoints=a:3', script)
  t.match(moved, { status: 0, out: 'Leadership transferred from a to b\n' })
  t.match(moved.calls.at(-1), { name: MOVE_LEADER, request: { targetID: 11n } })
  const nobody = { [MEMBER_LIST]: MEMBERS, [STATUS]: { leader: '12' } }
  t.match(await play('move-leader b', { answers: nobody }), { status: 1, err: /none of the members/ })
})

t.test('tables and durations are those of etcdctl', async t => {
  t.equal(tableText(['A', 'TITLE'], []), ['+---+-------+', '| A | TITLE |', '+---+-------+'].join('\n'))
  t.equal(
    tableText(['AB'], [['12345']]),
    ['+-------+', '|  AB   |', '+-------+', '| 12345 |', '+-------+'].join('\n'),
  )
  const durations: readonly (readonly [number, string])[] = [
    [0, '0s'],
    [0.000_5, '500ns'],
    [0.012_5, '12.5µs'],
    [2.945_866, '2.945866ms'],
    [1_000, '1s'],
    [5_000.261_825, '5.000261825s'],
    [60_500, '1m0.5s'],
    [3_661_000, '1h1m1s'],
  ]
  for (const [ms, text] of durations) t.equal(durationText(ms), text)
})
