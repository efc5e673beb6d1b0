import t from 'tap'
import { differenceText, reportText, runSeeds } from '../differential/campaign.js'
import { DEVIATIONS } from '../differential/deviations.js'
import { partsDrawn } from '../differential/generate.js'
import { PASSWORDS } from '../differential/generateAuth.js'
import { runSequence } from '../differential/run.js'
import { startPair } from '../differential/servers.js'
import { call, type Sequence, type Step } from '../differential/steps.js'
import { etcdVersion } from './etcdPrograms.js'
import { revision, type Template } from '../differential/symbols.js'
import type { Message } from '../differential/target.js'

t.setTimeout(600_000)

const version = etcdVersion()
const skip = version === null && process.env['CI'] !== 'true' ? 'etcd is not installed' : false

/** Enough for each kind of step and each field; many more are in `npm run test:differential`. */
const SEEDS = 240
const CLUSTER_SEEDS = 10

t.test('the same operations have the same answers from etcd', { skip }, async t => {
  const pairs = await Promise.all([startPair(1), startPair(1)])
  t.teardown(() => Promise.all(pairs.map(pair => pair.stop())))
  const report = await runSeeds(pairs, { from: 1, seeds: SEEDS })
  t.strictSame(report.found.map(differenceText), [])
  t.equal(report.sequences, SEEDS)
  t.ok(report.steps > 10 * SEEDS)
  t.strictSame(partsDrawn(1, SEEDS), partsDrawn(1, 20 * SEEDS), 'everything that is ever drawn is in these')
  t.comment(reportText(report, version ?? ''))
})

t.test('deviations are as they are written down', { skip }, async t => {
  const pair = await startPair(1)
  t.teardown(() => pair.stop())
  const key = Buffer.from('a')
  const put = { request_put: { key } }
  const steps = (...all: Step[]): Sequence => ({ seed: 0, transport: 'grpc', steps: all })
  const txnCall = (...success: Template[]): Extract<Step, { kind: 'call' }> =>
    call('etcdserverpb.KV/Txn', { success })
  const txn = (...success: Template[]): Sequence => steps(txnCall(...success))
  const [AUTH, password] = ['etcdserverpb.Auth', PASSWORDS[0]!] as const
  const guarded = (...then: Step[]): Sequence =>
    steps(
      call(`${AUTH}/UserAdd`, { name: 'root', password }),
      call(`${AUTH}/UserGrantRole`, { user: 'root', role: 'root' }),
      call(`${AUTH}/UserAdd`, { name: 'ann', password }),
      call(`${AUTH}/AuthEnable`, {}),
      call(`${AUTH}/Authenticate`, { name: 'ann', password }),
      ...then,
    )
  const login = call(`${AUTH}/Authenticate`, { name: 'root', password })
  const byRoot = (step: Extract<Step, { kind: 'call' }>): Step => ({ ...step, as: 'root' })
  const rootRole = [
    login,
    byRoot(call(`${AUTH}/RoleAdd`, { name: 'root' })),
    byRoot(call(`${AUTH}/RoleGet`, { role: 'root' })),
  ]
  const emptyGrant = [
    byRoot(call(`${AUTH}/RoleAdd`, { name: 'empty' })),
    byRoot(call(`${AUTH}/RoleGrantPermission`, { name: 'empty', perm: {} })),
  ]
  const writer = [
    byRoot(call(`${AUTH}/RoleAdd`, { name: 'writer' })),
    byRoot(call(`${AUTH}/RoleGrantPermission`, { name: 'writer', perm: { permType: 1, key } })),
    byRoot(call(`${AUTH}/UserGrantRole`, { user: 'ann', role: 'writer' })),
  ]
  const nothing = { key: Buffer.from('b'), range_end: key }
  const open = { request_delete_range: { key, range_end: Buffer.from([0]) } }
  const nested = (op: Template): Template => ({ request_txn: { success: [op] } })
  const trailing: Step = { ...call('etcdserverpb.KV/Put', { key }), flaw: { kind: 'trailing' } }
  const cases: [string, Sequence][] = [
    ['txn-put-and-delete', txn(put, open)],
    ['txn-put-and-delete', txn(nested(put), nested({ request_delete_range: { key } }))],
    ['txn-negative-revision', txn({ request_range: { key, revision: -1 } })],
    ['auth-before-checks', guarded(call('etcdserverpb.KV/Put', {}))],
    [
      'auth-backoff',
      guarded(...Array.from({ length: 6 }, () => call(`${AUTH}/Authenticate`, { name: 'nobody', password }))),
    ],
    [
      'auth-no-password',
      guarded(
        login,
        byRoot(call(`${AUTH}/UserAdd`, { name: 'bob', options: { no_password: true } })),
        call(`${AUTH}/Authenticate`, { name: 'bob', password }),
      ),
    ],
    [
      'hash-at-compacted',
      steps(call('etcdserverpb.Maintenance/HashKV', { revision: revision('compacted') })),
    ],
    ['auth-empty-txn', guarded(call('etcdserverpb.KV/Txn', {}))],
    ['auth-role-root', guarded(...rootRole)],
    ['auth-empty-range', guarded({ ...call('etcdserverpb.KV/DeleteRange', nothing), as: 'ann' })],
    ['auth-empty-key', guarded(login, ...emptyGrant)],
    ['auth-nested-txn', guarded({ ...txnCall(nested(put)), as: 'ann' })],
    [
      'auth-txn-prev',
      guarded(login, ...writer, { ...txnCall({ request_put: { key, prev_kv: true } }), as: 'ann' }),
    ],
    ['gateway-trailing', { ...steps(trailing), transport: 'json' }],
  ]
  const past = new Set(DEVIATIONS.filter(({ isOld }) => isOld && !pair.isOld).map(({ id }) => id))
  for (const [id, sequence] of cases) {
    const expected = past.has(id) ? { kind: 'equal' } : { kind: 'deviates', id }
    t.strictSame(await runSequence(pair, sequence), expected, id)
  }
  t.strictSame(
    new Set(cases.map(([id]) => id)),
    new Set(DEVIATIONS.filter(({ isChance }) => !isChance).map(({ id }) => id)),
  )
})

t.test('watches: where kvorum differs', { skip }, async t => {
  const pair = await startPair(1)
  t.teardown(() => pair.stop())
  const key = Buffer.from('a')
  for (const target of [pair.etcd, pair.kvorum]) {
    const isOurs = target === pair.kvorum
    for (let i = 0; i < 3; i++) await target.grpc('etcdserverpb.KV/Put', { key })
    await target.grpc('etcdserverpb.KV/Compact', { revision: 3 })
    const stream = target.watchStream()
    const says = async (request: Message, count: number): Promise<Message> => {
      const before = stream.said.length
      stream.send({ create_request: request })
      await stream.until(() => stream.said.length >= before + count)
      return stream.said.at(-1)!
    }
    const early = await says({ key, start_revision: 2, watch_id: 5n }, 2)
    t.match(early, { watch_id: 5n, canceled: true, compact_revision: 3 })
    const again = await says({ key, watch_id: 5n }, 1)
    t.equal(again['canceled'], !isOurs, `watch-id-reuse: ${target.name}`)
    const negative = await says({ key, start_revision: -1 }, 1)
    t.equal(isOurs, negative['canceled'], `watch-negative-start: ${target.name}`)
    stream.close()
  }
})

t.test('also where kvorum is a cluster', { skip }, async t => {
  const pair = await startPair(3)
  t.teardown(() => pair.stop())
  const report = await runSeeds([pair], { from: 100_001, seeds: CLUSTER_SEEDS })
  t.strictSame(report.found.map(differenceText), [])
  t.equal(report.sequences, CLUSTER_SEEDS)
})
