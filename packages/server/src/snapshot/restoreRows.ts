import { crc32 } from 'node:zlib'
import { leaseId, LIMITS, type Revision, type StoreWrite } from '@kvorum/model'
import {
  beginRestore,
  createOverlay,
  finishRestore,
  foundRevisions,
  type Lease,
  type Machine,
  type NumberedChange,
  type Overlay,
  overlayDrop,
  overlayFreeze,
  overlayPut,
  type RestoredAt,
  type RestoreOptions,
  restoreChanges,
  type Step,
} from '@kvorum/machine'
import { encodeRevisions, ORACLE_REVISIONS, type ShardRevisions } from '@kvorum/placement'
import { codec } from '@kvorum/protocol'
import { BboltError, type BboltEntry, type Engine } from '@kvorum/storage'
import { decodeRevisionKey, META_KEYS } from './etcdBuckets.js'
import { bucketOf, entriesOf, type SourceFile } from './sourceFile.js'

/** What a snapshot file says of keys and leases, as rows of an empty state store. */
export interface RestoreKeys {
  readonly shard: Omit<RestoreOptions, 'checksum' | 'compactRevision' | 'leases'>
  /** Added to the newest revision of the file; everything is then compacted. */
  readonly bumpRevision: number
  readonly at: Omit<RestoredAt, 'revision' | 'compacted'>
  /** Whether the oracle gives revisions, from behind the file's newest one on. */
  readonly oracle: boolean
  /** Rows of others, written with the last ones. */
  readonly others: (machine: Machine) => readonly StoreWrite[]
}

/** Gathered before they are handed to the store. */
const CHANGES_MAX = 256

export async function restoreRows(source: SourceFile, engine: Engine, plan: RestoreKeys): Promise<Machine> {
  const compactRevision = await compactRevisionOf(source)
  const overlay = createOverlay()
  const restore = beginRestore(overlay, {
    ...plan.shard,
    checksum: (bytes, seed) => crc32(bytes, seed),
    compactRevision,
    leases: await leasesOf(source),
  })
  let revision: Revision = Math.max(1, compactRevision)
  for await (const page of changesOf(source)) {
    const taken = await runOn(engine, restoreChanges(restore, page.changes))
    if (!taken.ok) throw new BboltError(taken.reason)
    revision = Math.max(revision, page.revision)
    if (overlay.activeBytes >= LIMITS.flushBytes) await flush(engine, overlay, false)
  }
  const machine = finishRestore(restore, {
    ...plan.at,
    revision: revision + plan.bumpRevision,
    compacted: plan.bumpRevision > 0,
  })
  if (plan.oracle) foundRevisions(machine, overlay, encodeRevisions(oracleFrom(machine.revision)))
  for (const row of plan.others(machine)) overlayPut(overlay, row)
  await flush(engine, overlay, true)
  return machine
}

const oracleFrom = (denseUpTo: Revision): ShardRevisions => ({
  ...ORACLE_REVISIONS,
  mode: { kind: 'oracle', denseUpTo },
})

async function flush(engine: Engine, overlay: Overlay, sync: boolean): Promise<void> {
  const layer = overlayFreeze(overlay)
  if (layer === null) return
  await engine.batch(layer.writes, { sync })
  overlayDrop(overlay, layer.id)
}

async function runOn<Value>(engine: Engine, step: Step<Value>): Promise<Value> {
  let state = step.next()
  while (state.done !== true) state = step.next(await engine.fetch(state.value))
  return state.value
}

/** A compaction that was ordered counts, whether etcd had finished it or not. */
async function compactRevisionOf(source: SourceFile): Promise<Revision> {
  const meta = await bucketOf(source, 'meta')
  const revisions = [META_KEYS.scheduledCompaction, META_KEYS.finishedCompaction].map(name => {
    const value = meta.get(name)
    return value === undefined ? 0 : decodeRevisionKey(value).revision
  })
  return Math.max(...revisions)
}

const LEASE = codec('leasepb.Lease')

async function leasesOf(source: SourceFile): Promise<Lease[]> {
  const leases: Lease[] = []
  for await (const page of entriesOf(source, 'lease')) {
    for (const { value } of page) {
      const { ID, TTL } = LEASE.decode(value)
      if (ID === 0n || TTL < 0 || TTL > LIMITS.leaseTtlMax) throw new BboltError('a lease is out of range')
      leases.push({ id: leaseId(ID), ttl: Math.max(1, TTL) })
    }
  }
  return leases
}

interface ChangePage {
  readonly changes: readonly NumberedChange[]
  /** The newest revision so far, changes or not. */
  readonly revision: Revision
}

async function* changesOf(source: SourceFile): AsyncGenerator<ChangePage, void, undefined> {
  let changes: NumberedChange[] = []
  let revision: Revision = 0
  let bytes = 0
  for await (const page of entriesOf(source, 'key')) {
    for (const entry of page) {
      const change = changeOf(entry)
      revision = decodeRevisionKey(entry.key).revision
      if (change !== null) changes.push(change)
      bytes += entry.value.length
    }
    if (changes.length < CHANGES_MAX && bytes < LIMITS.pageBytesMax) continue
    yield { changes, revision }
    changes = []
    bytes = 0
  }
  yield { changes, revision }
}

const KEY_VALUE = codec('mvccpb.KeyValue')

/** Null: nothing was changed at that revision. etcd's own tool raises the revision like that. */
function changeOf({ key: at, value }: BboltEntry): NumberedChange | null {
  if (value.length === 0) return null
  const { revision, sub, tombstone } = decodeRevisionKey(at)
  const message = KEY_VALUE.decode(value)
  if (message.key.length === 0) throw new BboltError(`revision ${revision} is of an empty key`)
  const kv = {
    key: message.key,
    create: message.create_revision,
    mod: tombstone ? revision : message.mod_revision,
    version: message.version,
    value: message.value,
    lease: leaseId(message.lease),
  }
  return { revision, sub, kind: tombstone ? 'delete' : 'put', kv }
}
