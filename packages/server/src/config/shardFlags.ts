import { LIMITS } from '@kvorum/model'
import { accepted, duration, list, rejected, type Flag } from './flag.js'

/** Not given is 0: a replica on every member. */
const replicas: Flag<number> = {
  kind: 'value',
  argument: 'count',
  fallback: '',
  help: 'Replicas of each shard in a new cluster, 1 to 7. Default: one on every member.',
  parse: given => {
    if (given === '') return accepted(0)
    const count = /^[0-9]{1,15}$/.test(given) ? Number(given) : 0
    return count >= 1 && count <= LIMITS.replicasPerShardMax
      ? accepted(count)
      : rejected(`must be a whole number from 1 to ${LIMITS.replicasPerShardMax}, not "${given}"`)
  },
}

const SPLIT_BYTES_MIN = 1024 * 1024

const splitSize: Flag<number | null> = {
  kind: 'value',
  argument: 'bytes',
  fallback: '',
  help:
    'A shard with more bytes is split by itself; 0: none is. Default: 268435456 where there are more members than ' +
    'replicas of a shard, otherwise 0.',
  parse: given => {
    if (given === '') return accepted(null)
    const bytes = /^[0-9]{1,15}$/.test(given) ? Number(given) : Number.NaN
    return bytes === 0 || bytes >= SPLIT_BYTES_MIN
      ? accepted(bytes)
      : rejected(`must be 0 or a whole number of bytes from ${SPLIT_BYTES_MIN} on, not "${given}"`)
  },
}

/** How keys are cut into shards, and where these live. */
export const SHARD_FLAGS = {
  'initial-split-keys': list(
    '',
    'keys',
    'Where a new cluster is cut into shards, ascending; the same at every later start of its founders.',
  ),
  replicas,
  'dead-node-after': duration(
    '5m',
    10_000,
    "How long a member is missing before its shards' replicas are rebuilt elsewhere.",
  ),
  'shard-split-size': splitSize,
} as const satisfies Readonly<Record<string, Flag<unknown>>>
