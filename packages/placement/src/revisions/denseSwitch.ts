import { assert, type Revision } from '@kvorum/model'

/**
 * Where a shard's revisions come from; part of its replicated state.
 *
 *     dense    last + 1, given at apply. One data shard, etcd's own numbers, no oracle on the path.
 *     oracle   given by the oracle before the write is proposed. From the first split on; there is no way back.
 */
export type RevisionMode =
  { readonly kind: 'dense' } | { readonly kind: 'oracle'; readonly denseUpTo: Revision }

export const DENSE: RevisionMode = { kind: 'dense' }

/**
 * The entry of the shard's log that ends dense mode is applied; `last` is the shard's last revision there. The meta
 * group's log is told `denseUpTo` and sets its first ceiling to no less. A number taken when the entry was merely
 * proposed is too low: writes in front of the entry are still given last + 1, and the oracle gives those again.
 */
export function endDenseMode(mode: RevisionMode, last: Revision): RevisionMode {
  return mode.kind === 'oracle' ? mode : { kind: 'oracle', denseUpTo: last }
}

/**
 * What becomes of a write that meets this mode at apply. `stamp` is the revision it was proposed with, null where
 * apply is to give it one. Unstamped behind the switch: not applied, the leader queues it again and asks the oracle.
 * Were it given last + 1, the oracle would give that number to another write.
 */
export function revisionAtApply(
  mode: RevisionMode,
  last: Revision,
  stamp: Revision | null,
): Revision | 'again' {
  if (mode.kind === 'dense') {
    assert(stamp === null, () => `a write stamped ${stamp} in dense mode`)
    return last + 1
  }
  return stamp ?? 'again'
}

/**
 * Whether a linearizable read may be answered by ReadIndex alone, at the shard's last revision. Behind the switch it
 * may not: writes of several shards have one order, and the shard's last revision says nothing of the others.
 */
export const servesDenseReads = (mode: RevisionMode): boolean => mode.kind === 'dense'
