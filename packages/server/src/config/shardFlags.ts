import { LIMITS } from '@kvorum/model'
import { accepted, bool, duration, list, rejected, type Flag } from './flag.js'

/** Not given is 0: a replica on every member. */
const replicas: Flag<number> = {
  kind: 'value',
  argument: 'count',
  fallback: '',
  help: 'Replicas of each shard in a new cluster. Default: one on every member.',
  parse: given => {
    if (given === '') return accepted(0)
    const count = /^[0-9]{1,15}$/.test(given) ? Number(given) : 0
    return count >= 1 && count <= LIMITS.replicasPerShardMax
      ? accepted(count)
      : rejected(`must be a whole number from 1 to ${LIMITS.replicasPerShardMax}, not "${given}"`)
  },
}

/** How keys are cut into shards, and where these live. */
export const SHARD_FLAGS = {
  'initial-split-keys': list('', 'keys', 'Where a new cluster is cut into shards, ascending.'),
  replicas,
  'shard-operations': bool(false, 'Let shards be split and moved by hand, and members be drained.'),
  'dead-node-after': duration(
    '5m',
    10_000,
    "How long a member is missing before its shards' replicas are rebuilt elsewhere.",
  ),
} as const satisfies Readonly<Record<string, Flag<unknown>>>
