import type { NodeId, StoreHash } from '@kvorum/model'

/** What comparing the data of a shard's members came to. */
export interface HashVerdict {
  /** Whose data differs: from what most voters have, or from this member's where no data is that of most. */
  readonly differing: readonly NodeId[]
  /** Most voters have what this member has. */
  readonly confirmed: boolean
  /** Members that gave no hash, or none of the same revisions and keys: nothing is known of them. */
  readonly unknown: readonly NodeId[]
}

interface Held {
  readonly node: NodeId
  readonly hash: StoreHash
}

/** Judges the hashes that members gave at the revision of this member's own; null: one gave none. */
export function judgeHashes(
  own: Held,
  others: ReadonlyMap<NodeId, StoreHash | null>,
  voters: ReadonlySet<NodeId>,
): HashVerdict {
  const held = [own]
  const unknown: NodeId[] = []
  for (const [node, hash] of others) {
    if (hash !== null && isComparable(own.hash, hash)) held.push({ node, hash })
    else unknown.push(node)
  }
  const byContent = oddOnes(held, voters, own.node, ({ hash }) => hash)
  // Where two have applied the same entries, what they know besides keys and values must be the same as well.
  const atOnePosition = held.filter(({ hash }) => hash.applied === own.hash.applied)
  const byDigest = oddOnes(atOnePosition, voters, own.node, ({ digest }) => digest)
  const agreeing = held.filter(({ node, hash }) => voters.has(node) && isSame(own.hash, hash))
  return {
    differing: [...new Set([...byContent, ...byDigest])],
    confirmed: agreeing.length * 2 > voters.size,
    unknown,
  }
}

const isComparable = (a: StoreHash, b: StoreHash): boolean =>
  a.revision === b.revision && a.compactRevision === b.compactRevision && a.epoch === b.epoch

const isSame = (a: StoreHash, b: StoreHash): boolean =>
  a.hash === b.hash && (a.applied !== b.applied || a.digest === b.digest)

function oddOnes(
  held: readonly Held[],
  voters: ReadonlySet<NodeId>,
  self: NodeId,
  valueOf: (hash: StoreHash) => number,
): NodeId[] {
  const counts = new Map<number, number>()
  for (const { node, hash } of held) {
    if (voters.has(node)) counts.set(valueOf(hash), (counts.get(valueOf(hash)) ?? 0) + 1)
  }
  const ofMost = [...counts].find(([, count]) => count * 2 > voters.size)?.[0]
  const right = ofMost ?? valueOf(held.find(({ node }) => node === self)!.hash)
  return held.filter(({ hash }) => valueOf(hash) !== right).map(({ node }) => node)
}
