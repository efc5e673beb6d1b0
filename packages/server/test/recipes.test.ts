import { toKeyString } from '@kvorum/model'
import t from 'tap'
import { bytes, fails, withServer, type Caller } from './caller.js'
import { until } from './harness.js'
import type { FakeNode } from './fakeNode.js'

const LOCK = 'v3lockpb.Lock/Lock'
const UNLOCK = 'v3lockpb.Lock/Unlock'
const CAMPAIGN = 'v3electionpb.Election/Campaign'
const PROCLAIM = 'v3electionpb.Election/Proclaim'
const LEADER = 'v3electionpb.Election/Leader'
const OBSERVE = 'v3electionpb.Election/Observe'
const RESIGN = 'v3electionpb.Election/Resign'
const RANGE = 'etcdserverpb.KV/Range'
const name = bytes('name')
const text = (value: Uint8Array): string => Buffer.from(value).toString()

const grant = async (caller: Caller, ID: bigint): Promise<bigint> =>
  (await caller.call('etcdserverpb.Lease/LeaseGrant', { ID, TTL: 60 })).ID

/** Keys of the queue, in the order of their making. */
async function queue(caller: Caller): Promise<string[]> {
  const found = await caller.call(RANGE, { key: bytes('name/'), range_end: bytes('name0'), sort_target: 2 })
  return found.kvs.map(kv => text(kv.key))
}

const waiting = (node: FakeNode, calls: number): Promise<void> =>
  until(
    () => [...node.streams].filter(stream => stream.watches.size > 0).length === calls,
    `${calls} waiting`,
  )

t.test('lock: one after the other, by key, with a lease of the caller', t =>
  withServer(t, async (caller, { node }) => {
    const leases = [await grant(caller, 0x1an), await grant(caller, 0x2bn), await grant(caller, 0x3cn)]
    const first = await caller.call(LOCK, { name, lease: leases[0]! })
    t.equal(text(first.key), 'name/1a')
    t.equal(first.header?.revision, 2)
    t.strictSame(await caller.call(LOCK, { name, lease: leases[0]! }), first, 'held already: nothing changes')
    const second = caller.begin(LOCK, { name, lease: leases[1]! })
    await waiting(node, 1)
    const third = caller.begin(LOCK, { name, lease: leases[2]! })
    await waiting(node, 2)
    await caller.call(UNLOCK, { key: first.key })
    const held = await second.answer
    t.equal(text(held.key), 'name/2b')
    t.equal(held.header?.revision, 5, 'of the look at its own key')
    t.strictSame(await queue(caller), ['name/2b', 'name/3c'])
    await caller.call(UNLOCK, { key: held.key })
    t.equal(text((await third.answer).key), 'name/3c')
    await fails(t, caller.call(UNLOCK, {}), 3, 'etcdserver: key is not provided')
  }),
)

t.test('lock: without a lease the server makes one of 60 s', t =>
  withServer(t, async (caller, { node }) => {
    const { key } = await caller.call(LOCK, { name })
    const granted = node.seen.map(({ request }) => request).find(request => request.kind === 'leaseGrant')
    t.match(granted, { ttl: 60 })
    t.equal(text(key), `name/${(granted as { id: bigint }).id.toString(16)}`)
    const waits = caller.begin(LOCK, { name })
    await waiting(node, 1)
    waits.cancel()
    await until(
      () => node.seen.at(-1)?.request.kind === 'leaseRevoke',
      'the end of the lease nobody has heard of',
    )
  }),
)

t.test('lock: who gives up leaves the queue; whose key has gone while he waited is told', t =>
  withServer(t, async (caller, { node }) => {
    const first = await caller.call(LOCK, { name, lease: await grant(caller, 1n) })
    const second = caller.begin(LOCK, { name, lease: await grant(caller, 2n) })
    await waiting(node, 1)
    const third = caller.begin(LOCK, { name, lease: await grant(caller, 3n) })
    await waiting(node, 2)
    second.cancel()
    await waiting(node, 1)
    await until(() => !node.has('name/2'), 'the key of the second to go')
    t.strictSame(await queue(caller), ['name/1', 'name/3'])
    await waiting(node, 1)
    await caller.call('etcdserverpb.KV/DeleteRange', { key: bytes('name/3') })
    await caller.call(UNLOCK, { key: first.key })
    await fails(t, third.answer, 2, 'mutex: session is expired')
  }),
)

t.test('lock: refusals come through, and a wait is not a request under way', t =>
  withServer(t, async (caller, { node, server }) => {
    await caller.call(LOCK, { name, lease: await grant(caller, 1n) })
    const second = caller.begin(LOCK, { name, lease: await grant(caller, 2n) })
    await waiting(node, 1)
    node.refusal = 'leaseNotFound'
    await fails(t, caller.call(LOCK, { name, lease: 9n }), 5, 'etcdserver: requested lease not found')
    node.refusal = null
    await caller.call(RANGE, { key: name })
    await server.stop()
    await fails(t, second.answer, 14, /server stopped|closed|dropped/)
  }),
)

t.test('lock: a watch that is refused is the reason; one refused by older rights is asked for again', t =>
  withServer(t, async (caller, { node }) => {
    const leases = [await grant(caller, 0x1an), await grant(caller, 0x2bn), await grant(caller, 0x3cn)]
    const { key } = await caller.call(LOCK, { name, lease: leases[0]! })
    node.watchRefusal = { reason: 'etcdserver: permission denied', code: 'permissionDenied' }
    await fails(t, caller.call(LOCK, { name, lease: leases[1]! }), 7, 'etcdserver: permission denied')
    node.watchRefusal = { reason: 'users and roles have changed', code: 'authOutdated' }
    const second = caller.begin(LOCK, { name, lease: leases[2]! })
    await waiting(node, 1)
    t.equal(node.watchRefusal, null, 'it looked again')
    for (const one of [key, bytes('name/2b')]) await caller.call(UNLOCK, { key: one })
    t.equal(text((await second.answer).key), 'name/3c')
  }),
)

t.test('lock: a compaction under the wait means to look again', t =>
  withServer(t, async (caller, { node }) => {
    const first = await caller.call(LOCK, { name, lease: await grant(caller, 1n) })
    const second = caller.begin(LOCK, { name, lease: await grant(caller, 2n) })
    await waiting(node, 1)
    const [watch] = node.streams
    watch!.deliver({ kind: 'canceled', header: node.header, watchId: 0, reason: '', compactRevision: 3 })
    await until(() => !node.streams.has(watch!), 'another watch')
    await waiting(node, 1)
    await caller.call(UNLOCK, { key: first.key })
    t.equal(text((await second.answer).key), 'name/2')
  }),
)

t.test('election: campaign, proclaim, leader, resign', t =>
  withServer(t, async (caller, { node }) => {
    await fails(t, caller.call(LEADER, { name }), 2, 'election: no leader')
    const first = await caller.call(CAMPAIGN, { name, lease: await grant(caller, 1n), value: bytes('a') })
    t.match(first.leader, { name, key: bytes('name/1'), rev: 2, lease: 1n })
    const second = caller.begin(CAMPAIGN, { name, lease: await grant(caller, 2n), value: bytes('b') })
    await waiting(node, 1)
    t.match((await caller.call(LEADER, { name })).kv, { key: bytes('name/1'), value: bytes('a') })
    const again = await caller.call(CAMPAIGN, { name, lease: 1n, value: bytes('other') })
    t.strictSame(again.leader, first.leader, 'the same place, with the new value')
    t.match((await caller.call(LEADER, { name })).kv, { value: bytes('other'), create_revision: 2 })
    await caller.call(PROCLAIM, { leader: first.leader, value: bytes('c') })
    t.match((await caller.call(LEADER, { name })).kv, { value: bytes('c'), lease: 1n })
    await caller.call(RESIGN, { leader: first.leader })
    const won = await second.answer
    t.match(won.leader, { key: bytes('name/2'), lease: 2n })
    await fails(
      t,
      caller.call(PROCLAIM, { leader: first.leader, value: bytes('d') }),
      2,
      'election: not leader',
    )
    await caller.call(RESIGN, { leader: first.leader })
    t.match(
      (await caller.call(LEADER, { name })).kv,
      { key: bytes('name/2') },
      'resigning twice harms nobody',
    )
    for (const rpc of [PROCLAIM, RESIGN] as const)
      await fails(t, caller.call(rpc, {}), 2, '"leader" field must be provided')
    const third = caller.begin(CAMPAIGN, { name, lease: await grant(caller, 3n), value: bytes('e') })
    await waiting(node, 1)
    third.cancel()
    await until(() => !node.has('name/3'), 'the candidate that gave up to leave')
  }),
)

t.test('election: observe tells every leader and every value', t =>
  withServer(t, async (caller, { node }) => {
    const stream = caller.open(OBSERVE)
    stream.send({ name })
    stream.call.end()
    await waiting(node, 1)
    const { leader } = await caller.call(CAMPAIGN, {
      name,
      lease: await grant(caller, 1n),
      value: bytes('a'),
    })
    await until(() => stream.got.length === 1, 'the first leader')
    const second = caller.begin(CAMPAIGN, { name, lease: await grant(caller, 2n), value: bytes('b') })
    await waiting(node, 2)
    await caller.call(PROCLAIM, { leader, value: bytes('c') })
    await until(() => stream.got.length === 2, 'its second value')
    await caller.call(RESIGN, { leader })
    const won = await second.answer
    await until(() => stream.got.length === 3, 'the next leader')
    await caller.call(RESIGN, { leader: won.leader })
    await waiting(node, 1)
    await caller.call(CAMPAIGN, { name, lease: await grant(caller, 3n), value: bytes('d') })
    await until(() => stream.got.length === 4, 'a leader after none')
    t.strictSame(
      stream.got.map(({ kv }) => `${text(kv!.key)} ${text(kv!.value)}`),
      ['name/1 a', 'name/1 c', 'name/2 b', 'name/3 d'],
    )
    t.ok(stream.got.every(({ header, kv }) => header!.revision >= kv!.mod_revision))
    const late = caller.open(OBSERVE)
    late.send({ name })
    late.call.end()
    await until(() => late.got.length === 1, 'who leads already')
    t.equal(toKeyString(late.got[0]!.kv!.key), toKeyString(bytes('name/3')))
    late.call.cancel()
    stream.call.cancel()
    await until(() => node.streams.size === 0, 'no watch to be left')
  }),
)
