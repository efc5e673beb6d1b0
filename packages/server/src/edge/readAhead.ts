import type { Socket } from 'node:net'

/** What has come on a connection that nobody owns yet. */
export interface ReadAhead {
  /** Nothing more is read here: `bytes` are put back for the one who reads next. */
  handOver(bytes: Buffer): void
  /** Takes the place of the deadline so far. */
  within(ms: number, passed: () => void): void
}

/**
 * Reads `socket` and shows all that has come, at once and whenever there is more, until it is handed over. A client
 * that ends the connection before, or lets `ms` pass, has lost it.
 */
export function readAhead(socket: Socket, ms: number, look: (seen: Buffer, ahead: ReadAhead) => void): void {
  let seen: Buffer = Buffer.alloc(0)
  const lost = (): void => {
    stop()
    socket.destroy()
  }
  let timer = setTimeout(lost, ms)
  const stop = (): void => {
    clearTimeout(timer)
    socket.off('readable', read)
    socket.off('end', lost)
    socket.off('close', stop)
  }
  const ahead: ReadAhead = {
    handOver: bytes => {
      stop()
      socket.unshift(bytes)
    },
    within: (deadlineMs, passed) => {
      clearTimeout(timer)
      timer = setTimeout(passed, deadlineMs)
    },
  }
  const read = (): void => {
    for (let chunk = next(socket); chunk !== null; chunk = next(socket)) seen = Buffer.concat([seen, chunk])
    look(seen, ahead)
  }
  socket.on('readable', read)
  socket.on('end', lost)
  socket.on('close', stop)
  read()
}

const next = (socket: Socket): Buffer | null => socket.read() as Buffer | null
