import type { Machine } from './machine.js'

/**
 * The digest after an entry: the one before it, the positions and the logical bytes the entry moved, whether it was
 * refused, and the sum of the checksums of all rows it wrote. 32 bits against accidents and divergence, not against malice.
 */
export function chainDigest(machine: Machine, refused: boolean, sum: number): number {
  let digest = machine.digest
  const { applied, appliedTerm, revision, compactRevision, logicalBytes } = machine
  const positions = [applied, appliedTerm, revision, compactRevision, logicalBytes]
  for (const position of positions) {
    digest = mix(mix(digest, position >>> 0), Math.floor(position / 2 ** 32))
  }
  return mix(mix(digest, refused ? 1 : 0), sum)
}

/** One round of a multiply-and-shift hash; only 32-bit integer operations, exact everywhere. */
function mix(hash: number, word: number): number {
  let mixed = Math.imul(hash ^ word, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
