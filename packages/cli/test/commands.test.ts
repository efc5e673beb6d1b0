import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { utf8 } from '@kvorum/model'
import { run } from '#src/run.js'
import { pair, record, type Script } from './fakes.js'

const RANGE = 'etcdserverpb.KV/Range'
const PUT = 'etcdserverpb.KV/Put'
const DELETE = 'etcdserverpb.KV/DeleteRange'
const TXN = 'etcdserverpb.KV/Txn'
const STATUS = 'etcdserverpb.Maintenance/Status'
const bytes = (text: string): Buffer => Buffer.from(utf8(text))

/** One command line: what it printed, and what it asked. */
async function play(argv: string, script: Script = {}) {
  const recorder = record(script)
  const words = argv === '' ? [] : argv.split(' ').map(word => (word === "''" ? '' : word))
  const status = await run(recorder.io, words)
  return { status, out: recorder.out(), err: recorder.err(), recorder }
}

t.test('get asks for what the flags say', async t => {
  const rows: readonly (readonly [string, object])[] = [
    ['get k', { key: bytes('k'), range_end: bytes(''), sort_order: 0, serializable: false }],
    ['get k z', { key: bytes('k'), range_end: bytes('z') }],
    ['get k --prefix', { key: bytes('k'), range_end: bytes('l') }],
    ["get '' --prefix", { key: Buffer.alloc(1), range_end: Buffer.alloc(1) }],
    ["get '' --from-key", { key: Buffer.alloc(1), range_end: Buffer.alloc(1) }],
    ['get --from-key k', { key: bytes('k'), range_end: Buffer.alloc(1) }],
    ['get k --rev 5 --limit=3', { revision: 5, limit: 3 }],
    ['get k --keys-only --count-only=true', { keys_only: true, count_only: true }],
    ['get k --sort-by MODIFY', { sort_order: 1, sort_target: 3 }],
    ['get k --order DESCEND', { sort_order: 2, sort_target: 0 }],
    ['get k --sort-by value --order descend', { sort_order: 2, sort_target: 4 }],
    ['get k --consistency=s', { serializable: true }],
  ]
  for (const [argv, request] of rows) {
    const { status, recorder } = await play(argv)
    t.equal(status, 0, argv)
    t.match(recorder.calls, [{ name: RANGE, request }], argv)
    t.equal(recorder.closed(), 1, 'the connection is closed')
  }
})

t.test('get prints pairs as raw bytes, fields or JSON', async t => {
  const answers = { [RANGE]: { kvs: [pair('k', 'v'), pair('k2', '', { lease: '-1' })], count: '2' } }
  const outputs: readonly (readonly [string, string])[] = [
    ['get k --prefix', 'k\nv\nk2\n\n'],
    ['get k --prefix --keys-only', 'k\n\nk2\n\n'],
    ['get k --prefix --print-value-only', 'v\n\n'],
    ['get k --prefix --count-only', '2\n'],
    ['get k --prefix --hex', '\\x6b\n\\x76\n\\x6b\\x32\n\n'],
    [
      'get k --prefix -w json',
      '{"header":{"cluster_id":18446744073709551615,"member_id":10,"revision":7,"raft_term":2},' +
        '"kvs":[{"key":"aw==","create_revision":2,"mod_revision":3,"version":1,"value":"dg=="},' +
        '{"key":"azI=","create_revision":2,"mod_revision":3,"version":1,"lease":-1}],"count":2}\n',
    ],
  ]
  for (const [argv, out] of outputs) t.equal((await play(argv, { answers })).out, out, argv)
  const { out } = await play('get k --write-out=fields', {
    answers: { [RANGE]: { kvs: [pair('k', '"\n')] } },
  })
  t.equal(
    out,
    [
      '"ClusterID" : 18446744073709551615',
      '"MemberID" : 10',
      '"Revision" : 7',
      '"RaftTerm" : 2',
      '"Key" : "k"',
      '"CreateRevision" : 2',
      '"ModRevision" : 3',
      '"Version" : 1',
      '"Value" : "\\"\\n"',
      '"Lease" : 0',
      '"More" : false',
      '"Count" : 0',
      '',
    ].join('\n'),
  )
})

t.test('put takes its value from the command line or from standard input', async t => {
  const given = await play('put k v --prev-kv --lease 1f', {
    answers: { [PUT]: { prev_kv: pair('k', 'old') } },
  })
  t.match(given.recorder.calls, [{ name: PUT, request: { key: bytes('k'), value: bytes('v'), lease: 31n } }])
  t.equal(given.out, 'OK\nk\nold\n')
  const piped = await play('put k', { input: 'from\nstdin' })
  t.match(piped.recorder.calls, [{ request: { value: bytes('from\nstdin') } }])
  const kept = await play('put k --ignore-value', { input: 'never read' })
  t.match(kept.recorder.calls, [{ request: { value: new Uint8Array(0), ignore_value: true } }])
  const dashed = await play('put k -- -v')
  t.match(dashed.recorder.calls, [{ request: { key: bytes('k'), value: bytes('-v') } }])
  t.match(
    (await play('put k v -w fields', { answers: { [PUT]: { prev_kv: pair('k', 'x') } } })).out,
    '"PrevValue" : "x"',
  )
})

t.test('del prints how many, and what was there if asked', async t => {
  const answers = { [DELETE]: { deleted: '2', prev_kvs: [pair('a', '1'), pair('b', '2')] } }
  const { out, recorder } = await play('del a --prefix --prev-kv', { answers })
  t.equal(out, '2\na\n1\nb\n2\n')
  t.match(recorder.calls, [{ name: DELETE, request: { range_end: bytes('b'), prev_kv: true } }])
  t.match((await play('del a -w fields', { answers })).out, '"Deleted" : 2')
})

t.test('watch prints events, and fails when the server cancels it', async t => {
  const watch = [
    { events: [{ kv: pair('k', 'v') }, { type: 'DELETE', kv: pair('k', ''), prev_kv: pair('k', 'v') }] },
    {},
    { canceled: true, compact_revision: '9' },
  ]
  const { status, out, err, recorder } = await play('watch k --prefix --rev 4 --prev-kv --progress-notify', {
    watch,
  })
  t.equal(out, 'PUT\nk\nv\nDELETE\nk\nv\nk\n\nprogress: 7\n')
  t.equal(status, 1)
  t.equal(err, 'Error: the server canceled the watch: the history before revision 9 has been compacted')
  t.match(recorder.calls, [{ request: { start_revision: 4, prev_kv: true, progress_notify: true } }])
  const json = await play('watch k -w json', { watch: watch.slice(0, 1) })
  t.match(
    json.out,
    /^\{"Header":\{.*\},"Events":\[\{"kv":.*"type":1.*"CompactRevision":0,"Canceled":false,"Created":false\}\n$/,
  )
  const refused = await play('watch k', { watch: [{ canceled: true, cancel_reason: 'permission denied' }] })
  t.equal(refused.err, 'Error: the server canceled the watch: permission denied')
})

t.test('leases', async t => {
  const LEASE = 'etcdserverpb.Lease'
  const id = '2204690127052314651'
  const grant = await play('lease grant 60', { answers: { [`${LEASE}/LeaseGrant`]: { ID: id, TTL: '60' } } })
  t.equal(grant.out, 'lease 1e98a1fd56c3981b granted with TTL(60s)\n')
  const revoke = await play('lease revoke 1E98a1fd56c3981b')
  t.equal(revoke.out, 'lease 1e98a1fd56c3981b revoked\n')
  t.match(revoke.recorder.calls, [{ request: { ID: BigInt(id) } }])
  const times = { ID: id, TTL: '59', grantedTTL: '60', keys: ['aw==', 'bA=='] }
  const answers = { [`${LEASE}/LeaseTimeToLive`]: times }
  t.equal(
    (await play('lease timetolive 1e98a1fd56c3981b --keys', { answers })).out,
    'lease 1e98a1fd56c3981b granted with TTL(60s), remaining(59s), attached keys([k l])\n',
  )
  t.match(
    (await play('lease timetolive 1f -w json', { answers })).out,
    `"id":${id},"ttl":59,"granted-ttl":60`,
  )
  const gone = { [`${LEASE}/LeaseTimeToLive`]: { TTL: '-1' } }
  t.equal(
    (await play('lease timetolive 1f', { answers: gone })).out,
    'lease 000000000000001f already expired\n',
  )
  const list = { [`${LEASE}/LeaseLeases`]: { leases: [{ ID: '-1' }, { ID: '1' }] } }
  t.equal(
    (await play('lease list', { answers: list })).out,
    'found 2 leases\nffffffffffffffff\n0000000000000001\n',
  )
  const keepAlive = [{ ID: '1', TTL: '5' }, { ID: '1', TTL: '5' }, { ID: '1' }]
  const once = await play('lease keep-alive 1 --once', { keepAlive })
  t.equal(once.out, 'lease 0000000000000001 keepalived with TTL(5)\n')
  t.equal(once.status, 0)
  const all = await play('lease keep-alive 1', { keepAlive })
  t.equal(all.out.split('\n').length, 3)
  t.equal(all.err, 'Error: lease 0000000000000001 expired or revoked')
  t.equal(all.status, 1)
})

t.test('txn reads its script and prints each answer', async t => {
  const input = 'mod("k") > "0"\n\nput k "a b"\nget k\ndel old\n\n'
  const responses = [
    { response_put: {} },
    { response_range: { kvs: [pair('k', 'a b')] } },
    { response_delete_range: { deleted: '1' } },
  ]
  const answers = { [TXN]: { succeeded: true, responses } }
  const simple = await play('txn', { input, answers })
  t.equal(simple.out, 'SUCCESS\n\nOK\n\nk\na b\n\n1\n')
  t.match(simple.recorder.calls, [
    {
      name: TXN,
      request: {
        compare: [{ target: 2, result: 1, key: bytes('k'), mod_revision: 0 }],
        success: [
          { request_put: { key: bytes('k'), value: bytes('a b') } },
          { request_range: { key: bytes('k') } },
          { request_delete_range: { key: bytes('old') } },
        ],
        failure: [],
      },
    },
  ])
  const asked = await play('txn -i', { input })
  t.match(
    asked.out,
    /^compares:\nsuccess requests \(get, put, del\):\nfailure requests \(get, put, del\):\nFAILURE\n$/,
  )
  t.match(
    (await play('txn -w json', { input, answers })).out,
    '{"Response":{"ResponseDeleteRange":{"deleted":1}}}]}',
  )
  t.match((await play('txn -w fields', { input, answers })).out, '"Succeeded" : true')
  const wrong = await play('txn', { input: 'nonsense' })
  t.equal(wrong.status, 2)
  t.match(wrong.err, 'nonsense is not a comparison')
  t.equal(wrong.recorder.connects.length, 0, 'and nothing was sent')
})

t.test('status asks every endpoint by itself', async t => {
  const answers = {
    [STATUS]: {
      version: '3.5.0',
      dbSize: '20480',
      leader: '10',
      raftTerm: '2',
      raftIndex: '24',
      raftAppliedIndex: '23',
    },
  }
  const { out, recorder } = await play('status --endpoints a:1,b:2', { answers })
  t.equal(
    out,
    'a:1, a, 3.5.0, 20 kB, true, false, 2, 24, 23, \nb:2, a, 3.5.0, 20 kB, true, false, 2, 24, 23, \n',
  )
  t.strictSame(
    recorder.connects.map(({ endpoints }) => endpoints),
    [['a:1'], ['b:2']],
  )
  const down = await play('status', { answers: { [STATUS]: new Error('no answer') } })
  t.equal(down.status, 1)
  t.equal(down.err, 'Failed to get the status of endpoint 127.0.0.1:2379 (no answer)')
})

t.test('where and how long to ask', async t => {
  const endpointsOf = async (argv: string, env: Record<string, string>): Promise<unknown> =>
    (await play(argv, { env })).recorder.connects
  const times = { dialTimeoutMs: 2000, requestTimeoutMs: 5000, auth: null, tls: null }
  t.strictSame(await endpointsOf('get k', {}), [{ endpoints: ['127.0.0.1:2379'], ...times }])
  t.match(await endpointsOf('get k', { ETCDCTL_ENDPOINTS: 'e:1' }), [{ endpoints: ['e:1'] }])
  t.match(await endpointsOf('get k', { ETCDCTL_ENDPOINTS: 'e:1', KVORUM_ENDPOINTS: 'k:1, k:2' }), [
    { endpoints: ['k:1', 'k:2'] },
  ])
  t.match(await endpointsOf('get k --endpoints f:1', { KVORUM_ENDPOINTS: 'k:1' }), [{ endpoints: ['f:1'] }])
  t.match(await endpointsOf('get k --command-timeout 1m30s --dial-timeout=250ms', {}), [
    { dialTimeoutMs: 250, requestTimeoutMs: 90_000 },
  ])
  const files = { caFile: '', certFile: '', keyFile: '', insecureSkipVerify: false }
  const tls: readonly (readonly [string, Record<string, string>, object])[] = [
    ['get k --cacert a', {}, { ...files, caFile: 'a' }],
    [
      'get k --cert c --key k',
      { ETCDCTL_CACERT: 'a' },
      { ...files, caFile: 'a', certFile: 'c', keyFile: 'k' },
    ],
    ['get k', { ETCDCTL_CERT: 'c', KVORUM_CERT: 'd', ETCDCTL_KEY: 'k' }, { certFile: 'd', keyFile: 'k' }],
    ['get k --insecure-transport=false', {}, files],
    ['get k --insecure-skip-tls-verify', {}, { ...files, insecureSkipVerify: true }],
    ['get k', { ETCDCTL_INSECURE_SKIP_TLS_VERIFY: 'true' }, { insecureSkipVerify: true }],
  ]
  for (const [argv, env, expected] of tls) t.match(await endpointsOf(argv, env), [{ tls: expected }], argv)
  const half = await play('get k --cert c', {})
  t.match(half, { status: 1, err: /--cert and --key need each other/ })
})

t.test('misuse is one sentence and status 2; failure is status 1', async t => {
  const sentences: readonly (readonly [string, RegExp])[] = [
    ['nonsense', /there is no command "nonsense"/],
    ['lease nonsense', /there is no command "lease nonsense"/],
    ['get', /an argument is missing; the form is: kvorum get <key>/],
    ['get a b c', /"c" is one argument too many/],
    ['get a --nonsense', /there is no flag --nonsense/],
    ['get a --limit', /the flag --limit needs a value/],
    ['get a --limit -1', /--limit must be a whole number, not "-1"/],
    ['get a --prefix=maybe', /--prefix must be true or false, not "maybe"/],
    ['get a --prefix --from-key', /exclude each other/],
    ['get a b --prefix', /range end cannot stand beside/],
    ['get a -w xml', /--write-out must be one of simple, json, table, fields, not "xml"/],
    ['get a -w table', /table is not supported as output format here/],
    ['get a --command-timeout 5', /must be a duration such as/],
    ['put k v --ignore-value', /cannot stand beside --ignore-value/],
    ['put k v --ignore-lease --lease 1', /exclude each other/],
    ['put k v --lease xyz', /must be a lease id, in hexadecimal/],
    ['lease grant soon', /"soon" is not a number of seconds/],
    ['lease revoke xyz', /"xyz" must be a lease id/],
    ['dev --nodes 9', /--nodes must be a whole number from 1 to 7/],
  ]
  for (const [argv, sentence] of sentences) {
    const { status, err, out, recorder } = await play(argv)
    t.equal(status, 2, argv)
    t.match(err, sentence, argv)
    t.equal(err.split('\n').length, 1, 'one line')
    t.equal(out, '', 'nothing on standard output')
    t.equal(recorder.connects.length, 0, 'nobody was asked')
  }
  const failed = await play('get k', { answers: { [RANGE]: new Error('etcdserver: no leader') } })
  t.equal(failed.status, 1)
  t.equal(failed.err, 'Error: etcdserver: no leader')
  t.equal(failed.recorder.closed(), 1)
  const unreachable = await play('get k', { connectError: new Error('no server can be reached') })
  t.equal(unreachable.status, 1)
  t.equal(unreachable.err, 'Error: no server can be reached')
})

t.test('help', async t => {
  const overview = await play('--help')
  t.equal(overview.status, 0)
  for (const name of ['dev', 'server', 'put', 'get', 'del', 'watch', 'txn', 'lease grant', 'status'])
    t.match(overview.out, new RegExp(`^  ${name} `, 'm'))
  t.equal((await play('')).status, 2, 'no command is a misuse, answered by the same text')
  for (const argv of ['get --help', 'get -h', 'lease grant --help', 'txn --help', 'dev -help']) {
    const { status, out, recorder } = await play(argv)
    t.equal(status, 0, argv)
    t.match(out, /^Usage: kvorum /)
    t.equal(recorder.connects.length, 0)
  }
  t.match((await play('lease --help')).out, /lease keep-alive/)
  t.equal((await play('lease')).status, 2)
})

t.test('snapshot save keeps a file only when its hash is right', async t => {
  const directory = t.testdir()
  const file = join(directory, 'saved.db')
  const content = Buffer.alloc(1024, 7)
  const hash = createHash('sha256').update(content).digest()
  const good = record({ snapshot: [content.subarray(0, 500), content.subarray(500), hash] })
  t.equal(await run(good.io, ['snapshot', 'save', file]), 0)
  t.ok(readFileSync(file).equals(Buffer.concat([content, hash])))
  const other = join(directory, 'other.db')
  for (const snapshot of [[content, Buffer.alloc(32)], [content], [hash.subarray(1)], []]) {
    const bad = record({ snapshot })
    t.equal(await run(bad.io, ['snapshot', 'save', other]), 1)
    t.match(bad.err(), /damaged or incomplete; nothing was saved/)
  }
  t.same(readdirSync(directory), ['saved.db'])
})

t.test('snapshot restore takes a raised revision only together with a compaction', async t => {
  const asked = record()
  t.equal(await run(asked.io, ['snapshot', 'restore', 'x.db', '--bump-revision=5']), 2)
  t.match(asked.err(), /go together/)
})
