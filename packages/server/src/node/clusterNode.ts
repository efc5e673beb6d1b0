import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { crc32 } from 'node:zlib'
import { incarnation, LIMITS, type BootIdentity, type KvNode } from '@kvorum/model'
import {
  DEFAULT_BALANCE,
  NodeRuntime,
  type NodeInitial,
  type RecoveredGroup,
  type TransportPort,
} from '@kvorum/node'
import { PeerTransport } from '@kvorum/peer'
import {
  EngineError,
  FileDisk,
  LevelEngine,
  createStore,
  openLog,
  type LogStore,
  type OpenedLog,
} from '@kvorum/storage'
import { ETCD_API_VERSION } from '../version.js'
import { isRestoring } from '../snapshot/restore.js'
import { StartError, type NodeSetup } from '../wiring.js'
import { addressOf, saidAddresses } from './address.js'
import { DiskRoom, freeBytesOf } from './diskRoom.js'
import { logPort } from './logPort.js'
import { findPlace, type Place } from './place.js'
import { storePort } from './storePort.js'

/**
 * Puts a node together from its rooms:
 *
 *     data directory --> state store (its lock keeps other processes out) --> log, recovered
 *                    --> a boot record, durable --> runtime --> peer transport
 */
export async function createClusterNode(setup: NodeSetup): Promise<KvNode> {
  const { dataDir } = setup.config
  if (await isRestoring(dataDir)) {
    throw new StartError(
      `A restore into ${dataDir} was not finished: empty the directory and run kvorum snapshot restore again.`,
    )
  }
  const directory = join(dataDir, 'store-0')
  const [stateDirectory, logDirectory] = [join(directory, 'state'), join(directory, 'log')]
  for (const path of [stateDirectory, logDirectory]) mkdirSync(path, { recursive: true, mode: 0o700 })
  const engine = await openEngine(stateDirectory)
  const disk = new FileDisk(logDirectory)
  const opened = await openLog(disk, null)
  if (opened.kind === 'refused') throw new StartError(opened.reason)
  const place = await findPlace(setup, engine, opened.kind === 'fresh' ? null : opened.store.log.identity)
  const log = await openOwnLog(setup, { engine, disk, opened, place, directory: logDirectory })
  const identity = await bootLog(log.store, log.boot)
  const initial: NodeInitial = {
    now: performance.now(),
    identity,
    admitted: log.admitted,
    peers: log.peers,
    groups: log.groups,
    groupsInDoubt: log.groupsInDoubt,
    bootstrap: place.bootstrap,
  }
  return startRuntime(setup, place, initial, log.store, engine)
}

async function startRuntime(
  { config, logger, fatal, peerTls, diskTimes }: NodeSetup,
  { cluster, self, bootstrap }: Place,
  initial: NodeInitial,
  log: LogStore,
  engine: LevelEngine,
): Promise<KvNode> {
  const peers = new Map(
    bootstrap.nodes.filter(({ id }) => id !== self).map(({ id, peerUrls }) => [id, peerUrls.map(addressOf)]),
  )
  try {
    return await NodeRuntime.start({
      node: {
        cluster,
        self,
        name: config.name,
        clientUrls: config.advertiseClientUrls,
        peerUrls: config.advertisePeerUrls,
        serverVersion: ETCD_API_VERSION,
        seed: randomBytes(4).readUInt32BE(),
        electionTimeoutMs: config.electionTimeoutMs,
        heartbeatMs: config.heartbeatMs,
        progressNotifyMs: config.watchProgressMs,
        limits: {
          ...LIMITS,
          snapshotEntries: config.snapshotCount,
          catchUpEntries: config.catchUpEntries,
          leasesMax: config.maxLeases,
        },
        maintenance: config.maintenance,
        balance: {
          ...DEFAULT_BALANCE,
          deadAfterMs: config.deadNodeAfterMs,
          splitBytes: config.shardSplitBytes,
        },
        slowApplyMs: config.slowApplyMs,
        checksum: (bytes, seed) => crc32(bytes, seed),
      },
      initial,
      log: diskTimes.log(logPort(log)),
      store: diskTimes.store(storePort(engine, new DiskRoom(() => freeBytesOf(config.dataDir), logger))),
      clock: { monotonic: () => performance.now(), wall: () => Date.now() },
      logger,
      fatal,
      transport: async events =>
        transportPort(
          await PeerTransport.start({
            cluster,
            self,
            listen: config.listenPeer,
            peers,
            tls: peerTls,
            random: Math.random,
            events,
          }),
        ),
    })
  } catch (error) {
    await log.close()
    await engine.close()
    const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number }
    if (code === 'EADDRINUSE') throw new StartError(`The peer address ${address}:${port} is already in use.`)
    if (code === 'EADDRNOTAVAIL' || code === 'EACCES') {
      throw new StartError(`The peer address ${address}:${port} cannot be listened on (${code}).`)
    }
    throw error
  }
}

const transportPort = (transport: PeerTransport): TransportPort => ({
  send: (to, parcels) => transport.send(to, parcels),
  queuedBytes: to => transport.queuedBytes(to),
  setPeers: (peers, removed) =>
    transport.setPeers(
      new Map(peers.map(({ node, urls }) => [node, urls.map(addressOf)])),
      new Set(removed),
      new Map(peers.map(({ node, urls, alsoAt }) => [node, saidAddresses(alsoAt, urls.map(addressOf))])),
    ),
  close: () => transport.close(),
})

async function openEngine(directory: string): Promise<LevelEngine> {
  try {
    return await LevelEngine.open(directory)
  } catch (error) {
    if (error instanceof EngineError) throw new StartError(error.message)
    throw error
  }
}

interface OwnLog {
  readonly store: LogStore
  readonly boot: BootIdentity | null
  readonly admitted: boolean
  readonly peers: NodeInitial['peers']
  readonly groups: readonly RecoveredGroup[]
  readonly groupsInDoubt: boolean
}

interface OwnLogParts {
  readonly engine: LevelEngine
  readonly disk: FileDisk
  readonly opened: Exclude<OpenedLog, { kind: 'refused' }>
  readonly place: Place
  readonly directory: string
}

async function openOwnLog({ logger }: NodeSetup, parts: OwnLogParts): Promise<OwnLog> {
  const { engine, disk, opened, directory } = parts
  const { cluster, self } = parts.place
  if (opened.kind === 'fresh') {
    if (!(await isEmpty(engine))) {
      throw new StartError(
        `${directory} has no log but the state store beside it has data: put the log back, or start this member anew with an empty directory.`,
      )
    }
    const identity = {
      clusterId: cluster,
      nodeId: self,
      incarnation: incarnation(randomBytes(8).readBigUInt64BE()),
    }
    return {
      store: await createStore(disk, identity),
      boot: null,
      admitted: false,
      peers: [],
      groups: [],
      groupsInDoubt: false,
    }
  }
  const { recovered, store } = opened
  checkOwn(store, parts.place)
  for (const finding of recovered.findings) {
    if (finding.decision === 'use') continue
    const level = finding.decision === 'remove' || finding.decision === 'cut' ? 'info' : 'warn'
    logger[level]({ ...finding }, 'the log was not found as a clean stop leaves it')
  }
  if (recovered.peersInDoubt) {
    logger.warn(
      {},
      'what the log knew of the other members is lost: an old directory of theirs may go unnoticed',
    )
  }
  return {
    store,
    boot: recovered.boot,
    admitted: recovered.admitted,
    peers: recovered.peers,
    groups: recovered.groups,
    groupsInDoubt: recovered.groupsInDoubt,
  }
}

/** The directory's ids are in its log; those of this start come from its flags unless it joined. */
function checkOwn(store: LogStore, { cluster, self }: Place): void {
  const { clusterId, nodeId } = store.log.identity
  const hex = (id: bigint): string => id.toString(16)
  if (clusterId !== cluster) {
    throw new StartError(
      `The data directory belongs to cluster ${hex(clusterId)}, not ${hex(cluster)}: check --data-dir, --initial-cluster, --initial-cluster-token and --initial-split-keys.`,
    )
  }
  if (nodeId !== self) {
    throw new StartError(
      `The data directory belongs to member ${hex(nodeId)}, not ${hex(self)}: check --data-dir and --initial-advertise-peer-urls.`,
    )
  }
}

async function isEmpty(engine: LevelEngine): Promise<boolean> {
  const everything = { gte: Buffer.of(), lt: Buffer.alloc(16, 0xff), reverse: false, values: false }
  const { pages } = await engine.fetch({ gets: [], scans: [{ ...everything, rowsMax: 1, bytesMax: 1 }] })
  return pages[0]!.rows.length === 0
}

/** Counts this start, durably, before anybody hears of it. */
async function bootLog(log: LogStore, last: BootIdentity | null): Promise<BootIdentity> {
  const boot: BootIdentity = {
    incarnation: incarnation(log.log.identity.incarnation),
    boot: (last?.boot ?? 0) + 1,
    nonce: randomBytes(8).readBigUInt64BE(),
  }
  if ((await log.append({ boot })) === 'noSpace') {
    throw new StartError('The disk is full: there is no room for even the first record of this start.')
  }
  return boot
}
