import type { BootIdentity, NodeId, PeerRefusal } from '@kvorum/model'
import { step } from '@kvorum/raft'
import { createTakenRequests, type TakenRequests } from './takenRequests.js'
import { peersOf } from './membership.js'
import { fatal, note, sendTo, type Turn } from './state.js'
import type { PeerRecord } from './types.js'

/**
 * Who may speak. A data directory has an incarnation (random, made with the directory), counts its starts, and
 * draws a nonce per start. On every connection both sides say hello; a node writes down what it was told before
 * it listens to anything else from that peer, then answers welcome.
 *
 *     dialer: hello(identity) ----> record it durably (or refuse) ----> welcome(identity)
 *
 * A directory that is new votes and acknowledges only after a majority of the *other* members has welcomed it.
 * Any earlier directory of the same member needed such a majority as well, and two majorities share a node: so
 * a member that lost its directory is recognised, and refused, before it can vote or acknowledge a second time.
 * An older or a copied directory is recognised by its start count and nonce.
 */
export interface Peer {
  readonly node: NodeId
  connected: boolean
  /** What this peer showed last, as far as it is durable here; null: never seen. */
  record: PeerRecord | null
  /** A hello is being written down. */
  recording: PeerRecord | null
  /** Its present start is known durably: it is listened to. */
  trusted: boolean
  /** Requests that it sent on to this node. */
  readonly taken: TakenRequests
}

export interface Admission {
  /** This directory may vote. */
  admitted: boolean
  /** The admission is being written down. */
  recording: boolean
  readonly welcomedBy: Set<NodeId>
}

export const createPeer = (node: NodeId, record: PeerRecord | null): Peer => ({
  node,
  connected: false,
  record,
  recording: null,
  trusted: false,
  taken: createTakenRequests(),
})

export function peerUp(turn: Turn, node: NodeId): void {
  const { state } = turn
  const peer = state.peers.get(node)
  if (peer === undefined) return
  peer.connected = true
  sendTo(turn, node, {
    kind: 'hello',
    cluster: state.options.cluster,
    node: state.options.self,
    identity: state.identity,
  })
  // A welcome may have been due while there was no way to send it.
  if (peer.trusted && peer.record !== null) welcome(turn, peer.record)
}

export function receiveHello(turn: Turn, from: NodeId, identity: BootIdentity): void {
  const peer = turn.state.peers.get(from)
  if (peer === undefined) return
  const known = peer.recording ?? peer.record
  const refusal = judge(known, identity)
  if (refusal !== null) {
    peer.trusted = false
    note(turn, 'warn', 'A member was refused: its data directory is not the one that is known', {
      member: from.toString(16),
      reason: refusal,
    })
    sendTo(turn, from, { kind: 'refused', reason: refusal, identity })
    return
  }
  if (peer.record !== null && sameBoot(peer.record, identity)) {
    trust(turn, peer, peer.record)
    return
  }
  peer.recording = { node: from, ...identity }
  turn.state.persisting.peers.push(peer.recording)
}

/** The peer's identity is durable here. */
export function peerRecorded(turn: Turn, record: PeerRecord): void {
  const peer = turn.state.peers.get(record.node)
  if (peer === undefined) return
  if (peer.recording === record) peer.recording = null
  trust(turn, peer, record)
}

function trust(turn: Turn, peer: Peer, record: PeerRecord): void {
  peer.record = record
  peer.trusted = true
  welcome(turn, record)
}

function welcome(turn: Turn, { node, incarnation, boot, nonce }: PeerRecord): void {
  sendTo(turn, node, { kind: 'welcome', identity: { incarnation, boot, nonce } })
}

export function receiveWelcome(turn: Turn, from: NodeId, identity: BootIdentity): void {
  const { state } = turn
  if (identity.incarnation !== state.identity.incarnation) return
  state.admission.welcomedBy.add(from)
  considerAdmission(turn)
}

/** Called again after every welcome and once at the start (a single member needs nobody's). */
export function considerAdmission(turn: Turn): void {
  const { admission, persisting } = turn.state
  const others = peersOf(turn.state)
  const needed = others.length === 0 ? 0 : Math.floor(others.length / 2) + 1
  const welcomed = others.filter(node => admission.welcomedBy.has(node)).length
  if (admission.admitted || admission.recording || welcomed < needed) return
  admission.recording = true
  persisting.admit = true
}

export function admissionRecorded(turn: Turn): void {
  const { state } = turn
  state.admission.recording = false
  state.admission.admitted = true
  note(turn, 'info', 'The other members know this data directory: it takes part now', {})
  for (const group of state.groups.values()) {
    if (group.raft === null) continue
    step(group.raft, { kind: 'admitted' })
    turn.touched.add(group)
  }
}

/** Another member refused `identity`. That is not this start where two processes say that they are this node. */
export function receiveRefused(turn: Turn, from: NodeId, reason: PeerRefusal, identity: BootIdentity): void {
  if (sameBoot(turn.state.identity, identity)) receiveRefusal(turn, from, reason)
}

/** Another member will not have this directory. Only its own directory can be at fault, so the node ends. */
export function receiveRefusal(turn: Turn, from: NodeId, reason: PeerRefusal): void {
  const sentence = REFUSAL_SENTENCES[reason]
  if (reason === 'unknownMember' || reason === 'otherCluster') {
    note(turn, 'warn', sentence, { member: from.toString(16) })
    return
  }
  fatal(turn, sentence)
}

const WAY_BACK =
  'Put the directory of its last run back, or give the member a new identity with an empty directory: `kvorum member replace`.'

/** One sentence per refusal, naming the way back. */
export const REFUSAL_SENTENCES: Readonly<Record<PeerRefusal, string>> = {
  otherCluster:
    'A member refused this node because it belongs to another cluster: check --initial-cluster and --initial-cluster-token.',
  unknownMember: 'A member refused this node because it does not know it: check --initial-cluster on both.',
  otherDirectory: `The cluster knows this member with another data directory: this one was wiped or exchanged, and may have forgotten votes and acknowledged writes. ${WAY_BACK}`,
  olderDirectory: `The cluster has seen a later state of this data directory: this one was rolled back, and may have forgotten votes and acknowledged writes. ${WAY_BACK}`,
  copiedDirectory: `Another process runs, or ran, from a copy of this data directory. ${WAY_BACK}`,
}

function judge(known: PeerRecord | null, identity: BootIdentity): PeerRefusal | null {
  if (known === null) return null
  if (known.incarnation !== identity.incarnation) return 'otherDirectory'
  if (identity.boot < known.boot) return 'olderDirectory'
  if (identity.boot === known.boot && identity.nonce !== known.nonce) return 'copiedDirectory'
  return null
}

const sameBoot = (record: BootIdentity, identity: BootIdentity): boolean =>
  record.incarnation === identity.incarnation &&
  record.boot === identity.boot &&
  record.nonce === identity.nonce
