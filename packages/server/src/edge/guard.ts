import { LIMITS, refuse, type Result } from '@kvorum/model'
import type { Requirement } from '@kvorum/placement'
import { guardedNode } from '../auth/guardedNode.js'
import { requirementFor } from '../auth/requirements.js'
import type { UserShares } from '../auth/userShares.js'
import type { Call, CallMeta, StreamIn, StreamOut } from '../rpc/handler.js'
import type { AnyStream, AnyUnary } from '../rpc/registry.js'
import type { Edge } from './edge.js'

/**
 * In front of every handler: who may not call is refused here, and who may gets a node that carries everything out
 * in his name. While authentication is off the handler gets the node itself.
 */
export async function handleGuarded(
  edge: Edge,
  rpc: AnyUnary,
  message: unknown,
  call: Call,
): Promise<Result<unknown>> {
  if (edge.node.auth()?.enabled === false) {
    const result = await rpc.handle(edge, message, call)
    // Switched on while it was under way.
    if (result.ok || result.error.code !== 'authOutdated') return result
  }
  const requirement = requirementFor(rpc.name, message)
  const decision = await edge.auth.decide(edge.node, call.meta, requirement)
  if (!decision.ok) return decision
  const node = guardedNode(edge.node, edge.auth, call.meta, () => requirement)
  const user = decision.value.rights?.user.name
  if (user === undefined) return rpc.handle({ ...edge, node }, message, call)
  const { requests, grants } = edge.auth
  const handle = (): Promise<Result<unknown>> => rpc.handle({ ...edge, node }, message, call)
  return within(requests, user, () => (rpc.name === LEASE_GRANT ? within(grants, user, handle) : handle()))
}

const LEASE_GRANT = 'etcdserverpb.Lease/LeaseGrant'

/** As one of those that the user may have under way. */
async function within(
  shares: UserShares,
  user: string,
  handle: () => Promise<Result<unknown>>,
): Promise<Result<unknown>> {
  if (!shares.take(user)) return refuse('tooManyRequests')
  try {
    return await handle()
  } finally {
    shares.giveBack(user)
  }
}

/** The same for streams: every message that the client sends is decided before the handler hears of it. */
export function openGuarded(
  edge: Edge,
  rpc: AnyStream,
  meta: CallMeta,
  out: StreamOut<unknown>,
  run: (act: () => void) => void,
): StreamIn<unknown> {
  let requirement: Requirement = { kind: 'user' }
  const node = guardedNode(edge.node, edge.auth, meta, () => requirement)
  const inner = rpc.open({ ...edge, node }, out)
  let queue: Promise<void> = Promise.resolve()
  let queued = 0
  let over = false
  /** After what came before it. */
  const later = (act: () => Promise<void> | void): void => {
    if (++queued === LIMITS.streamRequestsMax) out.flow(false)
    queue = queue.then(async () => {
      if (!over) await act()
      if (queued-- === LIMITS.streamRequestsMax) out.flow(true)
    })
  }
  const pass = (message: unknown, needed: Requirement): void => {
    if (needed.kind !== 'nothing') requirement = needed
    run(() => inner.receive(message))
  }
  return {
    receive: message => {
      const needed = requirementFor(rpc.name, message)
      if (queued === 0 && (needed.kind === 'nothing' || edge.node.auth()?.enabled === false)) {
        pass(message, needed)
        return
      }
      later(async () => {
        const decision = await edge.auth.decide(edge.node, meta, needed)
        if (over) return
        if (decision.ok) pass(message, needed)
        else out.end(decision.error)
      })
    },
    halfClosed: () => {
      if (queued === 0) inner.halfClosed()
      else later(() => run(() => inner.halfClosed()))
    },
    closed: () => {
      over = true
      inner.closed()
    },
  }
}
