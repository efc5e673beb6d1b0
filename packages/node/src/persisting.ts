import type { Group, Turn } from './state.js'
import { hasReady, type Message, type Persist } from '@kvorum/raft'
import { admissionRecorded, peerRecorded } from './identity.js'
import { handOver, routeMessages, stepGroup } from './consensus.js'
import { countAppended } from './logBytes.js'
import { collectReady } from './settle.js'
import { note } from './state.js'
import type { PeerRecord, PersistOrder } from './types.js'

/**
 * Group commit: at most one write is out, with everything all groups had to say; what comes meanwhile is
 * collected for the next. Messages that stand on a write leave when it is durable.
 */
export interface Persisting {
  out: {
    readonly order: PersistOrder
    readonly groups: readonly { readonly group: Group; readonly after: readonly Message[] }[]
    /** The disk was full: the same order is tried again at this time. */
    retryAt: number | null
  } | null
  /** Groups with something to write while the disk was busy. */
  readonly pending: Set<Group>
  /** Identities to write down with the next order. */
  peers: PeerRecord[]
  admit: boolean
}

export const createPersisting = (): Persisting => ({ out: null, pending: new Set(), peers: [], admit: false })

const RETRY_MS = 500

/** Orders the next write, if the disk is free and there is something to write. */
export function orderPersist(turn: Turn): void {
  const { persisting, counters } = turn.state
  if (persisting.out !== null) return
  const groups: { group: Group; after: readonly Message[] }[] = []
  const writes: { group: Group['id']; persist: Persist }[] = []
  for (const group of persisting.pending) {
    if (group.raft === null || !hasReady(group.raft, true)) continue
    const ready = collectReady(turn, group, true)
    if (ready.persist === null) continue
    countAppended(group.logBytes, ready.persist.entries)
    writes.push({ group: group.id, persist: ready.persist })
    groups.push({ group, after: ready.sendAfterPersist })
  }
  persisting.pending.clear()
  if (writes.length === 0 && persisting.peers.length === 0 && !persisting.admit) return
  const order = { groups: writes, peers: persisting.peers, admitted: persisting.admit }
  persisting.out = { order, groups, retryAt: null }
  persisting.peers = []
  persisting.admit = false
  turn.out.persist = order
  counters.persists++
}

export function persisted(turn: Turn): void {
  const { persisting } = turn.state
  const done = persisting.out
  if (done === null) return
  persisting.out = null
  for (const record of done.order.peers) peerRecorded(turn, record)
  if (done.order.admitted) admissionRecorded(turn)
  for (const { group, after } of done.groups) {
    stepGroup(turn, group, { kind: 'persisted' })
    routeMessages(turn, group, after)
  }
}

/** No room on the disk: nothing of the order counts. Others should lead meanwhile; the write is tried again. */
export function persistRefused(turn: Turn): void {
  const { out } = turn.state.persisting
  if (out === null) return
  out.retryAt = turn.now + RETRY_MS
  for (const group of turn.state.groups.values()) handOver(turn, group)
  note(turn, 'error', 'The disk is full: this node cannot acknowledge anything until there is room', {})
}

export function retryPersist(turn: Turn): void {
  const { out } = turn.state.persisting
  if (out === null || out.retryAt === null || out.retryAt > turn.now) return
  out.retryAt = null
  turn.out.persist = out.order
}
