import type { Run } from './run.js'
import type { Message } from './target.js'
import { canceled } from './watches.js'

const DENIED = 'etcdserver: permission denied'
const NEVER_MS = 10_000

/**
 * After a change of roles: whose watch may not be read any more, by etcd's own judgement of the same range, sees
 * it end here, where etcd leaves it open. It is not compared from then on; the others go on.
 */
export async function expectRevocations(run: Run): Promise<string | null> {
  for (const [at, watch] of run.etcd.watches.watches.entries()) {
    if (watch.ended || watch.as === undefined || watch.as === 'root') continue
    const { key, range_end } = watch.request
    const range = { key: key ?? Buffer.from([0]), range_end, count_only: true } as Message
    const answer = await run.etcd.target.grpc('etcdserverpb.KV/Range', range, watch.as)
    if (answer.kind === 'ok') continue
    if (answer.text !== DENIED) return `etcd: Range as ${watch.as}: ${answer.text}`
    const ours = run.kvorum.watches.watches[at]!
    const stream = run.kvorum.watches.streams.get(ours.stream)!
    if (!(await stream.until(() => canceled(ours, stream), NEVER_MS)))
      return `kvorum: watch ${ours.id} of stream ${ours.stream} outlives the right of ${watch.as}`
    const reason = stream.said.findLast(message => message['watch_id'] === ours.id)?.['cancel_reason']
    if (reason !== `rpc error: code = PermissionDenied desc = ${DENIED}`)
      return `kvorum: ended by ${String(reason)}`
    for (const ended of [watch, ours]) {
      ended.ended = true
      ended.revoked = true
    }
  }
  return null
}
