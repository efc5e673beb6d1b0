import type { Result } from '@kvorum/model'
import { errorFor } from '@kvorum/protocol'
import { isAudited, subjectOf } from '../auth/audit.js'
import type { Call, CallMeta } from '../rpc/handler.js'
import type { AnyStream, AnyUnary } from '../rpc/registry.js'
import type { Edge } from './edge.js'

/** Writes down who did what, and what came of it. The user is looked up before: the call may end its own token. */
export async function audited(
  edge: Edge,
  rpc: AnyUnary,
  message: unknown,
  call: Call,
  handle: () => Promise<Result<unknown>>,
): Promise<Result<unknown>> {
  const { audit } = edge
  if (audit === null || !isAudited(rpc.name)) return handle()
  const user = await userOf(edge, call.meta)
  const result = await handle()
  const header = result.ok ? (result.value as { header?: { revision?: number } | null }).header : null
  audit.write({
    time: new Date().toISOString(),
    user,
    remote: call.meta.remote,
    rpc: rpc.name,
    ...subjectOf(rpc.name, message),
    code: result.ok ? 'OK' : errorFor(result.error).grpcName,
    revision: header?.revision ?? 0,
  })
  return result
}

/** The same of a stream, to be called with its code when it is over. Its name is looked up when it begins. */
export function auditedStream(edge: Edge, rpc: AnyStream, meta: CallMeta): (code: string) => void {
  const { audit } = edge
  if (audit === null || !isAudited(rpc.name)) return () => undefined
  const name = userOf(edge, meta)
  return code => {
    void name.then(user => {
      const time = new Date().toISOString()
      audit.write({ time, user, remote: meta.remote, rpc: rpc.name, keys: [], about: {}, code, revision: 0 })
    })
  }
}

/** '' where nobody is named, or nobody that is known. */
async function userOf({ auth, node }: Edge, meta: CallMeta): Promise<string> {
  const state = node.auth()
  if (state?.enabled !== true) return ''
  const name = await auth.nameOf(node, meta, state)
  return name.ok ? name.value : ''
}
