import { LIMITS, type BootIdentity, type NodeId, type PeerRefusal, type RosterMember } from '@kvorum/model'
import { NO_INCARNATION } from '@kvorum/placement'
import { step } from '@kvorum/raft'
import { createTakenRequests, type TakenRequests } from './takenRequests.js'
import { isSeated, memberOfRoster, tellRoster } from './rosterView.js'
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
 *
 * A member that was added later needs no majority: the meta group's log binds one directory to it, for ever, and
 * it is welcomed only once that is applied. So one welcome proves that no other directory ever had one.
 */
export interface Peer {
  readonly node: NodeId
  /** Where it is reached, as the log has it. */
  urls: readonly string[]
  /** Where it is reached by its own word, when it last said hello. */
  said: readonly string[]
  connected: boolean
  /** What this peer showed last, as far as it is durable here; null: never seen. */
  record: PeerRecord | null
  /** A hello is being written down. */
  recording: PeerRecord | null
  /** Its present start is known durably: it is listened to. */
  trusted: boolean
  /** It has welcomed this node's present start: it listens. It does so again after a restart, from what it wrote down. */
  listens: boolean
  /** Requests that it sent on to this node. */
  readonly taken: TakenRequests
}

export interface Admission {
  /** This directory may vote. */
  admitted: boolean
  /** The admission is being written down. */
  recording: boolean
  readonly welcomedBy: Set<NodeId>
  /** Whose welcomes count, and how many are needed. */
  readonly others: readonly NodeId[] | 'any'
}

export const createPeer = (node: NodeId, urls: readonly string[], record: PeerRecord | null): Peer => ({
  node,
  urls,
  said: [],
  connected: false,
  record,
  recording: null,
  trusted: false,
  listens: false,
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
    peerUrls: sayable(state.options.peerUrls ?? []),
  })
  // A welcome may have been due while there was no way to send it.
  if (peer.trusted && peer.record !== null) welcome(turn, peer.record)
}

const sayable = (urls: readonly string[]): readonly string[] =>
  urls.filter(({ length }) => length <= LIMITS.peerUrlCharactersMax).slice(0, LIMITS.peerUrlsSaidMax)

/** False: it is not who is known here by that name, and has been told so. */
export function receiveHello(turn: Turn, from: NodeId, identity: BootIdentity): boolean {
  const peer = turn.state.peers.get(from)
  if (peer === undefined) return false
  const known = peer.recording ?? peer.record
  const refusal = judge(known, identity, memberOfRoster(turn.state, from))
  if (refusal !== null) {
    peer.trusted = false
    note(turn, 'warn', 'A member was refused: its data directory is not the one that is known', {
      member: from.toString(16),
      reason: refusal,
    })
    sendTo(turn, from, { kind: 'refused', reason: refusal, identity })
    return false
  }
  if (peer.record !== null && sameBoot(peer.record, identity)) {
    trust(turn, peer, peer.record)
    return true
  }
  // Also where an earlier start was trusted: if this node forgot the newer one, it would take the earlier one again.
  peer.trusted = false
  if (peer.recording !== null && sameBoot(peer.recording, identity)) return true
  peer.recording = { node: from, ...identity }
  turn.state.persisting.peers.push(peer.recording)
  return true
}

/** The peer's identity is durable here. It may have started again meanwhile, which is not durable yet. */
export function peerRecorded(turn: Turn, record: PeerRecord): void {
  const peer = turn.state.peers.get(record.node)
  if (peer === undefined) return
  peer.record = record
  turn.state.peerRecords.set(record.node, record)
  if (peer.recording !== null && peer.recording !== record) return
  peer.recording = null
  trust(turn, peer, record)
}

function trust(turn: Turn, peer: Peer, record: PeerRecord): void {
  peer.trusted = true
  tellRoster(turn, record.node)
  welcome(turn, record)
}

function welcome(turn: Turn, { node, incarnation, boot, nonce }: PeerRecord): void {
  if (!isSeated(turn.state, node, incarnation)) return
  sendTo(turn, node, { kind: 'welcome', identity: { incarnation, boot, nonce } })
}

/** The log may have let somebody in who waits for that. */
export function welcomeTrusted(turn: Turn): void {
  for (const { trusted, connected, record } of turn.state.peers.values()) {
    if (trusted && connected && record !== null) welcome(turn, record)
  }
}

export function receiveWelcome(turn: Turn, from: NodeId, identity: BootIdentity): void {
  const { state } = turn
  if (identity.incarnation !== state.identity.incarnation) return
  const peer = state.peers.get(from)
  if (peer !== undefined && sameBoot(state.identity, identity)) peer.listens = true
  state.admission.welcomedBy.add(from)
  considerAdmission(turn)
}

/** Called again after every welcome and once at the start (a single member needs nobody's). */
export function considerAdmission(turn: Turn): void {
  const { admission, persisting } = turn.state
  if (admission.admitted || admission.recording || !isWelcome(admission)) return
  admission.recording = true
  persisting.admit = true
}

function isWelcome({ others, welcomedBy }: Admission): boolean {
  if (others === 'any') return welcomedBy.size > 0
  const needed = others.length === 0 ? 0 : Math.floor(others.length / 2) + 1
  return others.filter(node => welcomedBy.has(node)).length >= needed
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
    'A member refused this node because it belongs to another cluster: check that --initial-cluster, --initial-cluster-token, --initial-split-keys and --replicas are the same everywhere.',
  unknownMember: 'A member refused this node because it does not know it: check --initial-cluster on both.',
  otherDirectory: `The cluster knows this member with another data directory: this one was wiped or exchanged, and may have forgotten votes and acknowledged writes. ${WAY_BACK}`,
  olderDirectory: `The cluster has seen a later state of this data directory: this one was rolled back, and may have forgotten votes and acknowledged writes. ${WAY_BACK}`,
  removedMember:
    'This node stops: the member has been permanently removed from the cluster, and its data directory is of no more use. `kvorum member add` makes room for a new member.',
  copiedDirectory: `Another process runs, or ran, from a copy of this data directory. ${WAY_BACK}`,
}

/** What the log has bound decides; a newcomer that it has not bound yet may still come with another directory. */
function judge(
  known: PeerRecord | null,
  identity: BootIdentity,
  seat: RosterMember | undefined,
): PeerRefusal | null {
  const bound = seat !== undefined && seat.incarnation !== NO_INCARNATION
  if (bound && seat.incarnation !== identity.incarnation) return 'otherDirectory'
  if (known === null) return null
  if ((bound || seat?.founder === false) && known.incarnation !== identity.incarnation) return null
  if (known.incarnation !== identity.incarnation) return 'otherDirectory'
  if (identity.boot < known.boot) return 'olderDirectory'
  if (identity.boot === known.boot && identity.nonce !== known.nonce) return 'copiedDirectory'
  return null
}

const sameBoot = (record: BootIdentity, identity: BootIdentity): boolean =>
  record.incarnation === identity.incarnation &&
  record.boot === identity.boot &&
  record.nonce === identity.nonce
