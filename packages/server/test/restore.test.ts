import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { codec } from '@kvorum/protocol'
import {
  createClusterNode,
  loadConfig,
  nodeSetup,
  restoreSnapshot,
  SILENT,
  snapshotStatus,
} from '@kvorum/server'
import { loadMetaState } from '@kvorum/placement'
import {
  addEntry,
  closeBucket,
  createBboltWriter,
  finishFile,
  LevelEngine,
  openBucket,
  takePages,
} from '@kvorum/storage'
import { encodeRevisionKey } from '#src/snapshot/etcdBuckets.js'

type Entries = readonly (readonly [Uint8Array | string, Uint8Array | string])[]

const KEY_VALUE = codec('mvccpb.KeyValue')

const version = (revision: number, version: number, create = 2, name = 'k') =>
  [
    encodeRevisionKey({ revision, sub: 0, tombstone: false }),
    KEY_VALUE.encode({
      key: Buffer.from(name),
      create_revision: create,
      mod_revision: revision,
      version,
      value: Buffer.from(`v${revision}`),
    }),
  ] as const

/** A file with these buckets and its hash. */
function database(buckets: Readonly<Record<string, Entries>>): Buffer {
  const writer = createBboltWriter()
  for (const name of Object.keys(buckets).sort()) {
    openBucket(writer, Buffer.from(name))
    for (const [key, value] of buckets[name]!) addEntry(writer, Buffer.from(key), Buffer.from(value))
    closeBucket(writer)
  }
  const head = finishFile(writer)
  const bytes = Buffer.concat([head, ...takePages(writer)])
  return Buffer.concat([bytes, createHash('sha256').update(bytes).digest()])
}

const KEYS = [version(2, 1), version(3, 2), version(4, 3)]

function rig(t: Test) {
  const directory = t.testdir()
  const dataDir = join(directory, 'data')
  const argv = [
    ...['--name=one', `--data-dir=${dataDir}`, '--initial-cluster=one=http://127.0.0.1:1'],
    ...['--initial-advertise-peer-urls=http://127.0.0.1:1', '--listen-peer-urls=http://127.0.0.1:1'],
  ]
  const loaded = loadConfig({ argv, environment: {}, readFile: () => '' })
  if (loaded.kind !== 'run') throw new Error('the configuration is right')
  const { config } = loaded
  const file = join(directory, 'file.db')
  return {
    dataDir,
    config,
    file,
    restore: (bytes: Uint8Array, options: { skipHashCheck?: boolean; bumpRevision?: number } = {}) => {
      writeFileSync(file, bytes)
      return restoreSnapshot({ file, config, skipHashCheck: false, bumpRevision: 0, ...options })
    },
  }
}

t.test('a file becomes a directory', async t => {
  const { restore, dataDir, file } = rig(t)
  const lease = codec('leasepb.Lease').encode({ ID: 5n, TTL: 60 })
  const bytes = database({ key: KEYS, lease: [[Buffer.alloc(8, 1), lease]], meta: [] })
  t.same(await restore(bytes), { revision: 4, compactRevision: 0, leases: 1 })
  t.same(readdirSync(dataDir), ['store-0'])
  t.match(await snapshotStatus(file), { revision: 4, totalKey: 4, totalSize: bytes.length - 32 })
})

/** The buckets and keys of etcd 3.5, and what 3.6 adds. */
function ofEtcd35(): Readonly<Record<string, Entries>> {
  const count = (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(value)
    return bytes
  }
  const member = JSON.stringify({ id: 1, peerURLs: ['http://10.0.0.1:2380'], name: 'old', clientURLs: [] })
  const alarm = codec('etcdserverpb.AlarmMember')
  return {
    alarm: [
      [alarm.encode({ memberID: 0xfedc_ba98_7654_3210n, alarm: 2 }), ''],
      [alarm.encode({ memberID: 0x1234n, alarm: 1 }), ''],
    ],
    auth: [
      ['authEnabled', Buffer.of(1)],
      ['authRevision', count(5n)],
    ],
    authRoles: [['root', codec('authpb.Role').encode({ name: Buffer.from('root'), keyPermission: [] })]],
    authUsers: [
      [
        'root',
        codec('authpb.User').encode({
          name: Buffer.from('root'),
          password: Buffer.from('$2a$04$x'),
          roles: ['root'],
          options: { no_password: false },
        }),
      ],
    ],
    cluster: [
      ['clusterVersion', '3.5.0'],
      ['downgrade', '{"target-version":"","enabled":false}'],
    ],
    key: KEYS,
    lease: [],
    members: [['0000000000000001', member]],
    members_removed: [['0000000000000002', 'removed']],
    meta: [
      ['confState', '{"voters":[1],"auto_leave":false}'],
      ['consistent_index', count(77n)],
      ['finishedCompactRev', encodeRevisionKey({ revision: 2, sub: 0, tombstone: false })],
      ['scheduledCompactRev', encodeRevisionKey({ revision: 2, sub: 0, tombstone: false })],
      ['storageVersion', '3.6.0'],
      ['term', count(9n)],
    ],
  }
}

t.test('a file as etcd 3.5 and 3.6 write it: users and alarms, and nothing of the old members', async t => {
  const { restore, dataDir } = rig(t)
  t.same(await restore(database(ofEtcd35())), { revision: 4, compactRevision: 2, leases: 0 })
  const engine = await LevelEngine.open(join(dataDir, 'store-0', 'state'))
  const step = loadMetaState()
  let loaded = step.next()
  while (loaded.done !== true) loaded = step.next(await engine.fetch(loaded.value))
  await engine.close()
  const meta = loaded.value!
  t.strictSame(meta.alarms, {
    version: 1,
    active: [
      { member: 0x1234n, alarm: 'noSpace' },
      { member: 0xfedc_ba98_7654_3210n, alarm: 'corrupt' },
    ],
  })
  t.match(meta.auth, { enabled: true, revision: 5 })
  t.strictSame([...meta.auth.users.keys()], ['root'])
  t.strictSame(
    meta.nodes.map(({ peerUrls }) => peerUrls),
    [['http://127.0.0.1:1']],
  )
})

t.test('the revision can be raised', async t => {
  const { restore } = rig(t)
  const bytes = database({ key: KEYS, meta: [] })
  t.same(await restore(bytes, { bumpRevision: 1000 }), { revision: 1004, compactRevision: 1004, leases: 0 })
})

t.test("a revision that etcd's own tool has raised is taken over", async t => {
  const { restore } = rig(t)
  const bump = [encodeRevisionKey({ revision: 90, sub: 0, tombstone: false }), Buffer.alloc(0)] as const
  const compacted = encodeRevisionKey({ revision: 90, sub: 0, tombstone: false })
  const bytes = database({ key: [...KEYS, bump], meta: [['scheduledCompactRev', compacted]] })
  t.same(await restore(bytes), { revision: 90, compactRevision: 90, leases: 0 })
})

t.test('what cannot be taken is refused with a sentence, and leaves nothing that starts', async t => {
  const good = database({ key: KEYS, meta: [] })
  const flipped = Buffer.from(good)
  flipped[good.length - 5000] = flipped[good.length - 5000]! ^ 1
  const bare = good.subarray(0, good.length - 32)
  const cases: readonly [string, Buffer, RegExp][] = [
    ['an empty file', Buffer.alloc(0), /is no snapshot/],
    ['something else', Buffer.alloc(8192, 'x'), /is no snapshot/],
    ['half of it', good.subarray(0, good.length / 2), /is no snapshot, or is damaged/],
    ['a wrong hash', flipped, /does not have the hash at its end/],
    ['no hash', bare, /has no hash at its end.*--skip-hash-check/],
    ['a version missing', database({ key: [KEYS[0]!, KEYS[2]!], meta: [] }), /damaged: revision 4/],
    ['not a revision', database({ key: [['k', 'v']], meta: [] }), /not under a revision/],
    ['no message', database({ key: [[KEYS[0]![0], 'garbage']], meta: [] }), /is damaged/],
    ['users that are none', database({ authUsers: [['u', 'xyz']], key: KEYS, meta: [] }), /is damaged/],
    ['no root', database({ auth: [['authEnabled', Buffer.of(1)]], key: KEYS, meta: [] }), /no user root/],
  ]
  for (const [what, bytes, message] of cases) {
    await t.test(what, async t => {
      const { restore, dataDir, config } = rig(t)
      await t.rejects(restore(bytes), { name: 'SnapshotError', message })
      const left = (() => {
        try {
          return readdirSync(dataDir)
        } catch {
          return []
        }
      })()
      t.notOk(left.includes('store-0'), 'no store')
      if (left.length > 0) {
        const setup = nodeSetup(config, SILENT, () => undefined)
        await t.rejects(createClusterNode(setup), { name: 'StartError', message: /was not finished/ })
      }
    })
  }
  await t.test('a file without a hash, when told so', async t => {
    t.match(await rig(t).restore(bare, { skipHashCheck: true }), { revision: 4 })
  })
  await t.test('no file', async t => {
    const { config, file } = rig(t)
    const request = { file, config, skipHashCheck: false, bumpRevision: 0 }
    await t.rejects(restoreSnapshot(request), { message: /cannot be read \(ENOENT\)/ })
  })
  await t.test('a directory that is not empty', async t => {
    const { restore, dataDir } = rig(t)
    mkdirSync(dataDir)
    writeFileSync(join(dataDir, 'mine'), 'x')
    await t.rejects(restore(good), { message: /is not empty/ })
    t.equal(readFileSync(join(dataDir, 'mine'), 'utf8'), 'x')
    t.same(readdirSync(dataDir), ['mine'])
  })
})

t.test('a file that was damaged and hashed again never crashes the restore', async t => {
  const keys = Array.from({ length: 200 }, (_, i) => version(i + 2, 1, i + 2, `key ${i}`))
  const bytes = database({ key: keys, meta: [] })
  let refused = 0
  for (let run = 0; run < 60; run++) {
    const damaged = Buffer.from(bytes)
    for (let i = 0; i < 8; i++)
      damaged[(run * 7919 + i * 104_729) % (bytes.length - 32)] = (run * 31 + i) % 256
    const { restore } = rig(t)
    try {
      await restore(damaged, { skipHashCheck: true })
    } catch (error) {
      t.equal((error as Error).name, 'SnapshotError', (error as Error).message)
      refused++
    }
  }
  t.ok(refused > 10, `${refused} of 60 were refused`)
})
