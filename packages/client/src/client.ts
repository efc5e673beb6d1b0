import type { Entry } from './entry.js'
import { Endpoint, parseEndpoint } from './endpoint.js'
import { Endpoints } from './endpoints.js'
import { channelCredentials, tlsChannelOptions, tlsOf } from './credentials.js'
import { invalid } from './error.js'
import { KeepAlive } from './keepAlive.js'
import { type Bytes, type Keys } from './keys.js'
import { Lease } from './lease.js'
import {
  alarmOf,
  disarmRequest,
  hashKvOf,
  isMeant,
  LIST_ALARMS,
  type Alarm,
  type HashKv,
} from './maintenance.js'
import { memberOf, statusOf, type Member, type Status } from './members.js'
import { METHODS } from './method.js'
import {
  deleteRequest,
  deleteResult,
  putRequest,
  putResult,
  rangeRequest,
  rangeResult,
  type DeleteOptions,
  type DeleteResult,
  type PutOptions,
  type PutResult,
  type RangeOptions,
  type RangeResult,
  type ReadOptions,
} from './operations.js'
import { settingsOf, type CallOptions, type ConnectOptions } from './options.js'
import { pagesOf, type PagesOptions } from './pages.js'
import { snapshotPieces, type SnapshotPiece } from './snapshot.js'
import { Transport } from './transport.js'
import { isReadOnly, TxnBuilder, txnRequest, txnResult, type Txn, type TxnResult } from './txn.js'
import { Watcher, type WatchOptions } from './watch.js'

/** What a lease that is asked for can say. */
export interface LeaseOptions extends CallOptions {
  /** 0n, or none: the server picks one. */
  readonly id?: bigint
}

export interface LeaseTimes {
  /** Seconds that are left; -1 where there is no such lease. */
  readonly remaining: number
  readonly granted: number
  /** Attached keys, if asked for. */
  readonly keys: readonly Uint8Array[]
}

/**
 * A cluster as a program sees it. Reads are repeated on another server while there is time; a write only where
 * no server can have seen it: otherwise it rejects with `indeterminate`, and what to do is the caller's choice.
 */
export class KvorumClient {
  readonly #transport: Transport
  readonly #endpoints: Endpoints
  readonly #endpointOf: (text: string) => Endpoint
  readonly #keepAlive: KeepAlive

  constructor(options: ConnectOptions) {
    const settings = settingsOf(options)
    this.#endpointOf = text => {
      const address = parseEndpoint(text)
      const tls = tlsOf(address, options.tls)
      const channelOptions = { ...tlsChannelOptions(tls), ...options.channelOptions }
      return new Endpoint(address.hostPort, channelCredentials(tls), channelOptions, settings.clock)
    }
    const endpoints = typeof options.endpoints === 'string' ? options.endpoints.split(',') : options.endpoints
    if (endpoints.length === 0) throw invalid('no endpoints')
    this.#endpoints = new Endpoints(endpoints.map(this.#endpointOf), settings.connectTimeoutMs)
    this.#transport = new Transport(settings, this.#endpoints, options.auth)
    this.#keepAlive = new KeepAlive(this.#transport)
  }

  // --- keys

  async put(key: Bytes, value: Bytes, options: PutOptions & CallOptions = {}): Promise<PutResult> {
    const request = putRequest(key, value, options)
    return putResult(await this.#transport.unary(METHODS.put, request, 'write', options))
  }

  /** Null where there is no such key. */
  async get(key: Bytes, options: ReadOptions & CallOptions = {}): Promise<Entry | null> {
    const { entries } = await this.range({ key }, options)
    return entries[0] ?? null
  }

  async range(keys: Keys, options: RangeOptions & CallOptions = {}): Promise<RangeResult> {
    const request = rangeRequest(keys, options)
    return rangeResult(await this.#transport.unary(METHODS.range, request, 'read', options))
  }

  async count(keys: Keys, options: ReadOptions & CallOptions = {}): Promise<number> {
    return (await this.range(keys, { ...options, countOnly: true })).count
  }

  /** Every entry of a range in the order of keys, fetched in pages that are all as of one revision. */
  entries(keys: Keys, options: PagesOptions & CallOptions = {}): AsyncGenerator<Entry, void, undefined> {
    return pagesOf((page, pageOptions) => this.range(page, pageOptions), keys, options)
  }

  async delete(keys: Keys, options: DeleteOptions & CallOptions = {}): Promise<DeleteResult> {
    const request = deleteRequest(keys, options)
    return deleteResult(await this.#transport.unary(METHODS.deleteRange, request, 'write', options))
  }

  /** With a record: carried out at once. Without: a builder, which `commit` carries out. */
  txn(): TxnBuilder
  txn(txn: Txn, options?: CallOptions): Promise<TxnResult>
  txn(txn?: Txn, options?: CallOptions): TxnBuilder | Promise<TxnResult> {
    if (txn === undefined) return new TxnBuilder((built, given) => this.#commit(built, given))
    return this.#commit(txn, options)
  }

  async #commit(txn: Txn, options?: CallOptions): Promise<TxnResult> {
    const kind = isReadOnly(txn) ? 'read' : 'write'
    return txnResult(await this.#transport.unary(METHODS.txn, txnRequest(txn), kind, options))
  }

  /** Starts at once; see Watcher. */
  watch(keys: Keys, options: WatchOptions = {}): Watcher {
    return new Watcher(this.#transport, keys, options)
  }

  /** Forgets what was before this revision. `physical`: answer when it is gone from the server's disk. */
  async compact(
    revision: number,
    options: { readonly physical?: boolean } & CallOptions = {},
  ): Promise<void> {
    const request = { revision, physical: options.physical ?? false }
    await this.#transport.unary(METHODS.compact, request, 'write', options)
  }

  // --- leases

  /** A lease of at least `ttl` seconds, kept alive in the background. */
  async lease(ttl: number, options: LeaseOptions = {}): Promise<Lease> {
    const grantedAt = this.#transport.settings.clock.now()
    const request = { TTL: ttl, ID: options.id ?? 0n }
    const granted = await this.#transport.unary(METHODS.leaseGrant, request, 'write', options)
    return new Lease(granted.ID, granted.TTL, grantedAt, this.#keepAlive, id => this.revokeLease(id))
  }

  /** Deletes the lease and every key attached to it. */
  async revokeLease(id: bigint, options: CallOptions = {}): Promise<void> {
    await this.#transport.unary(METHODS.leaseRevoke, { ID: id }, 'write', options)
  }

  async leaseTimes(id: bigint, options: { readonly keys?: boolean } & CallOptions = {}): Promise<LeaseTimes> {
    const request = { ID: id, keys: options.keys ?? false }
    const message = await this.#transport.unary(METHODS.leaseTimeToLive, request, 'read', options)
    return {
      remaining: message.TTL,
      granted: message.grantedTTL,
      keys: message.keys.map(key => new Uint8Array(key)),
    }
  }

  /** Of all clients, as the asked server knows them. */
  async leases(options: CallOptions = {}): Promise<bigint[]> {
    const message = await this.#transport.unary(METHODS.leases, {}, 'read', options)
    return message.leases.map(lease => lease.ID)
  }

  // --- the cluster

  async members(options: { readonly serializable?: boolean } & CallOptions = {}): Promise<readonly Member[]> {
    const request = { linearizable: options.serializable !== true }
    const message = await this.#transport.unary(METHODS.memberList, request, 'read', options)
    return message.members.map(memberOf)
  }

  /** Makes room for a new member, which then starts with an empty directory and the id that is answered here. */
  async addMember(
    peerUrls: readonly string[],
    options: { readonly learner?: boolean } & CallOptions = {},
  ): Promise<Member> {
    const request = { peerURLs: [...peerUrls], isLearner: options.learner ?? false }
    const message = await this.#transport.unary(METHODS.memberAdd, request, 'write', options)
    if (message.member === null) throw invalid('the answer names no member')
    return memberOf(message.member)
  }

  /** For ever: its id never comes back, and its process ends. The members that are left. */
  async removeMember(id: bigint, options: CallOptions = {}): Promise<readonly Member[]> {
    const message = await this.#transport.unary(METHODS.memberRemove, { ID: id }, 'write', options)
    return message.members.map(memberOf)
  }

  /** Tells where a member is reached by the others. */
  async updateMember(
    id: bigint,
    peerUrls: readonly string[],
    options: CallOptions = {},
  ): Promise<readonly Member[]> {
    const request = { ID: id, peerURLs: [...peerUrls] }
    const message = await this.#transport.unary(METHODS.memberUpdate, request, 'write', options)
    return message.members.map(memberOf)
  }

  /** A learner that has caught up becomes a voter. */
  async promoteMember(id: bigint, options: CallOptions = {}): Promise<readonly Member[]> {
    const message = await this.#transport.unary(METHODS.memberPromote, { ID: id }, 'write', options)
    return message.members.map(memberOf)
  }

  /** Gives the leadership to a voter. `leader` is the endpoint of the present one: only it can. */
  async moveLeader(leader: string, to: bigint, options: CallOptions = {}): Promise<void> {
    await this.#withEndpoint(leader, target =>
      this.#transport.unaryTo(target, METHODS.moveLeader, { targetID: to }, 'write', options),
    )
  }

  /** Of one server, which need not be among the endpoints; of any, where none is named. */
  async status(endpoint?: string, options: CallOptions = {}): Promise<Status> {
    if (endpoint === undefined) {
      return statusOf(await this.#transport.unary(METHODS.status, {}, 'read', options))
    }
    return statusOf(
      await this.#withEndpoint(endpoint, target =>
        this.#transport.unaryTo(target, METHODS.status, {}, 'read', options),
      ),
    )
  }

  // --- maintenance

  /** Alarms of all members. */
  async alarms(options: CallOptions = {}): Promise<readonly Alarm[]> {
    const message = await this.#transport.unary(METHODS.alarm, LIST_ALARMS, 'read', options)
    return message.alarms.map(alarmOf)
  }

  /** Takes one alarm back, or all; tells which were. One whose cause has not gone may be raised again. */
  async disarm(meant?: Alarm, options: CallOptions = {}): Promise<readonly Alarm[]> {
    const { alarms } = await this.#transport.unary(METHODS.alarm, LIST_ALARMS, 'read', options)
    const gone: Alarm[] = []
    for (const each of alarms.filter(alarm => isMeant(alarm, meant))) {
      const message = await this.#transport.unary(METHODS.alarm, disarmRequest(each), 'write', options)
      gone.push(...message.alarms.map(alarmOf))
    }
    return gone
  }

  /** Of one server, as of `revision`, or as of its newest one. */
  async hashKv(
    endpoint: string,
    options: { readonly revision?: number } & CallOptions = {},
  ): Promise<HashKv> {
    const request = { revision: options.revision ?? 0 }
    return hashKvOf(
      await this.#withEndpoint(endpoint, target =>
        this.#transport.unaryTo(target, METHODS.hashKv, request, 'read', options),
      ),
    )
  }

  /** For an etcd server, whose file shrinks, and which answers nobody meanwhile; kvorum's need it never. */
  async defragment(endpoint: string, options: CallOptions = {}): Promise<void> {
    await this.#withEndpoint(endpoint, target =>
      this.#transport.unaryTo(target, METHODS.defragment, {}, 'write', options),
    )
  }

  /** A backup of everything one server knows, in the format of etcd's snapshot files; see SnapshotPiece. */
  snapshot(options: Pick<CallOptions, 'signal'> = {}): AsyncGenerator<SnapshotPiece, void, undefined> {
    return snapshotPieces(this.#transport, options.signal)
  }

  async #withEndpoint<Value>(endpoint: string, ask: (target: Endpoint) => Promise<Value>): Promise<Value> {
    const { hostPort } = parseEndpoint(endpoint)
    const known = this.#endpoints.all.find(({ address }) => address === hostPort)
    const target = known ?? this.#endpointOf(endpoint)
    try {
      return await ask(target)
    } finally {
      if (known === undefined) target.close()
    }
  }

  /** Resolves when some server is connected; see `connect`. */
  async ready(timeoutMs = this.#transport.settings.timeoutMs): Promise<void> {
    await this.#endpoints.acquire(timeoutMs)
  }

  /** Ends watches and keep-alives and rejects what is pending. Leases are not revoked. */
  async close(): Promise<void> {
    this.#transport.close()
    await this.#keepAlive.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Checks the options and connects to one server at least. */
export async function connect(options: ConnectOptions): Promise<KvorumClient> {
  options.signal?.throwIfAborted()
  const client = new KvorumClient(options)
  const abort = (): void => void client.close()
  options.signal?.addEventListener('abort', abort, { once: true })
  try {
    await client.ready()
    options.signal?.throwIfAborted()
    return client
  } catch (error) {
    await client.close()
    options.signal?.throwIfAborted()
    throw error
  }
}
