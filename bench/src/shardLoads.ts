import { METHOD, putManyRequest, putRequest } from './messages.js'
import { keyOf, patchDigits, randomIndexes, valueBytes, type KeySpace, type Requests } from './requests.js'

/** Where the keys of one shard are, in a cluster that shardedServer.ts began. */
export const spaceOfShard = (shard: number, keys: number, bytes: number): KeySpace => ({
  prefix: `shard/${String(shard).padStart(6, '0')}/`,
  keys,
  valueBytes: bytes,
})

interface Template {
  readonly message: Buffer
  /** Where the digits of its keys begin. */
  readonly digitsAt: readonly number[]
}

/** Puts, each in one of the shards. */
export function shardPuts(spaces: readonly KeySpace[], seed: number): Requests {
  const templates = spaces.map(space => {
    const message = putRequest(keyOf(space, 0), valueBytes(space.valueBytes, seed))
    return { message, digitsAt: [digitsIn(message, space)] }
  })
  return randomRequests(METHOD.put, spaces[0]!.keys, templates, seed)
}

/** Transactions of two puts: in each of these pairs of spaces, which may be in two shards or in one. */
export function pairTransactions(pairs: readonly (readonly [KeySpace, KeySpace])[], seed: number): Requests {
  const templates = pairs.map(([one, other]) => {
    const puts = [one, other].map(space => putRequest(keyOf(space, 0), valueBytes(space.valueBytes, seed)))
    const message = putManyRequest(puts)
    const first = digitsIn(message, one)
    return { message, digitsAt: [first, digitsIn(message, other, first)] }
  })
  return randomRequests(METHOD.txn, pairs[0]![0].keys, templates, seed)
}

const digitsIn = (message: Buffer, space: KeySpace, after = 0): number =>
  message.indexOf(space.prefix, after, 'latin1') + space.prefix.length

function randomRequests(path: string, keys: number, templates: readonly Template[], seed: number): Requests {
  const random = randomIndexes(seed)
  return {
    path,
    responseBytesMin: 1,
    next: () => {
      const { message, digitsAt } = templates[random(templates.length)]!
      // Two keys of one transaction are never the same: the second is of the other half.
      const half = Math.floor(keys / 2)
      digitsAt.forEach((at, i) => patchDigits(message, at, random(half) + i * half))
      return message
    },
  }
}
