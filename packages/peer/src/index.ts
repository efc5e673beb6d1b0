/** Node-to-node transport: msgpack frames over TCP, one connection per direction and lane. */
export { decodeParcels } from './codec.js'
export { askToJoin } from './join.js'
export { TIMING, type Address, type Peers, type TransportEvents, type TransportTiming } from './events.js'
export { encodeFrames, FrameDecoder, type Frame, type Frames } from './frame.js'
export { Listener, remoteOf, type ListenerOptions } from './listener.js'
export type { ListenerTls, PeerTls } from './tls.js'
export { PeerTransport, type TransportOptions } from './transport.js'
export type { Parcel } from './types.js'
