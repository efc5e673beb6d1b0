import type { Socket } from 'node:net'
import { readAhead } from '../edge/readAhead.js'
import { patchAuthority } from './authority.js'

/**
 * The first frames of an HTTP/2 connection, looked at before Node's HTTP/2 has it: etcd's 3.4 clients put a scheme into
 * `:authority` (`http://10.0.0.1:2379`), for instance in every call of maintenance to an endpoint that was named with
 * one, and that is refused before any code of ours sees the request. A client names its authority once per connection
 * and then points back to it (RFC 7541, section 2.3.2), so the first HEADERS frame is all there is to mend.
 *
 * Most clients wait for the server's SETTINGS before their first request. They get an empty one of ours; its
 * acknowledgement is taken out again, because Node's HTTP/2 has not asked for it.
 *
 *     preface, SETTINGS --> HEADERS there? --yes------------------------------------> mend, hand over
 *                                \--no--> SETTINGS of ours --> ack, then HEADERS ---/
 */

/** How long the client may take for what has to come: its first frame, and the acknowledgement of ours. */
const FRAME_MS = 10_000
/** A client that is connected and says nothing is handed over as it is. */
const HEADERS_MS = 1_000
/** More cannot come before the client's window is opened further (RFC 9113, section 6.9.2), with room for headers. */
const OPENING_BYTES_MAX = 128 * 1024
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
const FRAME_HEAD_BYTES = 9
const FRAME_BYTES_MAX = 16_384
const FRAME = { headers: 1, priority: 2, settings: 4, windowUpdate: 8 } as const
const ACK = 1
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, FRAME.settings, 0, 0, 0, 0, 0])

/** Takes `socket` up to its first HEADERS, puts everything back, and tells. Says nothing if the socket ends first. */
export function openHttp2(socket: Socket, ready: () => void): void {
  let asked = false
  readAhead(socket, FRAME_MS, (seen, ahead) => {
    const handOver = (): void => {
      const { headers, ack } = opening
      if (headers !== null) patchAuthority(seen.subarray(headers.start, headers.end))
      ahead.handOver(
        ack === null ? seen : Buffer.concat([seen.subarray(0, ack.start), seen.subarray(ack.end)]),
      )
      ready()
    }
    const opening = readOpening(seen, asked)
    if (opening.broken || (opening.headers !== null && !asked)) handOver()
    else if (seen.length > OPENING_BYTES_MAX) socket.destroy()
    else if (!opening.begun) return
    else if (!asked) {
      asked = true
      socket.write(EMPTY_SETTINGS)
    } else if (opening.ack !== null) {
      if (opening.headers !== null || opening.other) handOver()
      else ahead.within(HEADERS_MS, handOver)
    }
  })
}

interface Part {
  readonly start: number
  readonly end: number
}

interface Opening {
  /** The client's first SETTINGS is there. */
  readonly begun: boolean
  /** Of the frame we sent. */
  readonly ack: Part | null
  /** The first HEADERS frame. */
  readonly headers: Part | null
  /** Something else is there that wants to be answered. */
  readonly other: boolean
  /** It is no HTTP/2, or none that needs mending: Node's HTTP/2 says what is wrong with it. */
  readonly broken: boolean
}

function readOpening(seen: Buffer, asked: boolean): Opening {
  let begun = false
  let ack: Part | null = null
  let headers: Part | null = null
  let other = false
  if (!PREFACE.subarray(0, seen.length).equals(seen.subarray(0, PREFACE.length)))
    return { begun, ack, headers, other, broken: true }
  for (let at = PREFACE.length; at + FRAME_HEAD_BYTES <= seen.length;) {
    const [length, type, flags] = [seen.readUIntBE(at, 3), seen[at + 3]!, seen[at + 4]!]
    const end = at + FRAME_HEAD_BYTES + length
    const isAck = type === FRAME.settings && (flags & ACK) !== 0
    const isFirst = at === PREFACE.length
    const isSettings = type === FRAME.settings && !isAck
    if (length > FRAME_BYTES_MAX || isFirst !== isSettings || (isAck && (!asked || ack !== null)))
      return { begun, ack, headers, other, broken: true }
    if (end > seen.length) break
    if (isFirst) begun = true
    else if (isAck) ack = { start: at, end }
    else if (type === FRAME.headers) headers ??= { start: at, end }
    else if (type !== FRAME.windowUpdate && type !== FRAME.priority) other = true
    at = end
  }
  return { begun, ack, headers, other, broken: false }
}
