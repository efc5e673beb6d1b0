import { toHex } from '@kvorum/model'
import { shardMapProblem, type ShardMap } from '@kvorum/placement'
import { check } from './violation.js'

/**
 * I43: every map that a node routes by covers all keys exactly once, and the meta group's map of one version is the same
 * on all of its replicas.
 */
export class ShardMaps {
  readonly #versions = new Map<number, string>()
  #newest = 0

  /** How often the map has changed. */
  get newest(): number {
    return this.#newest
  }

  routed(map: ShardMap): void {
    const problem = shardMapProblem(map)
    check(problem === null, 'I43', () => ({ problem: problem ?? '' }))
  }

  applied(map: ShardMap): void {
    this.routed(map)
    const text = map.shards.map(({ group, range, epoch }) => `${group}.${epoch} ${toHex(range.start)}`).join()
    const other = this.#versions.get(map.version) ?? text
    check(other === text, 'I43', () => ({ version: map.version, one: text, other }))
    this.#versions.set(map.version, text)
    this.#newest = Math.max(this.#newest, map.version)
  }
}
