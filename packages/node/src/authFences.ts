import type { ClientRequest, GroupId, Millis } from '@kvorum/model'

/**
 * What this node knows of the shards' fences. A change of users or roles is acknowledged when every shard's log
 * holds it, and what was prepared before it came is over: from then on no shard carries out what was allowed by
 * something older, whichever node allowed it.
 *
 *     meta group applies a change --> an entry into every shard's log --> all of them applied --> the answer
 */
export interface AuthFences {
  /** The newest fence that a shard is known to have applied. */
  readonly applied: Map<GroupId, number>
  /** A fence is on its way to the shard; not asked again before this. */
  readonly askedUntil: Map<GroupId, Millis>
  /** A shard here has come further since all of them were looked at; that is done once a turn. */
  moved: boolean
}

export const createAuthFences = (): AuthFences => ({
  applied: new Map(),
  askedUntil: new Map(),
  moved: false,
})

export function fenceApplied(
  fences: AuthFences,
  { group, fence }: Extract<ClientRequest, { kind: 'authFence' }>,
): void {
  fences.askedUntil.delete(group)
  fences.applied.set(group, Math.max(fence.revision, fences.applied.get(group) ?? 0))
}
