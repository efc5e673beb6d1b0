import type { Result } from '@kvorum/model'
import { errorFor } from '@kvorum/protocol'
import { isAudited, subjectOf } from '../auth/audit.js'
import type { Call } from '../rpc/handler.js'
import type { AnyUnary } from '../rpc/registry.js'
import type { Edge } from './edge.js'

/** Writes down who did what, and what came of it. The user is looked up before: the call may end its own token. */
export async function audited(
  edge: Edge,
  rpc: AnyUnary,
  message: unknown,
  call: Call,
  handle: () => Promise<Result<unknown>>,
): Promise<Result<unknown>> {
  const { audit, auth, node } = edge
  if (audit === null || !isAudited(rpc.name)) return handle()
  const state = node.auth()
  const name = state?.enabled === true ? await auth.nameOf(node, call.meta, state) : null
  const result = await handle()
  const header = result.ok ? (result.value as { header?: { revision?: number } | null }).header : null
  audit.write({
    time: new Date().toISOString(),
    user: name?.ok === true ? name.value : '',
    remote: call.meta.remote,
    rpc: rpc.name,
    ...subjectOf(rpc.name, message),
    code: result.ok ? 'OK' : errorFor(result.error).grpcName,
    revision: header?.revision ?? 0,
  })
  return result
}
