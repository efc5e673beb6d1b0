import type { Entry, GroupId, Index, Millis, NodeId, StoreAnswer, StoreNeed, StoreWrite } from '@kvorum/model'
import type { Parcel, PeerPlace, PersistOrder } from '../types.js'

/**
 * What a running node needs from the outside, one interface per port. Storage and peer implement them; who
 * starts the node wires them together.
 */
export interface LogPort {
  /** One write and one sync. 'noSpace': nothing of it counts. Every other failure rejects, and is fatal. */
  append(order: PersistOrder): Promise<'durable' | 'noSpace'>
  /** Entries from `from` on, as many as fit; 'damaged' when their bytes fail their checks. */
  read(
    group: GroupId,
    from: Index,
    to: Index,
    bytesMax: number,
  ): Promise<readonly Entry[] | { readonly damaged: string }>
  /** Deletes what no group needs any more. */
  purge(): Promise<void>
  /** Covers the last batch while the log is idle, so that its end can be told from damage. */
  cover(): Promise<void>
  close(): Promise<void>
}

export interface StorePort {
  batch(writes: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void>
  /** Sees the store as it is at this call. */
  fetch(need: StoreNeed, view: number | null): Promise<StoreAnswer>
  /** The same without waiting, where that is cheap (a few single rows); null otherwise. */
  fetchNow(need: StoreNeed): StoreAnswer | null
  openView(): number
  closeView(view: number): void
  diskBytes(): number
  close(): Promise<void>
}

export interface TransportPort {
  send(to: NodeId, parcels: readonly Parcel[]): void
  queuedBytes(to: NodeId): number
  /** Who is a peer from now on, and who was one and is turned away. */
  setPeers(peers: readonly PeerPlace[], removed: readonly NodeId[]): void
  close(): Promise<void>
}

export interface ClockPort {
  /** Milliseconds that never go back. */
  monotonic(): Millis
  wall(): Millis
}

/** A pino-shaped logger. */
export interface NodeLogger {
  info(facts: object, text: string): void
  warn(facts: object, text: string): void
  error(facts: object, text: string): void
}
