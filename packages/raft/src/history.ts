import { assert } from '@kvorum/model'
import type { GroupConfig, Index } from '@kvorum/model'
import type { ConfigAt, Raft } from './raft.js'

/**
 * Configurations take force when they enter the log and lose it when they are truncated from it, so the older
 * ones are kept: back to the one in force at the log's base.
 */

export function pushConfig(raft: Raft, index: Index, config: GroupConfig): void {
  raft.configs.push({ index, config })
  raft.config = config
}

export function truncateConfigs(raft: Raft, index: Index): void {
  while (newestConfig(raft).index >= index && raft.configs.length > 1) raft.configs.pop()
  raft.config = newestConfig(raft).config
}

/** Forgets configurations that were replaced at or before `index`. */
export function trimConfigs(raft: Raft, index: Index): void {
  let drop = 0
  while (drop + 1 < raft.configs.length && (raft.configs[drop + 1] as ConfigAt).index <= index) drop++
  if (drop > 0) raft.configs.splice(0, drop)
}

export function newestConfig(raft: Raft): ConfigAt {
  const newest = raft.configs[raft.configs.length - 1]
  assert(newest !== undefined, () => 'a replica without any configuration')
  return newest
}

/** The configuration that is in force at `index`: what a snapshot at `index` must say. */
export function configAt(raft: Raft, index: Index): GroupConfig {
  let found = (raft.configs[0] as ConfigAt).config
  for (const { index: since, config } of raft.configs) if (since <= index) found = config
  return found
}
