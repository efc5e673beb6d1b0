import { readFileSync } from 'node:fs'
import { Etcd3, type IOptions } from 'etcd3'
import t, { type Test } from 'tap'
import { holds, until } from '../process/until.js'
import { MODES, READER, roles, startAccess, type Access } from './access.js'

t.setTimeout(900_000)

function connect(t: Test, access: Access, nodes = access.cluster.nodes, more: Partial<IOptions> = {}): Etcd3 {
  const { ca, cert, key, user } = access
  const credentials =
    ca === null
      ? {}
      : {
          credentials: {
            rootCertificate: readFileSync(ca),
            ...(cert === null ? {} : { privateKey: readFileSync(key!), certChain: readFileSync(cert) }),
          },
        }
  const client = new Etcd3({
    hosts: nodes.map(node => access.url(node)),
    ...credentials,
    ...(user === null ? {} : { auth: { username: user.name, password: user.password } }),
    ...more,
  })
  t.teardown(() => client.close())
  return client
}

for (const mode of MODES)
  t.test(`npm etcd3, ${mode}`, async t => {
    const access = await startAccess(t, mode)
    const client = connect(t, access)
    await keys(t, client)
    await watches(t, client)
    await leases(t, client)
    await locks(t, client)
    await elections(t, client)
    await stm(t, client)
    if (access.user !== null) await users(t, access, client)
  })

async function keys(t: Test, client: Etcd3): Promise<void> {
  await client.put('foo').value('bar')
  t.equal(await client.get('foo').string(), 'bar')
  t.equal(await client.get('none').string(), null)
  await client.put('n').value(7)
  t.equal(await client.get('n').number(), 7)
  for (const name of ['p/c', 'p/a', 'p/b']) await client.put(name).value(name)
  t.strictSame(await client.getAll().prefix('p/').sort('Key', 'Descend').keys(), ['p/c', 'p/b', 'p/a'])
  t.strictSame(await client.getAll().prefix('p/').limit(2).strings(), { 'p/a': 'p/a', 'p/b': 'p/b' })
  t.equal(await client.getAll().prefix('p/').count(), 3)
  const space = client.namespace('space/')
  await space.put('in').value('side')
  t.equal(await client.get('space/in').string(), 'side')
  const outcome = await client
    .if('foo', 'Value', '==', 'bar')
    .and('none', 'Create', '==', 0)
    .then(client.put('foo').value('baz'), client.get('n'))
    .else(client.delete().key('foo'))
    .commit()
  t.match(outcome, { succeeded: true, responses: { length: 2 } })
  t.equal(await client.get('foo').string(), 'baz')
  t.match(await client.delete().prefix('p/').getPrevious(), { length: 3 })
  await t.rejects(client.get('foo').revision(1_000_000).exec(), /future revision/)
  await t.rejects(client.leaseClient.leaseRevoke({ ID: '99' }), /requested lease not found/)
}

/** Another user may read and watch what is his, and nothing else. */
async function users(t: Test, access: Access, client: Etcd3): Promise<void> {
  const auth = { username: READER.name, password: READER.password }
  const reader = connect(t, access, access.cluster.nodes, { auth })
  await client.put('open/a').value('1')
  t.equal(await reader.get('open/a').string(), '1')
  const watcher = await reader.watch().prefix('open/').create()
  const seen: string[] = []
  watcher.on('put', kv => seen.push(kv.value.toString()))
  await client.put('open/a').value('2')
  await holds('the event', () => seen.includes('2'))
  await watcher.cancel()
  await t.rejects(reader.put('open/a').value('3').exec(), /permission denied/)
  await t.rejects(reader.get('foo').exec(), /permission denied/)
  const stranger = connect(t, access, access.cluster.nodes, { auth: { ...auth, password: 'wrong' } })
  await t.rejects(stranger.get('open/a').exec(), /invalid user ID or password/)
}

async function watches(t: Test, client: Etcd3): Promise<void> {
  const watcher = await client.watch().prefix('w/').create()
  const other = await client.watch().key('v').withPreviousKV().create()
  const seen: string[] = []
  watcher.on('put', (kv, previous) =>
    seen.push(`put ${kv.key.toString()} ${previous?.value.toString() ?? '-'}`),
  )
  watcher.on('delete', kv => seen.push(`delete ${kv.key.toString()}`))
  other.on('put', (kv, previous) =>
    seen.push(`other ${kv.value.toString()} ${previous?.value.toString() ?? '-'}`),
  )
  await client.put('w/1').value('x')
  await client.delete().key('w/1')
  await client.put('v').value('1')
  await client.put('v').value('2')
  await holds('the events', () => seen.length === 4)
  t.strictSame(
    seen.filter(line => !line.startsWith('other')),
    ['put w/1 -', 'delete w/1'],
  )
  t.strictSame(
    seen.filter(line => line.startsWith('other')),
    ['other 1 -', 'other 2 1'],
  )
  await watcher.cancel()
  await other.cancel()
}

async function leases(t: Test, client: Etcd3): Promise<void> {
  const lease = client.lease(60)
  await lease.put('leased').value('x')
  await lease.keepaliveOnce()
  t.match(await client.leaseClient.leaseTimeToLive({ ID: await lease.grant(), keys: true }), {
    grantedTTL: '60',
  })
  await lease.revoke()
  t.equal(await client.get('leased').string(), null)
  const short = client.lease(2, { autoKeepAlive: false })
  await short.put('short').value('x')
  await holds('the key to go with its lease', async () => (await client.get('short').string()) === null)
}

async function locks(t: Test, client: Etcd3): Promise<void> {
  const lock = client.lock('mutex')
  await lock.acquire()
  await t.rejects(client.lock('mutex').acquire(), /lock/i)
  await lock.release()
  t.equal(await client.lock('mutex').do(async () => 'done'), 'done')
}

async function elections(t: Test, client: Etcd3): Promise<void> {
  const election = client.election('office', 60)
  const observer = await election.observe()
  const told: string[] = []
  observer.on('change', value => told.push(String(value)))
  const first = election.campaign('one')
  await first.wait()
  t.equal(await election.leader(), 'one')
  await first.proclaim('uno')
  await holds('the new value', () => told.at(-1) === 'uno')
  const second = election.campaign('two')
  second.on('error', error => t.fail(error))
  await first.resign()
  await second.wait()
  await holds('the next leader', () => told.at(-1) === 'two')
  await second.resign()
  await observer.cancel()
}

async function stm(t: Test, client: Etcd3): Promise<void> {
  await client.put('counter').value(0)
  const add = () =>
    client.stm({ retries: 100 }).transact(async tx => {
      const before = Number(await tx.get('counter').number())
      await tx.put('counter').value(before + 1)
    })
  await Promise.all(Array.from({ length: 8 }, add))
  t.equal(await client.get('counter').number(), 8)
}

t.test('npm etcd3: watchers, leases and locks outlive the leader', async t => {
  const access = await startAccess(t, 'plain')
  const client = connect(t, access)
  const watcher = await client.watch().prefix('w/').create()
  const seen: string[] = []
  watcher.on('put', kv => seen.push(kv.value.toString()))
  const lease = client.lease(20)
  lease.on('lost', error => t.fail(error))
  await lease.put('leased').value('here')
  const lock = client.lock('mutex').ttl(60)
  await lock.acquire()
  await client.put('w/1').value('before')
  await holds('the first event', () => seen.includes('before'))
  for (let round = 0; round < 2; round++) {
    const { leader } = await roles(access)
    await leader.stop('SIGKILL')
    await access.cluster.leader(access.cluster.others(leader))
    await until(`a put of round ${round}`, () =>
      client
        .put(`w/${round}`)
        .value(`after ${round}`)
        .then(
          () => true as const,
          () => null,
        ),
    )
    await holds('its event', () => seen.includes(`after ${round}`))
    leader.start()
    await access.cluster.healthy()
  }
  t.equal(await client.get('leased').string(), 'here')
  t.equal(seen.filter(value => value === 'before').length, 1, 'nothing twice')
  await lock.release()
  await lease.revoke()
  await watcher.cancel()
})
