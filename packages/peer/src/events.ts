import type { JoinAnswer, JoinRequest, NodeId, PeerRefusal } from '@kvorum/model'
import type { Parcel } from './types.js'

export interface Address {
  readonly host: string
  readonly port: number
  /** TLS is spoken there. */
  readonly secure?: boolean
}

/** What the transport tells its owner. Nothing is told any more once `close` has been called. */
export interface TransportEvents {
  onParcels(from: NodeId, parcels: readonly Parcel[]): void
  /** The connection on which this node sends to `peer` is ready, or is gone (what was queued is lost). */
  onUp(peer: NodeId): void
  onDown(peer: NodeId): void
  /** Not sent, or not wholly: no connection, a full queue, or a bulk connection that broke. May be called by `send`. */
  onDropped(peer: NodeId, parcels: readonly Parcel[]): void
  /** `peer` answered that it will not talk to us. */
  onRefused(peer: NodeId, reason: PeerRefusal): void
  /** A node that has no id yet asks for it. */
  onJoin(request: JoinRequest): Promise<JoinAnswer>
  /** Something odd at a door, for the log: who and why, never content. */
  onStranger(remote: string, problem: string): void
}

/** Who is reached where. */
export type Peers = ReadonlyMap<NodeId, readonly Address[]>

/** Times of the transport, in milliseconds. */
export interface TransportTiming {
  /** A dialled connection must have been answered within this time. */
  readonly connectMs: number
  /** The first wait before dialling again; doubled up to the second with each failure. */
  readonly reconnectMinMs: number
  readonly reconnectMaxMs: number
  /** An accepted connection must say who it is within this time. */
  readonly prefaceMs: number
  /** What arrives is acknowledged after at most this time... */
  readonly acknowledgeMs: number
  /** ...and a connection without a sign of life for this time after something was sent on it is given up. */
  readonly silenceMs: number
  /** `close` lets queued bytes leave for this long. */
  readonly lingerMs: number
}

export const TIMING: TransportTiming = {
  connectMs: 3_000,
  reconnectMinMs: 50,
  reconnectMaxMs: 1_000,
  prefaceMs: 5_000,
  acknowledgeMs: 200,
  silenceMs: 5_000,
  lingerMs: 500,
}
