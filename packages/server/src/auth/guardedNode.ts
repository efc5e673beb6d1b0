import { decodeReply, pointRange, refuse } from '@kvorum/model'
import type {
  ClientRequest,
  ClientResult,
  KvNode,
  RequestOptions,
  Result,
  WatchResponse,
  WatchStream,
} from '@kvorum/model'
import { decide, type Requirement } from '@kvorum/placement'
import type { AuthService, Caller, Decision } from './authService.js'
import { GuardedWatch } from './guardedWatch.js'

/** Changes of users and roles that one request may meet on its way before it is given up. */
const ATTEMPTS = 5

/**
 * The node as one caller sees it. Every request carries by what it was allowed; where that was overtaken by a
 * change of users or roles, it is decided again, by the new ones.
 */
export function guardedNode(
  node: KvNode,
  auth: AuthService,
  caller: Caller,
  requirement: () => Requirement,
): KvNode {
  const request = async (asked: ClientRequest, options?: RequestOptions): Promise<ClientResult> => {
    for (let attempt = 1; ; attempt++) {
      const decision = await auth.decide(node, caller, requirement())
      if (!decision.ok) return decision
      const { authority } = decision.value
      const result = await node.request(authority === undefined ? asked : { ...asked, authority }, options)
      if (result.ok) return mayBeTold(asked, result, decision.value)
      if (result.error.code !== 'authOutdated') return result
      if (attempt === ATTEMPTS) return refuse('authRevisionOld')
      const fresh = await auth.refresh(node)
      if (!fresh.ok) return fresh
    }
  }
  const openWatch = (receive: (response: WatchResponse) => void): WatchStream =>
    new GuardedWatch(node, auth, caller, receive)
  return {
    cluster: node.cluster,
    self: node.self,
    request,
    openWatch,
    status: () => node.status(),
    leaderNode: () => node.leaderNode(),
    members: () => node.members(),
    shards: () => node.shards(),
    shardPlan: () => node.shardPlan(),
    isLearner: () => node.isLearner(),
    holdState: () => node.holdState(),
    auth: () => node.auth(),
    stop: () => node.stop(),
  }
}

/** The keys of a lease are named only to who may read them all. */
function mayBeTold(asked: ClientRequest, result: ClientResult, { rights }: Decision): ClientResult {
  if (asked.kind !== 'leaseTimeToLive' || !asked.keys || rights === null || !result.ok) return result
  const reply = decodeReply(result.value.body)
  const reads = reply.kind === 'leaseTimeToLive' ? reply.keys.map(pointRange) : []
  const error = decide(rights, { kind: 'keys', reads, writes: [], leases: false })
  const refusal: Result<never> | null = error === null ? null : { ok: false, error }
  return refusal ?? result
}
