import type { Station } from '../network/partition.js'
import type { Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/**
 * I24: hashes of the store at one revision, compacted at one revision, agree between nodes. It fails closed:
 * at the end every node that was asked must have answered since the last comparison began, or nothing is shown.
 */
export class StoreHashes implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['storeHash']
  readonly #hashes = new Map<string, { readonly node: Station; readonly hash: number }>()
  readonly #unanswered = new Set<Station>()
  readonly #nodes: readonly Station[]

  /** `nodes` must each give a hash once the run has settled. */
  constructor(nodes: readonly Station[]) {
    this.#nodes = nodes
    for (const node of nodes) this.#unanswered.add(node)
  }

  observe(observation: Observation): void {
    if (observation.kind !== 'storeHash') return
    const { node, revision, compacted, hash } = observation
    if (hash === null) {
      this.#unanswered.add(node)
      return
    }
    this.#unanswered.delete(node)
    const name = `${revision} ${compacted}`
    const other = this.#hashes.get(name)
    if (other === undefined) this.#hashes.set(name, { node, hash })
    else {
      check(other.hash === hash, 'I24', () => ({
        revision,
        compacted,
        node,
        hash,
        otherNode: other.node,
        otherHash: other.hash,
      }))
    }
  }

  finish(): void {
    check(this.#unanswered.size === 0, 'I24', () => ({
      unanswered: this.#nodes.filter(node => this.#unanswered.has(node)).join(' '),
    }))
  }
}
