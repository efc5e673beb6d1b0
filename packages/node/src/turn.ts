import { LIMITS, unreachable, type Entry, type GroupId, type NodeId } from '@kvorum/model'
import { step } from '@kvorum/raft'
import { driveApply, driveHidden } from './apply.js'
import { skipMovedTimers } from './arming.js'
import { sendBeats } from './beatOutbox.js'
import { fireBeats, receiveHeartbeats } from './beats.js'
import { driveAuthChanges } from './authChanges.js'
import { expireCalls, nextDeadline } from './calls.js'
import { receiveRaft, stepGroup } from './consensus.js'
import { settleGroup } from './settle.js'
import { driveCompaction } from './compaction.js'
import { loadGroups } from './create.js'
import { doDuties } from './duties.js'
import { driveFollows } from './follows.js'
import { driveFlush, stored } from './flush.js'
import { peerUp, receiveHello, receiveRefusal, receiveRefused, receiveWelcome } from './identity.js'
import { holdState, openHolds } from './holds.js'
import { expireLeases } from './leases.js'
import { orderPersist, persisted, persistRefused, retryPersist } from './persisting.js'
import { quarantine } from './quarantine.js'
import { heardWhere, receiveRoster } from './roster.js'
import { receiveLoads } from './shardLoads.js'
import { receiveChunk } from './snapshotInstall.js'
import { openSources, receivePull } from './snapshotSend.js'
import { driveStandings } from './standing.js'
import type { Group, NodeState, Turn } from './state.js'
import { fetched } from './tasks.js'
import { dueGroups, nextTimer } from './timers.js'
import type { Bootstrap, Input, Orders, Parcel, TurnInput } from './types.js'
import { hasNews } from './watch/news.js'
import { driveTransactions, nextTransactionDue } from './transactions/coordinate.js'
import { closeStream, consumed, driveWatchers, openStream, receiveWatch } from './watch/watchers.js'
import {
  cancelCall,
  forwardDropped,
  forwardsLost,
  receiveForwarded,
  receiveReply,
  receiveRequest,
  routeOwn,
} from './writes.js'

/**
 * One turn: everything that has arrived since the last one goes in, everything to be done comes out. Nothing
 * in here waits, and nothing else changes the state.
 *
 *     inputs -> step groups -> timers -> settle (propose, read rounds, send, apply) until quiet
 *            -> one write for all groups -> store, watchers, housekeeping -> orders
 */
export function turn(state: NodeState, input: TurnInput): Orders {
  return runTurn(state, input, () => undefined)
}

/** The first turn of a start: begins to load what the store remembers. */
export function firstTurn(state: NodeState, bootstrap: Bootstrap, input: TurnInput): Orders {
  return runTurn(state, input, it => loadGroups(it, bootstrap))
}

function runTurn(state: NodeState, input: TurnInput, begin: (it: Turn) => void): Orders {
  const { now, wall, inputs, applyBytes = LIMITS.turnApplyBytesMax } = input
  const it: Turn = {
    state,
    now,
    wall,
    out: noOrders(),
    touched: new Set(),
    routing: [],
    outbox: new Map(),
    beats: new Map(),
    applyBytesLeft: applyBytes,
  }
  state.counters.turns++
  begin(it)
  noticeStall(it)
  for (const each of inputs) take(it, each)
  for (const group of state.unsettled) it.touched.add(group)
  state.unsettled.clear()
  fireTimers(it)
  expireCalls(it)
  driveTransactions(it)
  doDuties(it)
  settle(it)
  retryPersist(it)
  orderPersist(it)
  settle(it)
  if (state.authFences.moved) driveAuthChanges(it)
  driveStandings(it)
  openSources(it)
  openHolds(it)
  driveFlush(it)
  driveWatchers(it)
  settle(it)
  sendBeats(it)
  skipMovedTimers(it)
  if (hasNews(state) || state.authFences.moved) it.out.again = true
  state.lastTurnAt = now
  it.out.send = [...it.outbox].map(([to, parcels]) => ({ to, parcels }))
  it.out.wakeAt = nextWake(it)
  return it.out
}

const noOrders = (): Orders => ({
  send: [],
  persist: null,
  fetch: [],
  closeViews: [],
  holds: [],
  store: null,
  readLog: [],
  purgeLog: false,
  replies: [],
  watch: [],
  wakeAt: Infinity,
  again: false,
  notes: [],
  peers: null,
  fatal: null,
})

/**
 * The process slept, or was busy with something else, for longer than a heartbeat: its timers are due and the
 * messages that would have moved them lie unread in the sockets. They get a heartbeat's time to be read first.
 */
function noticeStall(it: Turn): void {
  const { state, now } = it
  const { heartbeatMs } = state.options
  if (now - state.lastTurnAt <= heartbeatMs * 2 || state.lastTurnAt === 0) return
  state.graceUntil = now + heartbeatMs
  state.counters.stalls++
}

function take(it: Turn, input: Input): void {
  switch (input.kind) {
    case 'parcels':
      for (const parcel of input.parcels) takeParcel(it, input.from, parcel)
      return
    case 'peerUp':
      peerUp(it, input.node)
      return
    case 'peerDown':
      peerDown(it, input.node)
      return
    case 'dropped':
      dropped(it, input.node, input.parcels)
      return
    case 'peerRefused':
      receiveRefusal(it, input.node, input.reason)
      return
    case 'persisted':
      persisted(it)
      return
    case 'persistRefused':
      persistRefused(it)
      return
    case 'stored':
      stored(it, input.id)
      return
    case 'fetched':
      fetched(it, input.id, input.answer)
      return
    case 'logRead':
      logRead(it, input.group, input.entries)
      return
    case 'logDamaged':
      withGroup(it, input.group, group => quarantine(it, group, input.problem))
      return
    case 'request':
      receiveRequest(it, input.id, input.request, input.deadline)
      return
    case 'cancel':
      cancelCall(it, input.id)
      return
    case 'watchOpen':
      openStream(it, input.stream)
      return
    case 'watch':
      receiveWatch(it, input.stream, input.request)
      return
    case 'watchConsumed':
      consumed(it, input.stream, input.bytes)
      return
    case 'watchClose':
      closeStream(it, input.stream)
      return
    case 'holdState':
      holdState(it, input.id)
      return
    case 'drain':
      it.state.draining = true
      it.state.dutiesAt = it.now
      return
    default:
      unreachable(input)
  }
}

function takeParcel(it: Turn, from: NodeId, parcel: Parcel): void {
  const peer = it.state.peers.get(from)
  if (peer === undefined) return
  switch (parcel.kind) {
    case 'hello':
      if (parcel.cluster === it.state.options.cluster && parcel.node === from)
        if (receiveHello(it, from, parcel.identity)) heardWhere(it, peer, parcel.peerUrls)
      return
    case 'welcome':
      receiveWelcome(it, from, parcel.identity)
      return
    case 'refused':
      receiveRefused(it, from, parcel.reason, parcel.identity)
      return
    default:
  }
  // Nothing else counts before the sender's directory is known durably.
  if (!peer.trusted) return
  switch (parcel.kind) {
    case 'raft':
      receiveRaft(it, from, parcel.group, parcel.message)
      return
    case 'heartbeats':
      receiveHeartbeats(it, from, parcel.beats)
      return
    case 'roster':
      receiveRoster(it, parcel.roster)
      return
    case 'loads':
      receiveLoads(it, parcel.loads)
      return
    case 'request':
      receiveForwarded(it, from, parcel.id, parcel.group, parcel.request)
      return
    case 'reply':
      receiveReply(it, from, parcel.id, parcel.result)
      return
    case 'snapshotPull':
      withGroup(it, parcel.group, group => receivePull(it, from, group, parcel))
      return
    case 'snapshotChunk':
      receiveChunk(it, from, parcel)
      return
    default:
      unreachable(parcel)
  }
}

/** Also of a replica that has gone meanwhile: it may come back, and waits for no other answer. */
function logRead(it: Turn, id: GroupId, entries: readonly Entry[]): void {
  const group = it.state.groups.get(id) ?? it.state.replicas.retired.get(id)?.group
  if (group?.raft == null) return
  step(group.raft, { kind: 'fetched', entries })
  if (it.state.groups.has(id)) it.touched.add(group)
}

function withGroup(it: Turn, id: GroupId, act: (group: Group) => void): void {
  const group = it.state.groups.get(id)
  if (group !== undefined) act(group)
}

function peerDown(it: Turn, node: NodeId): void {
  const peer = it.state.peers.get(node)
  if (peer === undefined) return
  peer.connected = false
  forwardsLost(it, node)
  markUnreachable(it, node, [...it.state.groups.values()])
}

function dropped(it: Turn, node: NodeId, parcels: readonly Parcel[]): void {
  const groups = new Set<Group>()
  for (const parcel of parcels) {
    if (parcel.kind === 'request') forwardDropped(it, parcel.id)
    if (parcel.kind === 'raft') withGroup(it, parcel.group, group => groups.add(group))
    if (parcel.kind === 'heartbeats')
      for (const beat of parcel.beats) withGroup(it, beat.group, group => groups.add(group))
  }
  markUnreachable(it, node, [...groups])
}

function markUnreachable(it: Turn, node: NodeId, groups: readonly Group[]): void {
  for (const group of groups) {
    for (const replica of group.raft?.config.replicas ?? []) {
      if (replica.node === node) stepGroup(it, group, { kind: 'unreachable', to: replica.id })
    }
  }
}

function fireTimers(it: Turn): void {
  const { state, now } = it
  if (now < state.graceUntil) return
  for (const id of dueGroups(state.timers, now)) {
    withGroup(it, id, group => {
      stepGroup(it, group, { kind: 'tick', now })
      expireLeases(it, group)
    })
  }
  fireBeats(it)
}

/** Until no group has anything more to say. Every round consumes what the one before brought, so it ends. */
function settle(it: Turn): void {
  for (;;) {
    routeOwn(it)
    if (it.touched.size === 0) return
    const groups = [...it.touched]
    it.touched.clear()
    it.state.counters.groupsSettled += groups.length
    for (const group of groups) {
      settleGroup(it, group)
      driveApply(it, group)
      driveHidden(it, group)
      driveFollows(it, group)
      driveCompaction(it, group)
    }
  }
}

function nextWake(it: Turn): number {
  const { state, now } = it
  let at = Math.min(
    nextTimer(state.timers),
    state.beats.due,
    nextDeadline(state.calls),
    state.dutiesAt,
    nextTransactionDue(state),
  )
  if (state.flushing.out === null && state.overlay.activeBytes > 0)
    at = Math.min(at, state.flushing.lastAt + state.options.limits.flushAfterMs)
  if (now < state.graceUntil) at = Math.max(at, state.graceUntil)
  return Math.max(at, now)
}
