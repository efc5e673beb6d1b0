import { join } from 'node:path'
import t, { type Test } from 'tap'
import { RawClient } from '@kvorum/client'
import { leaseId } from '@kvorum/model'
import { Cluster } from './cluster.js'
import {
  etcdctl,
  kvorum,
  type Ran,
  RealEtcd,
  skipWithoutEtcd,
  snapshotStatus,
  succeeds,
  temporaryDirectory,
} from './realEtcd.js'
import type { ServerProcess } from './serverProcess.js'
import { dumpFile, historyOf, stateAt } from './snapshotDump.js'
import { holds } from './until.js'

t.setTimeout(600_000)

const KEYS = 20_000
const PER_TXN = 100
const TIMEOUT_MS = 60_000

function clientOf(t: Test, endpoint: string): RawClient {
  const client = new RawClient({ endpoints: endpoint, timeoutMs: TIMEOUT_MS })
  t.teardown(() => client.close())
  return client
}

const put = (key: string | Uint8Array, value: string | Uint8Array, lease = 0n) => ({
  request_put: { key: Buffer.from(key), value: Buffer.from(value), lease: leaseId(lease) },
})
const del = (key: string, end = '') => ({
  request_delete_range: { key: Buffer.from(key), range_end: Buffer.from(end) },
})

const txn = (client: RawClient, ...success: (ReturnType<typeof put> | ReturnType<typeof del>)[]) =>
  client.call('etcdserverpb.KV/Txn', { success })

/** A store with a past: the same on whatever is asked to do it. The revision it was compacted at. */
async function live(client: RawClient): Promise<number> {
  await client.call('etcdserverpb.Lease/LeaseGrant', { ID: leaseId(0x1234n), TTL: 5000 })
  await client.call('etcdserverpb.Lease/LeaseGrant', { ID: leaseId(0x7777n), TTL: 9000 })
  for (let at = 0; at < KEYS; at += PER_TXN) {
    const keys = Array.from({ length: PER_TXN }, (_, i) => `many/${String(KEYS - at - i).padStart(6, '0')}`)
    await txn(client, ...keys.map(key => put(key, `value of ${key}`)))
  }
  for (let i = 0; i < 3; i++) await txn(client, put(`large/${i}`, Buffer.alloc(1024 * 1024, i + 1)))
  await txn(client, put('z', '1'), put('a', '1'), put('m', '1'), del('many/000100', 'many/000200'))
  await txn(client, put(Buffer.from('ff00fe80', 'hex'), ''), put(Buffer.of(0), Buffer.from('00ff', 'hex')))
  await txn(
    client,
    put('leased/1', 'x', 0x1234n),
    put('leased/2', 'y', 0x1234n),
    put('leased/3', '', 0x7777n),
  )
  await txn(client, put('z', '2'), put('gone', '1'))
  const { header } = await txn(client, put('a', '2'), del('gone'), put('b', '1'))
  const compacted = header!.revision
  for (let i = 0; i < 5; i++) await txn(client, put('z', `later ${i}`), put('many/000500', ''), put('c', 'c'))
  await client.call('etcdserverpb.KV/Compact', { revision: compacted, physical: true })
  await txn(client, del('z'), put('y', '', 0x7777n), del('many/000300', 'many/000400'))
  await txn(client, put('z', 'again'), del('a'), put('leased/1', 'free'))
  await txn(client, put(Buffer.alloc(300, 0xff), 'a long key'), del('m'))
  return compacted
}

const revisionOf = async (client: RawClient): Promise<number> =>
  (await client.call('etcdserverpb.KV/Range', { key: Buffer.from('x') })).header!.revision

/** Every key of every revision that can be asked for, and the leases. */
async function same(t: Test, wanted: RawClient, found: RawClient, compacted: number): Promise<void> {
  const newest = await revisionOf(wanted)
  t.equal(await revisionOf(found), newest, 'the revision')
  for (let revision = compacted; revision <= newest; revision++) {
    t.equal(await stateAt(found, revision), await stateAt(wanted, revision), `at revision ${revision}`)
  }
  await t.rejects(stateAt(found, compacted - 1), /has been compacted/)
  const leases = async (client: RawClient) => {
    const list = await client.call('etcdserverpb.Lease/LeaseLeases', {})
    const ids = list.leases.map(({ ID }) => ID).sort((a, b) => (a < b ? -1 : 1))
    return Promise.all(
      ids.map(async ID => {
        const lease = await client.call('etcdserverpb.Lease/LeaseTimeToLive', { ID, keys: true })
        return { ID, granted: lease.grantedTTL, keys: lease.keys.map(key => key.toString()).sort() }
      }),
    )
  }
  t.same(await leases(found), await leases(wanted), 'leases and their keys')
}

async function restoreMember({ plan }: ServerProcess, file: string): Promise<Ran> {
  const value = (name: string): string =>
    plan.flags.find(flag => flag.startsWith(`--${name}=`))!.slice(name.length + 3)
  const taken = ['name', 'data-dir', 'initial-cluster', 'initial-cluster-token']
  return kvorum(
    ...['snapshot', 'restore', file, ...taken.map(name => `--${name}=${value(name)}`)],
    `--initial-advertise-peer-urls=${value('listen-peer-urls')}`,
  )
}

async function etcdFrom(t: Test, file: string, dataDir: string): Promise<RealEtcd> {
  const etcd = await RealEtcd.create(t, dataDir)
  await succeeds(t, etcd.restore(file), "etcd's snapshot restore")
  return etcd.start()
}

t.test('from etcd to kvorum and back: every key, revision and lease', { skip: skipWithoutEtcd }, async t => {
  const directory = temporaryDirectory(t)
  const path = (name: string): string => join(directory, name)
  const first = await (await RealEtcd.create(t, path('first'))).start()
  const firstClient = clientOf(t, first.endpoint)
  const compacted = await live(firstClient)
  await succeeds(t, first.etcdctl('snapshot', 'save', path('etcd.db')), 'etcdctl snapshot save')

  const cluster = await Cluster.create(t)
  for (const node of cluster.nodes) {
    await succeeds(t, restoreMember(node, path('etcd.db')), 'kvorum snapshot restore')
    node.start()
  }
  await cluster.healthy()
  const client = clientOf(t, cluster.nodes[1]!.plan.clientUrl)
  await same(t, firstClient, client, compacted)

  const endpoint = new URL(cluster.nodes[2]!.plan.clientUrl).host
  // A busy machine may cost the cluster its leader for a moment.
  await holds('kvorum snapshot save', async () => {
    const saved = await kvorum('snapshot', 'save', path('kvorum.db'), `--endpoints=${endpoint}`)
    return saved.status === 0
  })
  t.same(
    await historyOf(path('kvorum.db')),
    await historyOf(path('etcd.db')),
    'the same versions in the file',
  )
  const [ours, theirs] = [await dumpFile(path('kvorum.db')), await dumpFile(path('etcd.db'))]
  t.same(ours.get('lease'), theirs.get('lease'), 'the same leases in the file')
  t.same(ours.get('alarm'), [], 'alarms are not in it')

  const second = await etcdFrom(t, path('kvorum.db'), path('second'))
  await same(t, firstClient, clientOf(t, second.endpoint), compacted)
  for (let revision = compacted + 1; revision <= (await revisionOf(firstClient)); revision++) {
    const hashes = [first, second].map(async etcd => {
      const argv = ['endpoint', 'hashkv', `--rev=${revision}`, '--write-out=json']
      const [answer] = JSON.parse(await succeeds(t, etcd.etcdctl(...argv), 'etcdctl endpoint hashkv')) as {
        HashKV: { hash: number; compact_revision: number }
      }[]
      return { hash: answer!.HashKV.hash, compacted: answer!.HashKV.compact_revision }
    })
    const [wanted, found] = await Promise.all(hashes)
    t.same(found, wanted, `etcd's own hash at revision ${revision}`)
  }

  // And what kvorum itself has written, deleted and compacted since, taken by etcd's own tool.
  await txn(client, put('q', '1'), put('p', '2'), del('many/001000', 'many/001050'), put('o', '', 0x1234n))
  await txn(client, put('p', '3'))
  await client.call('etcdserverpb.Lease/LeaseRevoke', { ID: leaseId(0x7777n) })
  const later = await revisionOf(client)
  await client.call('etcdserverpb.KV/Compact', { revision: later, physical: false })
  await txn(client, put('p', '4'), del('q'))
  const third = await RealEtcd.create(t, path('third'))
  const saved = etcdctl(endpoint, 'snapshot', 'save', path('3.db'))
  await succeeds(t, saved, 'etcdctl snapshot save from kvorum')
  const printed = await succeeds(t, snapshotStatus(path('3.db')), "etcd's snapshot status")
  const status = await succeeds(
    t,
    kvorum('snapshot', 'status', path('3.db'), '-w', 'json'),
    'snapshot status',
  )
  const { hash, revision, totalKey } = JSON.parse(status) as Record<string, number>
  t.match(printed, `${hash!.toString(16)}, ${revision}, ${totalKey}, `, 'both tools read the same')
  await succeeds(t, third.restore(path('3.db')), "etcd's snapshot restore")
  await third.start()
  await same(t, client, clientOf(t, third.endpoint), later)
})
