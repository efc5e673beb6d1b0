import type { Incarnation, Index, NodeId, ReplicaId } from '@kvorum/model'
import { check } from './violation.js'

/** Who is a member after one index of the meta group's log, as one replica's state has it. */
export interface MembersAt {
  readonly index: Index
  readonly members: readonly {
    readonly node: NodeId
    readonly replica: ReplicaId
    readonly incarnation: Incarnation
    readonly learner: boolean
    readonly started: boolean
    readonly urls: readonly string[]
  }[]
  readonly removed: readonly NodeId[]
}

/**
 * I14 for members: a node id has one replica id and one data directory for ever, a replica id one node; who was
 * removed never comes back, and nobody is forgotten. Replicas that applied the same agree.
 */
export class Members {
  /** The newest that any replica has applied. */
  latest: MembersAt = { index: 0, members: [], removed: [] }
  readonly #texts = new Map<Index, string>()
  readonly #replicas = new Map<NodeId, ReplicaId>()
  readonly #nodes = new Map<ReplicaId, NodeId>()
  readonly #directories = new Map<NodeId, Incarnation>()
  readonly #removed = new Set<NodeId>()

  observe(seen: MembersAt): void {
    const text = textOf(seen)
    const other = this.#texts.get(seen.index) ?? text
    this.#texts.set(seen.index, other)
    check(other === text, 'I5', () => ({ index: seen.index, members: text, other }))
    if (seen.index <= this.latest.index) return
    this.latest = seen
    for (const node of seen.removed) this.#removed.add(node)
    check(this.#removed.size === seen.removed.length, 'I14', () => ({
      index: seen.index,
      removed: seen.removed.join(' '),
      before: [...this.#removed].join(' '),
    }))
    for (const { node, replica, incarnation } of seen.members) {
      const directory = this.#directories.get(node) ?? incarnation
      const bound =
        (this.#replicas.get(node) ?? replica) === replica && (this.#nodes.get(replica) ?? node) === node
      check(bound && directory === incarnation && !this.#removed.has(node), 'I14', () => ({
        index: seen.index,
        member: node,
        replica,
        incarnation,
        directory,
        removed: this.#removed.has(node),
      }))
      this.#replicas.set(node, replica)
      this.#nodes.set(replica, node)
      if (incarnation !== 0n) this.#directories.set(node, incarnation)
    }
    const kept = [...this.#replicas.keys()].every(
      node => this.#removed.has(node) || seen.members.some(member => member.node === node),
    )
    check(kept, 'I14', () => ({ index: seen.index, forgotten: true }))
  }

  isRemoved(node: NodeId): boolean {
    return this.#removed.has(node)
  }

  wasMember(node: NodeId): boolean {
    return this.#replicas.has(node)
  }
}

const textOf = ({ members, removed }: MembersAt): string =>
  [...members.map(member => Object.values(member).join(' ')), ...removed.map(node => `removed ${node}`)].join(
    '; ',
  )
