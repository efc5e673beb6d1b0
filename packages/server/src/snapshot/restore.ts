import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  assert,
  groupId,
  incarnation,
  MalformedError,
  NO_REPLICA,
  type AlarmKind,
  type Guard,
  type StoreWrite,
} from '@kvorum/model'
import type { Machine } from '@kvorum/machine'
import { votersOf } from '@kvorum/node'
import { createMetaState, EMPTY_AUTH, metaWrites, type Alarms, type MetaState } from '@kvorum/placement'
import { encodeConfig } from '@kvorum/raft'
import { BboltError, createStore, FileDisk, LevelEngine } from '@kvorum/storage'
import type { ServerConfig } from '../config/config.js'
import { prepareDataDirectory } from '../dataDirectory.js'
import { SILENT } from '../logging.js'
import { bootstrapOf } from '../node/bootstrap.js'
import { nodeSetup, type NodeSetup } from '../wiring.js'
import { readAlarms } from './alarmBucket.js'
import { readAuth } from './authBuckets.js'
import { restoreRows } from './restoreRows.js'
import { checkHash, openSource, SnapshotError, type SourceFile } from './sourceFile.js'

/**
 * Makes a data directory for one member of a new cluster from a snapshot file. Run with the same file and the
 * same settings for each member, it gives each the same state:
 *
 *     file --> <data-dir>/restoring/{state,log}, synced --> renamed to <data-dir>/store-0
 *
 * A server does not start on a directory in which something is being restored.
 */
export interface RestoreRequest {
  readonly file: string
  readonly config: ServerConfig
  readonly skipHashCheck: boolean
  readonly bumpRevision: number
}

export interface Restored {
  readonly revision: number
  readonly compactRevision: number
  readonly leases: number
}

export const RESTORING = 'restoring'
const STORE = 'store-0'

/** The log begins behind this entry, which stands for everything that was restored. */
const BASE = { index: 1, term: 1 }

/** Throws SnapshotError with a sentence where the file or the directory cannot be taken. */
export async function restoreSnapshot(request: RestoreRequest): Promise<Restored> {
  const { file, config } = request
  const source = await openSource(file)
  try {
    if (!request.skipHashCheck) await checkHash(source)
    const known = { auth: await readAuth(source), alarms: await readAlarms(source) }
    await claimDirectory(config.dataDir)
    const setup = nodeSetup(config, SILENT, () => undefined)
    const restored = await build(source, setup, known, request.bumpRevision)
    await rename(join(config.dataDir, RESTORING), join(config.dataDir, STORE))
    await syncDirectory(config.dataDir)
    return restored
  } catch (error) {
    if (error instanceof BboltError || error instanceof MalformedError)
      throw new SnapshotError(`${file} is damaged: ${error.message}.`)
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC')
      throw new SnapshotError(`The disk has no room for ${config.dataDir}.`)
    throw error
  } finally {
    await source.handle.close()
  }
}

async function claimDirectory(path: string): Promise<void> {
  const found = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new SnapshotError(`The data directory ${path} cannot be used (${error.code}).`)
  })
  if (found.length > 0)
    throw new SnapshotError(`The data directory ${path} is not empty; a restore never touches what is there.`)
  const prepared = prepareDataDirectory(path)
  if (!prepared.ok) throw new SnapshotError(prepared.reason)
  await mkdir(join(path, RESTORING), { mode: 0o700 })
}

async function build(
  source: SourceFile,
  setup: NodeSetup,
  { auth, alarms }: Pick<MetaState, 'auth' | 'alarms'>,
  bumpRevision: number,
): Promise<Restored> {
  const { nodes, metaConfig, shards, replicas = 0, oracle = false } = bootstrapOf(setup)
  const shard = shards[0]
  assert(shard !== undefined && shards.length === 1, () => 'a snapshot is restored into one data shard')
  const metaOf = (machine: Machine): MetaState =>
    Object.assign(createMetaState(nodes, shards, { replicas, members: metaConfig.replicas }), {
      applied: BASE.index,
      appliedTerm: BASE.term,
      config: encodeConfig(metaConfig),
      configIndex: BASE.index,
      auth,
      alarms,
      ...(oracle ? { ceiling: machine.revision, compacted: machine.compactRevision } : {}),
    })
  const rowsOf = (machine: Machine): readonly StoreWrite[] => metaWrites(metaOf(machine), EMPTY_AUTH)
  const directory = join(setup.config.dataDir, RESTORING)
  const [stateDirectory, logDirectory] = [join(directory, 'state'), join(directory, 'log')]
  for (const path of [stateDirectory, logDirectory]) await mkdir(path, { mode: 0o700 })
  // Also where another member has the shard: what is in the file is checked, and the newest revision is known.
  const isHere = shard.replicas.some(({ node }) => node === setup.self)
  const shardDirectory = isHere ? stateDirectory : join(directory, 'elsewhere')
  const machine = await withEngine(shardDirectory, engine =>
    restoreRows(source, engine, {
      shard: {
        group: shard.group,
        range: shard.range,
        epoch: shard.epoch,
        ...(alarms.active.length > 0 ? { guard: guardOf(alarms) } : {}),
        ...(auth.fence > 0 ? { authFence: { revision: auth.fence, enabled: auth.enabled } } : {}),
      },
      bumpRevision,
      at: { ...BASE, config: encodeConfig(votersOf(shard.replicas)) },
      oracle,
      others: rowsOf,
    }),
  )
  if (!isHere) {
    await rm(shardDirectory, { recursive: true })
    await withEngine(stateDirectory, engine => engine.batch(rowsOf(machine), { sync: true }))
  }
  await writeLog(setup, logDirectory, isHere ? [groupId(0), shard.group] : [groupId(0)])
  for (const path of [stateDirectory, logDirectory, directory]) await syncDirectory(path)
  const { revision, compactRevision, leases } = machine
  return { revision, compactRevision, leases: leases.size }
}

async function withEngine<Value>(
  path: string,
  work: (engine: LevelEngine) => Promise<Value>,
): Promise<Value> {
  const engine = await LevelEngine.open(path)
  try {
    return await work(engine)
  } finally {
    await engine.close()
  }
}

/** The quota is the flag of whoever leads, and comes from there. */
function guardOf({ version, active }: Alarms): Guard {
  const isUp = (kind: AlarmKind): boolean => active.some(({ alarm }) => alarm === kind)
  return { version, quota: 0, noSpace: isUp('noSpace'), corrupt: isUp('corrupt') }
}

async function writeLog(
  { cluster, self }: NodeSetup,
  directory: string,
  groups: readonly ReturnType<typeof groupId>[],
): Promise<void> {
  const log = await createStore(new FileDisk(directory), {
    clusterId: cluster,
    nodeId: self,
    incarnation: incarnation(randomBytes(8).readBigUInt64BE()),
  })
  try {
    const hardState = { term: BASE.term, vote: NO_REPLICA, commit: BASE.index }
    const persist = { hardState, entries: [], reset: { base: BASE, keep: false } }
    const written = await log.append({ groups: groups.map(group => ({ group, persist })) })
    if (written === 'noSpace') throw new SnapshotError(`The disk has no room for ${directory}.`)
    await log.cover()
  } finally {
    await log.close()
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Whether a restore into this directory was begun and not finished. */
export const isRestoring = (dataDir: string): Promise<boolean> =>
  stat(join(dataDir, RESTORING)).then(
    () => true,
    () => false,
  )
