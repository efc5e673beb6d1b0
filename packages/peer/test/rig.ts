import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'
import { clusterId, groupId, nodeId, type JoinAnswer, type JoinRequest, type NodeId } from '@kvorum/model'
import {
  PeerTransport,
  type Address,
  type Parcel,
  type TransportEvents,
  type TransportOptions,
} from '@kvorum/peer'
import { encodePreface, type Lane } from '#src/preface.js'

export const CLUSTER = clusterId(0xc1n)
export const A = nodeId(1n)
export const B = nodeId(2n)

export type Heard =
  | { readonly kind: 'parcel'; readonly peer: NodeId; readonly parcel: Parcel }
  | { readonly kind: 'dropped'; readonly peer: NodeId; readonly parcel: Parcel }
  | { readonly kind: 'up' | 'down'; readonly peer: NodeId }
  | { readonly kind: 'refused'; readonly peer: NodeId; readonly reason: string }
  | { readonly kind: 'stranger'; readonly problem: string }

/** Everything a transport told, in order, and a way to wait for it. */
export class Recorder implements TransportEvents {
  readonly heard: Heard[] = []
  /** What it answers to a node that wants to join. */
  joins: (request: JoinRequest) => JoinAnswer = () => ({ kind: 'later' })

  onParcels(peer: NodeId, parcels: readonly Parcel[]): void {
    for (const parcel of parcels) this.heard.push({ kind: 'parcel', peer, parcel })
  }
  onUp(peer: NodeId): void {
    this.heard.push({ kind: 'up', peer })
  }
  onDown(peer: NodeId): void {
    this.heard.push({ kind: 'down', peer })
  }
  onDropped(peer: NodeId, parcels: readonly Parcel[]): void {
    for (const parcel of parcels) this.heard.push({ kind: 'dropped', peer, parcel })
  }
  onRefused(peer: NodeId, reason: string): void {
    this.heard.push({ kind: 'refused', peer, reason })
  }
  onJoin(request: JoinRequest): Promise<JoinAnswer> {
    return Promise.resolve(this.joins(request))
  }
  onStranger(_remote: string, problem: string): void {
    this.heard.push({ kind: 'stranger', problem })
  }

  count(kind: Heard['kind']): number {
    return this.heard.filter(event => event.kind === kind).length
  }
  parcels(kind: 'parcel' | 'dropped' = 'parcel'): Parcel[] {
    return this.heard.flatMap(event => (event.kind === kind && 'parcel' in event ? [event.parcel] : []))
  }
  problems(): string[] {
    return this.heard.flatMap(event => (event.kind === 'stranger' ? [event.problem] : []))
  }
}

/** Waits for a condition; generous, because the machine may be busy. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

/** Short times for what tests wait for, long ones for what must not happen in them. */
export const QUICK = { reconnectMinMs: 5, reconnectMaxMs: 20, acknowledgeMs: 5, lingerMs: 200 }

const LOOPBACK: Address = { host: '127.0.0.1', port: 0 }

export interface Node {
  readonly transport: PeerTransport
  readonly events: Recorder
  readonly address: Address
}

export async function startNode(
  t: Test,
  self: NodeId,
  peers: ReadonlyMap<NodeId, readonly Address[]>,
  options: Partial<TransportOptions> = {},
): Promise<Node> {
  const events = new Recorder()
  const transport = await PeerTransport.start({
    cluster: CLUSTER,
    self,
    listen: [LOOPBACK],
    peers,
    random: () => 0.5,
    events,
    ...options,
    timing: { ...QUICK, ...options.timing },
  })
  t.teardown(() => transport.close())
  return { transport, events, address: transport.addresses()[0]! }
}

/** An address on which nothing listens yet. */
export async function freeAddress(): Promise<Address> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return { host: '127.0.0.1', port }
}

/** Two nodes that know each other. */
export async function startPair(t: Test, options: Partial<TransportOptions> = {}): Promise<[Node, Node]> {
  const bAddress = await freeAddress()
  const a = await startNode(t, A, new Map([[B, [bAddress]]]), options)
  const b = await startNode(t, B, new Map([[A, [a.address]]]), { listen: [bAddress], ...options })
  await until('both up', () => a.events.count('up') === 1 && b.events.count('up') === 1)
  return [a, b]
}

/** A server that does with each connection what the test says, and forgets none of them. */
export async function startFake(
  t: Test,
  onSocket: (socket: Socket, number: number) => void,
  port = 0,
): Promise<{ address: Address; sockets: Socket[]; server: Server }> {
  const sockets: Socket[] = []
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, socket => {
    socket.on('error', () => socket.destroy())
    sockets.push(socket)
    onSocket(socket, sockets.length - 1)
  })
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  })
  return { address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port }, sockets, server }
}

export interface Raw {
  readonly socket: Socket
  readonly received: () => Buffer
  readonly closed: () => boolean
}

/** A connection spoken by hand. */
export function dialRaw(t: Test, { host, port }: Address): Raw {
  const chunks: Buffer[] = []
  const socket = connect({ host, port, noDelay: true })
  socket.on('error', () => socket.destroy())
  socket.on('data', chunk => chunks.push(chunk))
  t.teardown(() => socket.destroy())
  return { socket, received: () => Buffer.concat(chunks), closed: () => socket.closed }
}

export const prefaceTo = (
  to: NodeId,
  from: NodeId,
  { cluster = CLUSTER, lane = 'control' as Lane } = {},
): Buffer => encodePreface({ cluster, from, to, lane })

export const pull = (chunk: number): Parcel => ({
  kind: 'snapshotPull',
  group: groupId(1),
  pull: 1,
  stream: 1,
  chunk,
})
export const chunkOf = (chunk: number, bytes: number): Parcel => ({
  kind: 'snapshotChunk',
  pull: 1,
  stream: 1,
  chunk,
  meta: null,
  rows: [{ key: Buffer.of(chunk), value: Buffer.alloc(bytes, chunk) }],
  done: false,
})
export const reply = (id: number, bytes: number): Parcel => ({
  kind: 'reply',
  id,
  result: { ok: true, value: { header: { revision: 1, term: 1 }, body: Buffer.alloc(bytes, id) } },
})
