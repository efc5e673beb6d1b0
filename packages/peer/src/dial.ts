import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Address } from './events.js'
import type { PeerTls } from './tls.js'

/** Dials one address; `ready` names the event after which the connection may be used. */
export function dial(
  { host, port, secure = false }: Address,
  tls: PeerTls | null,
): { socket: Socket; ready: 'connect' | 'secureConnect' } {
  if (!secure) {
    const socket = connect({ host, port, noDelay: true, keepAlive: true })
    return { socket, ready: 'connect' }
  }
  // Without certificates of our own the other side is still verified, by the system's authorities.
  const socket = connectTls({ ...tls?.dial(), host, port, servername: isIP(host) === 0 ? host : '' })
  socket.setNoDelay(true)
  socket.setKeepAlive(true)
  return { socket, ready: 'secureConnect' }
}
