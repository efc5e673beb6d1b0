import { join } from 'node:path'
import {
  ALL_KEYS,
  assert,
  type HeldState,
  type KeyValue,
  type NodeId,
  type Revision,
  type StoreAnswer,
  type StoreNeed,
} from '@kvorum/model'
import {
  createOverlay,
  createReader,
  type Machine,
  nextOldVersions,
  openOldVersions,
  overlaySnapshot,
} from '@kvorum/machine'
import { loadMetaState, type MetaState } from '@kvorum/placement'
import { codec } from '@kvorum/protocol'
import { addEntry, closeBucket, openBucket } from '@kvorum/storage'
import { alarmEntries } from './alarmBucket.js'
import { authEntries, type BucketEntry, roleEntries, userEntries } from './authBuckets.js'
import {
  BUCKETS,
  type BucketName,
  encodeCount,
  encodeRevisionKey,
  leaseKeyOf,
  META_KEYS,
  type RevisionKey,
} from './etcdBuckets.js'
import { SnapshotFile } from './snapshotFile.js'
import { changesOf, loadEach, openShards, runOn, type OpenShard, type ShardReader } from './shardSources.js'
import { VersionOrder } from './versionOrder.js'

/**
 * Makes a file in etcd's format of all that a node knows at one moment:
 *
 *     held state --> buckets in the order of their names --> pages --> a nameless file in `directory`
 *
 * Rows come in pages and leave in pages; nothing grows with the number of keys but the list of leases, which
 * the node holds in memory anyway, and the files.
 */
export async function buildSnapshot(
  held: HeldState,
  directory: string,
  signal: AbortSignal,
): Promise<SnapshotFile> {
  const run = runOn(need => held.fetch(need), signal)
  const meta = await run(loadMeta())
  const shards = await openShards(held, meta, run, signal)
  const source: Source = { meta, ...asOne(shards, held), directory }
  const file = await SnapshotFile.create(join(directory, 'database'))
  try {
    for (const name of BUCKETS) {
      openBucket(file.writer, Buffer.from(name))
      await (FILLED[name] ?? leaveEmpty)(file, source)
      closeBucket(file.writer)
      await file.drain()
    }
    await file.finish()
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

/**
 * The shards as if they were one. Where all are here, their rows lie among each other in the order that the file has, and
 * they are read as one; otherwise each by itself. What was written above the revision at which they are held is left out,
 * since not every shard need have all of it.
 */
function asOne(
  shards: readonly OpenShard[],
  { revision, shards: apart }: HeldState,
): Pick<Source, 'machine' | 'revision' | 'shards'> {
  const [first] = shards
  assert(first !== undefined, () => 'the held state has a shard')
  if (shards.length === 1 && apart === undefined)
    return { machine: first.machine, revision: revision ?? first.machine.revision, shards }
  assert(revision !== null, () => 'several shards are held at one revision')
  const machines = shards.map(({ machine }) => machine)
  const machine: Machine = {
    ...first.machine,
    range: ALL_KEYS,
    compactRevision: Math.max(...machines.map(({ compactRevision }) => compactRevision)),
    leases: new Map(machines.flatMap(({ leases }) => [...leases])),
  }
  return { machine, revision, shards: apart === undefined ? [{ machine, run: first.run }] : shards }
}

interface Source {
  readonly meta: MetaState
  readonly machine: Machine
  /** What to read rows of, in the order of the keys. */
  readonly shards: readonly OpenShard[]
  /** Up to here, inclusive. */
  readonly revision: Revision
  readonly directory: string
}

type Fill = (file: SnapshotFile, source: Source) => Promise<void> | void

const leaveEmpty: Fill = () => undefined

const FILLED: Partial<Readonly<Record<BucketName, Fill>>> = {
  alarm: (file, { meta }) => addAll(file, alarmEntries(meta.alarms)),
  auth: (file, { meta }) => addAll(file, authEntries(meta.auth)),
  authRoles: (file, { meta }) => addAll(file, roleEntries(meta.auth)),
  authUsers: (file, { meta }) => addAll(file, userEntries(meta.auth)),
  cluster: ({ writer }, { meta }) => {
    if (meta.clusterVersion === '') return
    addEntry(writer, Buffer.from('clusterVersion'), Buffer.from(meta.clusterVersion))
  },
  key: fillKeys,
  lease: fillLeases,
  members: fillMembers,
  meta: ({ writer }, { machine }) => {
    const { applied, appliedTerm, compactRevision } = machine
    const compacted = encodeRevisionKey({ revision: compactRevision, sub: 0, tombstone: false })
    addEntry(writer, Buffer.from(META_KEYS.consistentIndex), encodeCount(applied))
    if (compactRevision > 0) {
      addEntry(writer, Buffer.from(META_KEYS.finishedCompaction), compacted)
      addEntry(writer, Buffer.from(META_KEYS.scheduledCompaction), compacted)
    }
    addEntry(writer, Buffer.from(META_KEYS.term), encodeCount(appliedTerm))
  },
}

function addAll({ writer }: SnapshotFile, entries: readonly BucketEntry[]): void {
  for (const [key, value] of entries) addEntry(writer, key, value)
}

function* loadMeta(): Generator<StoreNeed, MetaState, StoreAnswer> {
  const meta = yield* loadMetaState()
  assert(meta !== null, () => 'the held state has a row of the meta group')
  return meta
}

const KEY_VALUE = codec('mvccpb.KeyValue')

const encodeKeyValue = ({ key, create, mod, version, value, lease }: KeyValue): Uint8Array =>
  KEY_VALUE.encode({ key, create_revision: create, mod_revision: mod, version, value, lease })

/** Versions loaded at a time: they may be large. */
const VERSIONS_MAX = 64

async function fillKeys(file: SnapshotFile, source: Source): Promise<void> {
  const { revision } = source
  const { compactRevision } = source.machine
  const readers = source.shards.map(({ machine, run }) => ({
    reader: createReader({ ...machine, compactRevision }, overlaySnapshot(createOverlay()), revision),
    run,
  }))
  let last = await fillOldVersions(file, source, readers)
  for await (const page of changesOf(readers)) {
    for (const { sub, kind, kv, ...at } of page) {
      const tombstone = kind === 'delete'
      const value = tombstone ? KEY_VALUE.encode({ key: kv.key }) : encodeKeyValue(kv)
      last = addVersion(file, { revision: at.revision, sub, tombstone }, value)
    }
    await file.drain()
  }
  // etcd takes its revision from here; so do its own tools where they raise it without a change.
  if (revision > Math.max(last, compactRevision) && revision > 1)
    addVersion(file, { revision, sub: 0, tombstone: false }, Buffer.alloc(0))
}

function addVersion(file: SnapshotFile, at: RevisionKey, value: Uint8Array): number {
  addEntry(file.writer, encodeRevisionKey(at), value)
  return at.revision
}

/** Those from before the compact revision, in the order in which they were written. */
async function fillOldVersions(
  file: SnapshotFile,
  source: Source,
  readers: readonly ShardReader[],
): Promise<number> {
  if (source.machine.compactRevision === 0) return 0
  const order = await VersionOrder.create(join(source.directory, 'order'))
  let last: RevisionKey = { revision: 0, sub: 0, tombstone: false }
  try {
    for (const { reader, run } of readers) {
      const old = openOldVersions(reader)
      for (;;) {
        const page = await run(nextOldVersions(old))
        if (page === null) break
        await order.add(page)
      }
    }
    for await (const page of order.sorted(VERSIONS_MAX)) {
      const rows = page.map(({ row }) => row)
      const versions = await loadEach(readers, rows)
      versions.forEach((kv, i) => {
        const { revision, sub } = page[i]!
        // Numbers count within a shard; those of a transaction over several must differ in the file.
        const next = revision === last.revision ? Math.max(sub, last.sub + 1) : sub
        last = { revision, sub: next, tombstone: false }
        addVersion(file, last, encodeKeyValue(kv))
      })
      await file.drain()
    }
    return last.revision
  } finally {
    await order.close()
  }
}

const LEASE = codec('leasepb.Lease')
const LEASES_PER_DRAIN = 4096

async function fillLeases(file: SnapshotFile, { machine }: Source): Promise<void> {
  const unsigned = (id: bigint): bigint => BigInt.asUintN(64, id)
  const leases = [...machine.leases.values()].sort((a, b) => (unsigned(a.id) < unsigned(b.id) ? -1 : 1))
  for (const [i, { id, ttl }] of leases.entries()) {
    addEntry(file.writer, leaseKeyOf(id), LEASE.encode({ ID: id, TTL: ttl }))
    if (i % LEASES_PER_DRAIN === 0) await file.drain()
  }
}

function fillMembers({ writer }: SnapshotFile, { meta }: Source): void {
  const members = meta.nodes.map(node => ({ node, key: node.id.toString(16) }))
  members.sort((a, b) => (a.key < b.key ? -1 : 1))
  for (const { node, key } of members) addEntry(writer, Buffer.from(key), Buffer.from(memberJson(node)))
}

/** The id is a number beyond what JSON.stringify can write. */
function memberJson(node: {
  readonly id: NodeId
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly learner: boolean
}): string {
  const fields = {
    peerURLs: node.peerUrls,
    ...(node.learner ? { isLearner: true } : {}),
    ...(node.name === '' ? {} : { name: node.name }),
    ...(node.clientUrls.length === 0 ? {} : { clientURLs: node.clientUrls }),
  }
  return `{"id":${node.id},${JSON.stringify(fields).slice(1)}`
}
