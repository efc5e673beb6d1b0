/**
 * Which room stands on which. A room imports rooms of lower levels only; rooms of one level do not know each
 * other, so that each can be understood, tested and replaced alone.
 */
export const LEVELS: Readonly<Record<string, number>> = {
  model: 0,
  raft: 1,
  machine: 1,
  placement: 1,
  storage: 2,
  peer: 2,
  node: 2,
  protocol: 2,
  server: 3,
  client: 3,
  sim: 4,
  cli: 4,
  bench: 5,
}

/** Rooms whose behaviour is a function of their inputs: the simulator replays them from a seed. */
const DETERMINISTIC: readonly string[] = ['model', 'raft', 'machine', 'placement', 'node']

/** Where the node room waits for the outside world; nothing else in it may. */
const DRIVER = 'driver/'

/** The one file of a room that others see. */
const DOOR = 'index.ts'

/** `path` is relative to the room's src, with forward slashes. */
export const isDeterministic = (room: string, path: string): boolean =>
  DETERMINISTIC.includes(room) && !(room === 'node' && path.startsWith(DRIVER))

/** Whether this file, itself pure, may import that one of the same room. */
export const mayImportFile = (room: string, from: string, to: string): boolean =>
  from === DOOR || !isDeterministic(room, from) || isDeterministic(room, to)

export const SOURCE_LINES_MAX = 600
