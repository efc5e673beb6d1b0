import { METHOD, putManyRequest, putRequest, rangeRequest } from './messages.js'

/**
 * Random requests over a space of keys: one encoded template whose key digits (and, for puts, the first bytes
 * of the value) are overwritten for every request. `next` returns the same buffer each time.
 */
export interface Requests {
  readonly path: string
  /** A shorter response message cannot be right: for reads, it must hold the value. */
  readonly responseBytesMin: number
  readonly next: () => Buffer
}

export interface KeySpace {
  readonly prefix: string
  readonly keys: number
  readonly valueBytes: number
}

const DIGITS = 10

export const keyOf = (space: KeySpace, index: number): Buffer =>
  Buffer.from(`${space.prefix}${String(index).padStart(DIGITS, '0')}`, 'latin1')

/** xorshift32: the same requests for every system and cheap enough not to matter. */
export function randomIndexes(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return below => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

export function patchDigits(message: Buffer, at: number, index: number): void {
  let rest = index
  for (let place = at + DIGITS - 1; place >= at; place--) {
    message[place] = 0x30 + (rest % 10)
    rest = Math.floor(rest / 10)
  }
}

/** Incompressible, the same in every run. */
export function valueBytes(length: number, seed: number): Buffer {
  const random = randomIndexes(seed)
  const value = Buffer.alloc(length)
  for (let i = 0; i < length; i++) value[i] = random(256)
  return value
}

export function randomPuts(space: KeySpace, seed: number): Requests {
  const random = randomIndexes(seed)
  const message = putRequest(keyOf(space, 0), valueBytes(space.valueBytes, seed))
  const keyAt = message.indexOf(keyOf(space, 0)) + space.prefix.length
  const valueAt = message.length - space.valueBytes
  let count = 0
  return {
    path: METHOD.put,
    responseBytesMin: 1,
    next: () => {
      patchDigits(message, keyAt, random(space.keys))
      if (space.valueBytes >= 4) message.writeUInt32BE(++count >>> 0, valueAt)
      return message
    },
  }
}

/** Linearizable, as is every range that does not say otherwise. */
export function randomReads(space: KeySpace, seed: number): Requests {
  const random = randomIndexes(seed)
  const message = rangeRequest(keyOf(space, 0))
  const keyAt = message.length - DIGITS
  return {
    path: METHOD.range,
    responseBytesMin: space.valueBytes,
    next: () => {
      patchDigits(message, keyAt, random(space.keys))
      return message
    },
  }
}

/** etcd's own default for the operations of one transaction. */
const PUTS_PER_TXN = 128

/** Transactions that fill the space in order, each key once. */
export function* fillRequests(space: KeySpace): Generator<Buffer> {
  const value = valueBytes(space.valueBytes, 7)
  for (let from = 0; from < space.keys; from += PUTS_PER_TXN) {
    const puts: Buffer[] = []
    for (let index = from; index < Math.min(from + PUTS_PER_TXN, space.keys); index++) {
      if (space.valueBytes >= 4) value.writeUInt32BE(index, 0)
      puts.push(putRequest(keyOf(space, index), value))
    }
    yield putManyRequest(puts)
  }
}
