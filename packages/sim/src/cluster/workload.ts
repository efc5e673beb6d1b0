import {
  decodeReply,
  leaseId,
  NO_LEASE,
  prefixRange,
  pointRange,
  utf8,
  type Compare,
  type GroupId,
  type LeaseId,
  type Op,
  type TxnOp,
} from '@kvorum/model'
import type { ListOp, ListResult } from '../check/listAppend.js'
import type { KvRequest, KvResult } from '../check/models/kv.js'
import type { Recorder } from '../check/history.js'
import type { Random } from '../random.js'
import { MILLISECOND, SECOND, type Micros } from '../schedule.js'
import type { WorkloadKind } from '../swarm.js'
import { Client, SEND_AGAIN_AFTER_MAX, SENDINGS_MAX, type Outcome } from './client.js'
import type { Cluster } from './cluster.js'
import { keyPrefix } from './plan.js'
import { del, get, modIs, put, range } from './requests.js'
import { BankWorkload } from './bankWorkload.js'
import { SessionWorkload } from './sessionWorkload.js'

/** What clients do, in closed loops, until they are told to stop. */
export class Workload {
  readonly #cluster: Cluster
  readonly #kinds: readonly WorkloadKind[]
  readonly #leases: { readonly id: LeaseId; readonly ttl: number }[] = []
  readonly #keys: number
  readonly #sessions: SessionWorkload
  readonly bank: BankWorkload
  #stopped = false
  #serial = 0
  #leaseSerial = 0
  /** Clients with a request under way. */
  busy = 0
  acknowledged = 0
  failed = 0
  unknown = 0

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    const { kinds, keys } = cluster.plan.swarm.workload
    const { listsAcross } = cluster.plan.swarm.workload
    const drivable = kinds.filter(kind => kind !== 'watches' && (kind !== 'bank' || listsAcross))
    this.#kinds = drivable.length > 0 ? drivable : ['registers']
    this.#keys = Math.max(2, Math.ceil(keys / cluster.areas.length))
    this.bank = new BankWorkload(cluster)
    this.#sessions = new SessionWorkload(cluster, random => this.#sessionWrite(random))
  }

  start(): void {
    const { random, plan, schedule } = this.#cluster
    const { clients } = plan.swarm.workload
    for (let i = 0; i < clients; i++) {
      const own = random.stream(`client ${i}`)
      const client = new Client(this.#cluster, own)
      schedule.after(own.int(0, SECOND), 'client', () => this.#next(client))
    }
    if (plan.swarm.workload.compactEvery > 0) this.#compactions(random.stream('compactions'))
  }

  stop(): void {
    this.#stopped = true
  }

  /** What a client may take until it is done: two requests, or a write of a session sent again and again. */
  get longestRequest(): Micros {
    const { requestTimeout, kinds } = this.#cluster.plan.swarm.workload
    const sendings = kinds.includes('sessions') ? SENDINGS_MAX : 2
    return sendings * (requestTimeout + SEND_AGAIN_AFTER_MAX) + SECOND
  }

  #next(client: Client): void {
    if (this.#stopped) return
    this.busy++
    const { random } = client
    const { oracle } = this.#cluster.plan.swarm.cluster
    if (oracle && random.chance(0.35)) {
      const request = random.chance(0.6) ? this.#writeAcross(random) : this.#across(random)
      this.#ask(client, this.#cluster.areas[0]!, request, outcome => this.#done(client, outcome))
      return
    }
    const kind = random.pick(this.#kinds)
    const group = kind === 'leases' ? this.#cluster.areas[0]! : random.pick(this.#cluster.areas)
    const done = (outcome: Outcome): void => this.#done(client, outcome)
    switch (kind) {
      case 'lists':
        this.#list(client, group, done)
        return
      case 'leases':
        this.#lease(client, group, done)
        return
      case 'sessions':
        this.#sessions.next(client, done)
        return
      case 'bank':
        this.bank.next(client, done)
        return
      case 'transactions':
        this.#ask(client, group, this.#transaction(random, group), done)
        return
      case 'ranges':
        this.#ask(client, group, this.#rangeRequest(random, group), done)
        return
      default:
        this.#ask(client, group, this.#register(random, group), done)
    }
  }

  #ask(client: Client, group: GroupId, request: KvRequest, done: (outcome: Outcome) => void): void {
    client.askKv(group, this.#history(group), request, done)
  }

  #done(client: Client, outcome: Outcome): void {
    const { workload } = this.#cluster.plan.swarm
    this.busy--
    if (outcome.kind === 'ok') this.acknowledged++
    else if (outcome.kind === 'fail') this.failed++
    else this.unknown++
    const pause = outcome.kind === 'fail' ? 20 * MILLISECOND : 0
    const think = client.random.exponential((SECOND * workload.clients) / workload.rate)
    this.#cluster.schedule.after(pause + think, 'client', () => this.#next(client))
  }

  #history(group: GroupId): Recorder<KvRequest, KvResult> {
    return this.#cluster.histories.get(group)!
  }

  #key(random: Random, group: GroupId): string {
    // Half of all requests go to a few keys, so that they meet.
    const keys = random.chance(0.5) ? Math.min(3, this.#keys) : this.#keys
    return `${keyPrefix(group)}${random.int(0, keys - 1)}`
  }

  /** Unique in the run, of varying length. */
  #value(random: Random): string {
    const { valueBytesMax } = this.#cluster.plan.swarm.workload
    return `v${++this.#serial}.`.padEnd(random.chance(0.2) ? random.int(1, valueBytesMax) : 0, 'x')
  }

  #register(random: Random, group: GroupId): KvRequest {
    const key = this.#key(random, group)
    const choice = random.float()
    if (choice < 0.4) return this.#read(random, get(key))
    if (choice < 0.75) {
      return { kind: 'write', op: put(key, this.#value(random), NO_LEASE, random.chance(0.3)) }
    }
    if (choice < 0.85) return { kind: 'write', op: del(pointRange(utf8(key)), random.chance(0.3)) }
    return { kind: 'write', op: this.#swap(random, group, key) }
  }

  #read(random: Random, op: (KvRequest & { kind: 'read' })['op']): KvRequest {
    const share = this.#cluster.plan.swarm.workload.serializableShare
    return { kind: 'read', op, serializable: random.chance(share) }
  }

  /** Sessions live where leases do, and write to where they may. */
  #sessionWrite(random: Random): KvRequest & { kind: 'write' } {
    const { cluster, workload } = this.#cluster.plan.swarm
    const isAnywhere = cluster.oracle && workload.sessionsAcross
    if (isAnywhere && random.chance(0.4)) return this.#writeAcross(random)
    const group = isAnywhere ? random.pick(this.#cluster.areas) : this.#cluster.areas[0]!
    const key = this.#key(random, group)
    if (random.chance(0.6)) return { kind: 'write', op: put(key, this.#value(random)) }
    return { kind: 'write', op: this.#swap(random, group, key) }
  }

  /** Compare and set on what is known to be there, so that it succeeds now and then. */
  #swap(random: Random, group: GroupId, key: string): TxnOp {
    const truth = this.#cluster.truthOf(group)
    const now = truth.view(truth.revision).get(key)
    const compare: Compare = random.chance(0.5)
      ? modIs(key, now?.mod ?? 0)
      : {
          range: pointRange(utf8(key)),
          result: 'equal',
          target: 'value',
          operand: now?.value ?? utf8('nothing'),
        }
    return {
      kind: 'txn',
      compares: [compare],
      success: [put(key, this.#value(random))],
      failure: random.chance(0.5) ? [get(key)] : [],
    }
  }

  #transaction(random: Random, group: GroupId): KvRequest {
    const keys = new Set(Array.from({ length: random.int(1, 4) }, () => this.#key(random, group)))
    const truth = this.#cluster.truthOf(group)
    const view = truth.view(truth.revision)
    const compares: Compare[] = [...keys]
      .filter(() => random.chance(0.3))
      .map(key => modIs(key, view.get(key)?.mod ?? 0))
    const ops = (): Op[] => {
      const chosen = [...keys].map((key): Op => {
        const choice = random.float()
        if (choice < 0.5) return put(key, this.#value(random), NO_LEASE, random.chance(0.2))
        if (choice < 0.7) return del(pointRange(utf8(key)))
        return get(key)
      })
      if (random.chance(0.2)) chosen.push(range(prefixRange(utf8(keyPrefix(group))), { limit: 5 }))
      return chosen
    }
    const success: Op[] = ops()
    const failure = ops()
    if (random.chance(0.1)) {
      const nested = [put(`${keyPrefix(group)}nested`, this.#value(random))]
      success.push({ kind: 'txn', compares: [], success: nested, failure: [] })
    }
    const op: TxnOp = { kind: 'txn', compares, success, failure }
    const writes = (list: readonly Op[]): boolean => list.some(({ kind }) => kind !== 'range')
    return writes(success) || writes(failure) ? { kind: 'write', op } : this.#read(random, op)
  }

  #rangeRequest(random: Random, group: GroupId): KvRequest {
    const all = prefixRange(utf8(keyPrefix(group)))
    const keys = random.chance(0.5) ? all : prefixRange(utf8(`${keyPrefix(group)}${random.int(1, 9)}`))
    const choice = random.float()
    if (choice < 0.1) return { kind: 'write', op: del(keys, random.chance(0.3)) }
    if (choice < 0.3) return { kind: 'write', op: put(this.#key(random, group), this.#value(random)) }
    const truth = this.#cluster.truthOf(group)
    const past = random.chance(0.3) ? random.int(Math.max(1, truth.revision - 50), truth.revision) : 0
    return this.#read(
      random,
      range(keys, {
        revision: past,
        limit: random.chance(0.5) ? random.int(1, 10) : 0,
        order: random.pick(['none', 'ascend', 'descend']),
        target: random.pick(['key', 'version', 'create', 'mod', 'value']),
        countOnly: random.chance(0.1),
        keysOnly: random.chance(0.1),
      }),
    )
  }

  /** A write of several groups: a transaction, or a range that is deleted over a border. */
  #writeAcross(random: Random): KvRequest & { kind: 'write' } {
    const { areas } = this.#cluster
    const key = (): string => this.#key(random, random.pick(areas))
    // Lists are only ever added to.
    if (random.chance(0.15) && !this.#kinds.includes('lists') && !this.#kinds.includes('bank')) {
      const [from, to] = [key(), key()].sort()
      return { kind: 'write', op: del({ start: utf8(from!), end: utf8(`${to}x`) }, random.chance(0.5)) }
    }
    const keys = [...new Set(Array.from({ length: random.int(2, 4) }, key))]
    const compares: Compare[] = keys
      .filter(() => random.chance(0.3))
      .map(one => ({
        range: random.chance(0.8) ? pointRange(utf8(one)) : prefixRange(utf8('g')),
        result: random.pick(['greater', 'less', 'equal']),
        target: 'version',
        operand: random.int(0, 3),
      }))
    const ops = (): Op[] =>
      keys.map((one): Op => {
        const choice = random.float()
        if (choice < 0.6) return put(one, this.#value(random), NO_LEASE, random.chance(0.2))
        return choice < 0.8 ? del(pointRange(utf8(one))) : get(one)
      })
    const success: Op[] = [put(`${keyPrefix(random.pick(areas))}first`, this.#value(random)), ...ops()]
    if (random.chance(0.2)) success.push(range(prefixRange(utf8('g')), { limit: 5 }))
    if (random.chance(0.2)) {
      const nested = [put(`${keyPrefix(random.pick(areas))}nested`, this.#value(random))]
      success.push({ kind: 'txn', compares: compares.slice(0, 1), success: nested, failure: [] })
    }
    return { kind: 'write', op: { kind: 'txn', compares, success, failure: ops() } }
  }

  /** A read of several groups: of everything, of what lies around a border, or a transaction of gets. */
  #across(random: Random): KvRequest {
    const { areas } = this.#cluster
    if (random.chance(0.4)) {
      const keys = areas.map(group => this.#key(random, group))
      const compares: Compare[] = keys.slice(0, 2).map(key => ({
        range: random.chance(0.5) ? pointRange(utf8(key)) : prefixRange(utf8('g')),
        result: random.pick(['greater', 'less']),
        target: 'version',
        operand: random.int(0, 3),
      }))
      const failure = [range(prefixRange(utf8('g')), { countOnly: true })]
      return this.#read(random, { kind: 'txn', compares, success: keys.map(get), failure })
    }
    const from = random.pick(areas)
    const keys = random.chance(0.5)
      ? prefixRange(utf8('g'))
      : { start: utf8(this.#key(random, from)), end: utf8(`${keyPrefix(random.pick(areas))}5`) }
    return this.#read(
      random,
      range(keys, {
        limit: random.chance(0.5) ? random.int(1, 10) : 0,
        order: random.pick(['none', 'ascend', 'descend']),
        target: random.pick(['key', 'version', 'create', 'mod', 'value']),
        countOnly: random.chance(0.1),
        keysOnly: random.chance(0.1),
        minMod: random.chance(0.1) ? random.int(1, 200) : 0,
      }),
    )
  }

  /** Reads lists, then appends to them if nobody else has meanwhile: one transaction of the list history. */
  #list(client: Client, group: GroupId, done: (outcome: Outcome) => void): void {
    const { random } = client
    const recorder = this.#cluster.lists.get(group)!
    const names = [
      ...new Set(
        Array.from(
          { length: random.int(1, 3) },
          () => `g${this.#listArea(random, group)}l/${this.#slot(random)}`,
        ),
      ),
    ]
    const reads = names.map((key): ListOp => ({ kind: 'read', key }))
    const appends = names
      .filter(() => random.chance(0.6))
      .map((key): ListOp => ({ kind: 'append', key, value: ++this.#serial }))
    const id = recorder.call(client.number, [...reads, ...appends])
    const look: KvRequest = {
      kind: 'read',
      op: { kind: 'txn', compares: [], success: names.map(get), failure: [] },
      serializable: false,
    }
    client.askKv(group, this.#history(group), look, (outcome, result) => {
      const reply = result?.reply
      if (reply?.kind !== 'txn') {
        recorder.fail(id)
        done(outcome)
        return
      }
      const found = reply.responses.map(response => (response.kind === 'range' ? response.kvs[0] : undefined))
      const lists = found.map(kv =>
        kv === undefined ? [] : Buffer.from(kv.value).toString().split(',').map(Number),
      )
      const results: ListResult = [...lists, ...appends.map(() => null)]
      if (appends.length === 0) {
        recorder.ok(id, results)
        done(outcome)
        return
      }
      const success = appends.map(append => {
        const list = lists[names.indexOf(append.key)]!
        return put(append.key, [...list, append.kind === 'append' ? append.value : 0].join())
      })
      const op: TxnOp = {
        kind: 'txn',
        compares: names.map((name, i) => modIs(name, found[i]?.mod ?? 0)),
        success,
        failure: [],
      }
      client.askKv(group, this.#history(group), { kind: 'write', op }, (end, answer) => {
        if (end.kind === 'fail' || (answer?.reply?.kind === 'txn' && !answer.reply.succeeded))
          recorder.fail(id)
        else if (end.kind === 'ok') recorder.ok(id, results)
        done(end)
      })
    })
  }

  #listArea(random: Random, group: GroupId): GroupId {
    return this.#cluster.plan.swarm.workload.listsAcross ? random.pick(this.#cluster.areas) : group
  }

  /** Lists grow; after a while others are used. */
  #slot(random: Random): number {
    return Math.floor(this.#serial / 200) * 3 + random.int(0, 2)
  }

  #lease(client: Client, group: GroupId, done: (outcome: Outcome) => void): void {
    const { random } = client
    const { observer } = this.#cluster
    const lease = this.#leases.length === 0 ? undefined : random.pick(this.#leases.slice(-8))
    const choice = random.float()
    if (lease === undefined || choice < 0.15) {
      const id = leaseId(BigInt(1_000 + ++this.#leaseSerial))
      const ttl = random.int(2, 8)
      client.ask({ kind: 'leaseGrant', id, ttl }, (outcome, call) => {
        if (outcome.kind === 'ok') observer.leases.renewed(id, call - 2 * MILLISECOND)
        if (outcome.kind !== 'fail') this.#leases.push({ id, ttl })
        done(outcome)
      })
    } else if (choice < 0.45) {
      client.ask({ kind: 'leaseKeepAlive', id: lease.id }, (outcome, call) => {
        if (outcome.kind === 'ok' && renewedTtl(outcome) > 0) {
          observer.leases.renewed(lease.id, call - 2 * MILLISECOND)
        }
        done(outcome)
      })
    } else if (choice < 0.55) {
      this.#ask(client, group, { kind: 'leaseRevoke', lease: lease.id }, done)
    } else if (choice < 0.65) {
      client.ask({ kind: 'leaseTimeToLive', id: lease.id, keys: true }, done)
    } else {
      // With an oracle keys of every shard hang on leases of the first.
      const { oracle } = this.#cluster.plan.swarm.cluster
      const at = oracle ? random.pick(this.#cluster.areas) : group
      const key = this.#key(random, at)
      this.#ask(client, at, { kind: 'write', op: put(key, this.#value(random), lease.id) }, done)
    }
  }

  #compactions(random: Random): void {
    const { plan, schedule, areas } = this.#cluster
    const client = new Client(this.#cluster, random)
    const again = (): void => {
      const { compactEvery } = plan.swarm.workload
      schedule.after(random.exponential(compactEvery), 'compaction', () => {
        if (this.#stopped) return
        const truth = this.#cluster.truthOf(areas[0]!)
        const revision = random.int(Math.max(1, truth.compacted), truth.revision)
        this.busy++
        client.ask({ kind: 'compact', revision, physical: random.chance(0.3) }, () => {
          this.busy--
          again()
        })
      })
    }
    again()
  }
}

function renewedTtl(outcome: Outcome & { kind: 'ok' }): number {
  const reply = decodeReply(outcome.result.value.body)
  return reply.kind === 'leaseRenewed' ? reply.ttl : 0
}
