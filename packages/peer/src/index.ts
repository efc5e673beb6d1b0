/** Node-to-node transport: msgpack frames over TCP, one connection per direction and lane. */
export { decodeParcels, encodeParcels } from './codec.js'
export { encodeFrame, FrameDecoder } from './frame.js'
export type { Address } from './link.js'
export { PeerTransport, type TransportEvents, type TransportOptions } from './transport.js'
export type { Parcel } from './types.js'
