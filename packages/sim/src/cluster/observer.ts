import {
  type BootIdentity,
  type Entry,
  type GroupId,
  type GroupMessage,
  type Index,
  META_GROUP,
  toKeyString,
  type Op,
  type PeerMessage,
} from '@kvorum/model'
import type { Group, NodeState, Orders, PersistOrder } from '@kvorum/node'
import { SPLIT_BASE } from '@kvorum/machine'
import {
  decodeMetaCommand,
  seatOf,
  type MetaState,
  type ShardDescriptor,
  type ShardMap,
} from '@kvorum/placement'
import { type Message, type Raft, termAt } from '@kvorum/raft'
import { Access } from '../invariants/access.js'
import { AutoCompactions } from '../invariants/autoCompactions.js'
import { LeaseIntervals } from '../invariants/leases.js'
import { InvariantSet } from '../invariants/invariantSet.js'
import { LogShadow } from '../invariants/logShadow.js'
import { configInForce, type ReplicaRecord } from '../invariants/ledger.js'
import { Members, type MembersAt } from '../invariants/members.js'
import { ShardMaps } from '../invariants/shardMaps.js'
import type { At, EntryMark } from '../invariants/observation.js'
import type { Station } from '../network/partition.js'
import { configsFrom, markOf, positionsOf } from '../raftLens.js'
import type { Micros } from '../schedule.js'
import { Failure } from './failure.js'
import type { Deed, GroundTruth } from './groundTruth.js'
import { keyPrefix } from './plan.js'
import type { StoredState } from './storedState.js'
import { Truths } from './truths.js'

/** One group as a node's disks had it when the node started. */
export interface FoundGroup {
  readonly group: GroupId
  readonly term: number
  readonly vote: number
  readonly commit: Index
  readonly base: { readonly index: Index; readonly term: number }
  readonly entries: readonly EntryMark[]
  readonly stored: StoredState
}

export interface Found {
  readonly station: Station
  readonly life: number
  readonly identity: BootIdentity
  readonly admitted: boolean
  /** The simulator damaged this node's disks while it was down. */
  readonly damaged: boolean
  readonly groups: ReadonlyMap<GroupId, FoundGroup>
}

interface ReplicaView {
  readonly at: At
  role: string
  started: boolean
  applied: Index
  installs: boolean
  compacted: number
}

/** What one life of a node has shown so far. */
export interface NodeView {
  readonly found: Found
  /** Its disk says that it may take part. */
  admitted: boolean
  /** By which it routed when it was last looked at. */
  map: ShardMap | null
  readonly replicas: Map<GroupId, ReplicaView>
}

/**
 * The simulator's eye: after every turn it compares each replica's record with what it saw before and tells the
 * invariants what happened, in the order that observation.ts asks for. It only ever reads.
 */
export class Observer {
  readonly invariants: InvariantSet
  readonly leases: LeaseIntervals
  readonly compactions: AutoCompactions
  readonly access = new Access()
  readonly members = new Members()
  readonly truths: Truths
  readonly maps = new ShardMaps()
  /** Leases whose end a client has asked for. */
  readonly revokesAsked = new Set<bigint>()
  readonly #now: () => Micros
  readonly #founded: ReadonlySet<GroupId>
  readonly #marks = new WeakMap<Entry, EntryMark>()

  constructor(options: {
    readonly shards: readonly ShardDescriptor[]
    /** There is one order over all shards. */
    readonly oneOrder: boolean
    /** From the start revisions come from the oracle. */
    readonly oracle: boolean
    readonly drift: number
    readonly retention: Micros | null
    readonly now: () => Micros
  }) {
    const { shards, oneOrder, oracle } = options
    this.invariants = new InvariantSet({ dense: shards.length === 1 && !oracle, oracle: oneOrder })
    this.leases = new LeaseIntervals({ drift: options.drift })
    this.compactions = new AutoCompactions(options.retention)
    this.#now = options.now
    this.#founded = new Set(shards.map(({ group }) => group))
    this.truths = new Truths(shards, { oneOrder, oracle })
  }

  /** A node's disks were read and it is about to run. */
  begin(found: Found, state: NodeState): NodeView {
    const view: NodeView = {
      found,
      admitted: found.admitted,
      map: null,
      replicas: new Map<GroupId, ReplicaView>(),
    }
    for (const group of state.groups.values()) this.#replica(view, group)
    return view
  }

  /** Groups come while a node runs, too: by splits, and by the map. */
  #replica({ found, replicas }: NodeView, { id: group, replica }: Group): ReplicaView {
    const known = replicas.get(group)
    if (known !== undefined) return known
    const at = { node: found.station, group, replica }
    const fresh = { at, role: '', started: false, applied: 0, installs: false, compacted: 0 }
    replicas.set(group, fresh)
    return fresh
  }

  ended(view: NodeView): void {
    for (const { started, at } of view.replicas.values()) {
      if (started) this.invariants.observe({ kind: 'stopped', at })
    }
  }

  /** The simulated disk has everything of this write; the node does not know yet. */
  persisted(view: NodeView, order: PersistOrder): void {
    if (order.admitted) {
      view.admitted = true
      for (const { at, started } of view.replicas.values()) {
        if (started) this.invariants.observe({ kind: 'admitted', at })
      }
    }
    for (const { group, persist } of order.groups) {
      const { at } = view.replicas.get(group)!
      const { hardState } = persist
      const { durable } = this.invariants.ledger.replica(at)!
      // Meanwhile the replica may have purged further than this write says.
      const older = persist.reset?.keep === true && persist.reset.base.index <= durable.base.index
      const reset = older ? null : persist.reset
      const entries = persist.entries.map(entry => this.mark(entry))
      this.invariants.observe({ kind: 'durable', at, hardState, entries, reset })
    }
  }

  /** A synced batch of the state store is on the disk; `stored` is what the store says of itself. */
  storeSynced(view: NodeView, stored: ReadonlyMap<GroupId, StoredState>): void {
    for (const [group, { applied, installing }] of stored) {
      const replica = view.replicas.get(group)
      if (replica === undefined || !replica.started || installing) continue
      this.invariants.observe({ kind: 'storeDurable', at: replica.at, applied })
    }
  }

  mark(entry: Entry): EntryMark {
    let mark = this.#marks.get(entry)
    if (mark === undefined) this.#marks.set(entry, (mark = markOf(entry)))
    return mark
  }

  afterTurn(view: NodeView, state: NodeState, orders: Orders): void {
    if (view.map !== state.shards) this.maps.routed((view.map = state.shards))
    for (const group of state.groups.values()) {
      const replica = this.#replica(view, group)
      if (group.raft === null) continue
      if (!replica.started) this.#start(view, replica, group)
      this.#look(replica, group, group.raft)
    }
    for (const { parcels } of orders.send) {
      for (const parcel of parcels as readonly PeerMessage<Message>[]) {
        for (const { group, message } of raftMessagesIn(parcel)) {
          const { at } = view.replicas.get(group)!
          this.invariants.observe({ kind: 'sent', at, message })
        }
      }
    }
    for (const group of state.groups.values()) {
      const replica = view.replicas.get(group.id)!
      if (replica.started) this.#applied(view, replica, group)
    }
  }

  #start({ found, admitted }: NodeView, replica: ReplicaView, group: Group): void {
    const raft = group.raft!
    const own = found.groups.get(group.id)
    // Where a split has begun the log. It may be on no disk yet, while the store has the right half; or the other way.
    const isHalf = raft.base.index >= SPLIT_BASE.index && this.#isSplitOff(group)
    const logged = own?.base ?? { index: 0, term: 0 }
    const base = isHalf && logged.index === 0 ? raft.base : logged
    const entries = own?.entries ?? []
    // What moved away has left its rows, and is cleared: it comes back without a state.
    const stored = (raft.lost ? null : own?.stored) ?? { ...NO_STATE, installing: raft.lost }
    const last = base.index + entries.length
    const found_ = new LogShadow(base, entries)
    const within = !stored.installing && found_.termAt(stored.applied) === stored.appliedTerm
    const applied = within ? stored.applied : base.index
    const newest = entries.at(-1)?.term ?? base.term
    const term = Math.max(own?.term ?? 0, newest)
    replica.started = true
    replica.applied = within ? stored.applied : isHalf && !group.machine.installing ? base.index : 0
    // A snapshot was installed and the log has not heard of it: the node tells it now.
    const isAhead = !stored.installing && !within && stored.applied > base.index
    if (isAhead) replica.installs = true
    const config = raft.configs[0]!
    const configs =
      raft.base.index === base.index ? raft.configs : [{ index: base.index, config: config.config }]
    this.invariants.observe({
      kind: 'started',
      at: replica.at,
      incarnation: found.identity.incarnation,
      mayVote: admitted,
      damaged: found.damaged || stored.installing,
      positions: {
        term,
        vote: (newest > (own?.term ?? 0) ? 0 : (own?.vote ?? 0)) as At['replica'],
        purged: base.index,
        snapshot: applied,
        applied,
        commit: Math.max(own?.commit ?? 0, applied, base.index),
        last,
        configIndex: configs.at(-1)!.index,
      },
      storeAhead: isAhead ? stored.applied : null,
      base,
      entries,
      configs,
    })
    if (stored.digest !== '' && !stored.installing) {
      this.invariants.observe({
        kind: 'storeOpened',
        at: replica.at,
        applied: stored.applied,
        digest: stored.digest,
      })
    }
  }

  #isSplitOff({ id }: Group): boolean {
    return id !== META_GROUP && !this.#founded.has(id)
  }

  /** Follower; appended, installed or purged; leader; positions; progress. */
  #look(replica: ReplicaView, { id }: Group, raft: Raft): void {
    const { at } = replica
    const { invariants } = this
    const record = invariants.ledger.replica(at)!
    const role = `${raft.role} ${raft.term}`
    const changed = role !== replica.role
    replica.role = role
    const leads = raft.role === 'leader'
    if (changed && !leads) invariants.observe({ kind: 'follower', at, term: raft.term })
    this.#installed(replica, record, raft)
    const fresh = appendedEntries(raft, record.log)
    if (fresh.length > 0) {
      for (const entry of fresh) this.truths.remember(id, entry)
      invariants.observe({
        kind: 'appended',
        at,
        entries: fresh.map(entry => this.mark(entry)),
        configs: configsFrom(raft, fresh[0]!.index),
        proposed: leads,
        commit: raft.commit,
      })
    }
    if (raft.base.index > record.log.base.index) {
      invariants.observe({ kind: 'purged', at, index: raft.base.index })
    }
    if (changed && leads) invariants.observe({ kind: 'leader', at, term: raft.term })
    this.#positions(record, at, raft)
    if (leads) this.#progress(at, raft)
  }

  #installed({ at, installs }: ReplicaView, record: ReplicaRecord, raft: Raft): void {
    const { base } = raft
    if (base.index <= record.log.base.index) return
    const known = record.log.termAt(base.index) === base.term
    if (known && (!installs || raft.configs[0]!.index === configInForce(record).index)) return
    const config = raft.configs[0]!.config
    this.invariants.observe({ kind: 'installed', at, base, keep: known, config })
  }

  #positions(record: ReplicaRecord, at: At, raft: Raft): void {
    const before = record.positions
    const now = positionsOf(raft, record.storeDurable)
    const positions = raft.lost
      ? { ...now, applied: Math.max(before.applied, now.applied), snapshot: before.snapshot }
      : now
    this.invariants.observe({ kind: 'positions', at, positions })
  }

  #progress(at: At, raft: Raft): void {
    for (const { id: follower, match, next, inflightBytes } of raft.progress.values()) {
      this.invariants.observe({ kind: 'progress', at, follower, match, next, inflightBytes })
    }
  }

  #applied(view: NodeView, replica: ReplicaView, group: Group): void {
    const { machine } = group
    if (machine.installing) {
      replica.installs = true
      return
    }
    if (group.quarantined !== null) return
    const { meta } = machine
    if (meta !== null && machine.applied !== replica.applied) {
      this.members.observe(membersAt(meta))
      this.maps.applied(meta.shards)
    }
    const record = this.invariants.ledger.replica(replica.at)!
    const truth = this.truths.get(group.id)
    const digest = machine.shard === null ? null : `${machine.shard.digest}`
    if (replica.installs && group.installing === null) {
      replica.installs = false
      replica.applied = machine.applied
      if (digest !== null) {
        this.invariants.observe({ kind: 'storeOpened', at: replica.at, applied: machine.applied, digest })
      }
    }
    for (let index = replica.applied + 1; index <= machine.applied; index++) {
      const mark = record.log.at(index)
      if (mark === undefined) throw new Failure('applied what is not in the log', { group: group.id, index })
      const last = index === machine.applied
      if (last && digest !== null) {
        this.invariants.observe({ kind: 'applied', at: replica.at, entry: mark, digest })
      }
      if (index === truth.applied + 1) this.#first(truth, mark)
    }
    replica.applied = machine.applied
    const compacted = machine.shard?.compactRevision ?? 0
    if (compacted !== replica.compacted && group.id === 1) {
      replica.compacted = compacted
      // A restart may have lost an unsynced compaction: each life is a node of its own here.
      const node = view.found.station + 1000 * view.found.life
      this.invariants.observe({ kind: 'compacted', node, revision: compacted })
    }
  }

  #first(truth: GroundTruth, mark: EntryMark): void {
    const entry = this.truths.entryOf(truth.group, mark)
    if (entry === undefined)
      throw new Failure('an entry nobody had seen', { group: truth.group, index: mark.index })
    const deed = truth.apply(entry)
    if (truth.group === META_GROUP && entry.kind === 'normal') {
      this.access.metaApplied(decodeMetaCommand(entry.data))
    }
    if (deed.right !== undefined) this.truths.born(deed.right)
    if (deed.command?.kind === 'compact' && !deed.refused) {
      this.truths.compacted(deed.command.revision)
      this.compactions.compacted(deed.command.revision, this.#now())
    }
    if (deed.change !== null) {
      const { group } = truth
      this.truths.wrote(deed.change)
      // As with compactions, the first shard's count.
      if (group === 1) this.compactions.made(deed.change.revision, this.#now())
      const { change, shared = false, stamped = false } = deed
      this.invariants.observe({ kind: 'revision', group, change, shared, stamped })
      for (const { kind, kv } of deed.change.events) {
        if (kind !== 'put') continue
        const value = toKeyString(kv.value)
        this.invariants.observe({ kind: 'writeApplied', value, revision: deed.change.revision })
        this.access.putApplied(value, keyPrefix)
      }
    }
    this.#leases(deed, truth.group)
  }

  #leases({ command, refused, change, ends }: Deed, group: GroupId): void {
    if (command === null || refused) return
    if (ends !== undefined) {
      const cause = this.revokesAsked.has(ends) ? 'revoked' : 'expired'
      // The first shard has the record of the lease, and of the decision.
      this.leases.endedOverShards(ends, group === 1 ? { cause, time: this.#now() } : null, change)
      return
    }
    if (command.kind === 'leaseGrant') this.leases.granted(command.id, command.ttl)
    else if (command.kind === 'leaseRevoke') {
      const cause = this.revokesAsked.has(command.id) ? 'revoked' : 'expired'
      this.leases.ended(command.id, cause, this.#now(), change)
    } else if (change !== null) this.leases.changed(change)
  }
}

/** What was appended or replaced since `log` was told; new entries are in the cache until they are durable. */
function appendedEntries(raft: Raft, log: LogShadow): readonly Entry[] {
  let agreed = Math.min(raft.lastIndex, log.last)
  while (agreed > log.base.index && termAt(raft, agreed) !== log.termAt(agreed)) agreed--
  const { cache } = raft
  const from = Math.max(agreed + 1, cache.first)
  if (from > raft.lastIndex) return NO_ENTRIES
  return cache.entries.slice(cache.head + from - cache.first)
}

function membersAt(meta: MetaState): MembersAt {
  const members = meta.nodes.map(({ id, name, learner, peerUrls }) => {
    const { replica, incarnation } = seatOf(meta, id)!
    return { node: id, replica, incarnation, learner, started: name !== '', urls: peerUrls }
  })
  return { index: meta.applied, members, removed: meta.membership.removed.map(({ node }) => node) }
}

const NO_STATE: StoredState = { applied: 0, appliedTerm: 0, digest: '', installing: false, compacted: 0 }

const NO_ENTRIES: readonly Entry[] = []

/** Unique values of the puts of an operation, in every branch: the names of its writes. */
export function valuesOf(op: Op): string[] {
  if (op.kind === 'put') return [toKeyString(op.value)]
  return op.kind === 'txn' ? [...op.success, ...op.failure].flatMap(valuesOf) : []
}

/** What of it replicas say to each other, alone or together with others. */
function raftMessagesIn(parcel: PeerMessage<Message>): readonly GroupMessage<Message>[] {
  if (parcel.kind === 'raft') return [parcel]
  return parcel.kind === 'heartbeats' ? parcel.beats : []
}
