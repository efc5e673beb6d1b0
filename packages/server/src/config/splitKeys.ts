import { LIMITS } from '@kvorum/model'

/** What is wrong with the keys at which a new cluster is cut; null: nothing. `replicas`: 0 is one on every member. */
export function splitKeysProblem(keys: readonly string[], members: number, replicas: number): string | null {
  const unsorted = keys.find(
    (key, at) => at > 0 && Buffer.compare(Buffer.from(keys[at - 1]!), Buffer.from(key)) >= 0,
  )
  if (unsorted !== undefined)
    return `--initial-split-keys must be sorted and name no key twice; "${unsorted}" does not fit.`
  const shards = keys.length + 1
  if (shards > LIMITS.shardsMax) return `--initial-split-keys makes more than ${LIMITS.shardsMax} shards.`
  const copies = replicas === 0 ? members : Math.min(replicas, members)
  return Math.ceil((shards * copies) / members) > LIMITS.shardsPerNodeMax
    ? `--initial-split-keys makes more than ${LIMITS.shardsPerNodeMax} shards for each member.`
    : null
}
