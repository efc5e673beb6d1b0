import type { Draw } from './draw.js'
import type { Step } from './steps.js'
import { revision, type MessageTemplate, type Template } from './symbols.js'

export const WATCH_STREAMS = 2

/** Over the gateway each watch has a connection, and ends with it. */
export const drawJsonWatch = (draw: Draw, stream: number): Step => ({
  kind: 'watch',
  stream,
  request: drawRequest(draw, past(draw)),
})

export function drawWatchStep(draw: Draw): Step {
  const stream = draw.int(0, WATCH_STREAMS - 1)
  if (draw.chance(0.25))
    return { kind: 'cancel', stream, watchId: BigInt(draw.pick([0, 1, 2, 3, 4, 100, 101])) }
  if (draw.chance(0.1)) return { kind: 'progress', stream }
  // An id of the client's own only where the watch cannot end by compaction: etcd keeps that id taken.
  const start = draw.chance(0.15) ? { watch_id: BigInt(draw.int(100, 102)) } : past(draw)
  return { kind: 'watch', stream, request: drawRequest(draw, start) }
}

const drawRequest = (draw: Draw, start: MessageTemplate): MessageTemplate => ({
  ...draw.maybe(0.95, 'key', () => (draw.chance(0.3) ? Buffer.from([0]) : draw.key())),
  ...draw.maybe(0.8, 'range_end', () => draw.end()),
  ...start,
  ...draw.flag(0.2, 'progress_notify'),
  ...draw.maybe(0.3, 'filters', () => draw.pick([[0], [1], [0, 1], [1, 1]])),
  ...draw.flag(0.4, 'prev_kv'),
  ...draw.flag(0.2, 'fragment'),
})

const past = (draw: Draw): MessageTemplate => draw.maybe(0.6, 'start_revision', () => startRevision(draw))

/** Not below zero: 3.4 takes that for the beginning of time, later versions refuse. */
function startRevision(draw: Draw): Template {
  const at = draw.random.float()
  if (at < 0.4) return revision('start', draw.int(1, 10))
  if (at < 0.6) return revision('now', -draw.int(0, 5))
  if (at < 0.8) return revision('now', draw.int(1, 4))
  return revision('compacted', draw.int(-1, 2))
}
