import {
  decodeShardCommand,
  META_GROUP,
  refuse,
  type Authority,
  type AuthState,
  type ClientRequest,
  type KvError,
  type WatchCreate,
} from '@kvorum/model'
import { decide, requirementOf, rightsOf, type Requirement } from '@kvorum/placement'
import type { Answered } from './nodeConfig.js'
import type { SimNode } from './simNode.js'

/** Changes of users and roles that one request may meet on its way. */
const ATTEMPTS = 5

/**
 * What an edge does in front of its node: the request is decided by the users and roles that the node knows, by
 * fresh ones before it is refused, and again where they have changed on its way. Null: nobody listens. The result
 * forgets the request.
 */
export function sendAs(
  node: SimNode,
  user: string,
  request: ClientRequest,
  timeoutMs: number,
  answered: Answered,
): (() => void) | null {
  let id: number | null = null
  let attempts = 0
  const send = (asked: ClientRequest, then: Answered): boolean => {
    id = node.request(asked, timeoutMs, result => {
      id = null
      then(result)
    })
    return id !== null
  }
  const carryOut = (authority: Authority | undefined): boolean =>
    send(authority === undefined ? request : { ...request, authority }, result => {
      if (result === 'lost' || result.ok || result.error.code !== 'authOutdated') answered(result)
      else if (attempts === ATTEMPTS) answered(refuse('authRevisionOld'))
      else {
        const asked = send({ kind: 'barrier' }, fresh => {
          if (fresh === 'lost' || !fresh.ok) answered(fresh)
          else if (!attempt()) answered('lost')
        })
        if (!asked) answered('lost')
      }
    })
  const attempt = (): boolean => {
    attempts++
    const first = decision(node, user, request)
    if (first.kind === 'allowed') return carryOut(first.authority)
    return send({ kind: 'barrier' }, fresh => {
      if (fresh === 'lost' || !fresh.ok) answered(fresh)
      else {
        const second = decision(node, user, request)
        if (second.kind === 'denied') answered({ ok: false, error: second.error })
        else if (!carryOut(second.authority)) answered('lost')
      }
    })
  }
  if (!attempt()) return null
  return () => {
    if (id !== null) node.forget(id)
  }
}

/** What a watch is allowed by that root makes. */
export function watchAs(node: SimNode, create: WatchCreate): WatchCreate {
  const auth = authOf(node)
  return auth?.enabled === true ? { ...create, authRevision: auth.fence } : create
}

type Decision =
  | { readonly kind: 'allowed'; readonly authority: Authority | undefined }
  | { readonly kind: 'denied'; readonly error: KvError }

function decision(node: SimNode, user: string, request: ClientRequest): Decision {
  const state = authOf(node)
  if (state === null) return { kind: 'denied', error: refuse('noLeader').error }
  if (!state.enabled) return { kind: 'allowed', authority: undefined }
  const rights = rightsOf(state, user)
  const requirement = requirementFor(request)
  const error = decide(rights, requirement)
  if (error !== null) return { kind: 'denied', error }
  const narrow = requirement.kind === 'keys' && requirement.leases && rights?.root === false
  return { kind: 'allowed', authority: { fence: state.fence, writable: narrow ? rights.writable : null } }
}

const authOf = (node: SimNode): AuthState | null =>
  node.state?.groups.get(META_GROUP)?.machine.meta?.auth ?? null

function requirementFor(request: ClientRequest): Requirement {
  switch (request.kind) {
    case 'read':
      return requirementOf(request.op)
    case 'write': {
      const command = decodeShardCommand(request.command)
      return command.kind === 'write' ? requirementOf(command.op) : { kind: 'root' }
    }
    case 'leaseGrant':
    case 'leaseKeepAlive':
    case 'leaseTimeToLive':
    case 'sessionOpen':
      return { kind: 'user' }
    default:
      return { kind: 'root' }
  }
}
