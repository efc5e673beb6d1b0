import t from 'tap'
import { RPCS, type Rpc, type RpcName } from '@kvorum/protocol'
import { bytes, fails, withServer, type Caller } from './caller.js'
import { until } from './harness.js'

const REFUSED = 'etcdserver: rpc not supported for learner'
const FAILED_PRECONDITION = 9

/** What a learner of etcd serves, and what etcd does not have. */
const SERVED: readonly RpcName[] = [
  'etcdserverpb.Maintenance/Status',
  'etcdserverpb.Maintenance/Snapshot',
  'grpc.health.v1.Health/Check',
  'grpc.health.v1.Health/Watch',
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
  'kvorum.v1.Admin/Groups',
]

const codeOf = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call
    return 'served'
  } catch (error) {
    const { code, details } = error as { code: number; details: string }
    return `${code} ${details}`
  }
}

async function streamed(caller: Caller, { name, requestStream }: Rpc): Promise<string> {
  const stream = caller.open(name)
  if (!requestStream) stream.call.end(Buffer.alloc(0))
  await until(() => stream.ended() !== null, `the end of ${name}`)
  return `${stream.ended()!.code} ${stream.ended()!.details}`
}

t.test('a learner refuses every RPC but a few, before it looks at it, with the text of etcd', t =>
  withServer(t, async (caller, server) => {
    server.node.learner = true
    for (const rpc of RPCS) {
      if (SERVED.includes(rpc.name)) continue
      const answer =
        rpc.requestStream || rpc.responseStream
          ? await streamed(caller, rpc)
          : await codeOf(caller.bytes(rpc.path, Buffer.alloc(0)))
      t.equal(answer, `${FAILED_PRECONDITION} ${REFUSED}`, rpc.name)
    }
  }),
)

t.test('it serves reads that may be stale, and says how it is', t =>
  withServer(t, async (caller, server) => {
    server.node.learner = true
    const key = bytes('k')
    const range = (serializable: boolean) => caller.call('etcdserverpb.KV/Range', { key, serializable })
    await fails(t, range(false), FAILED_PRECONDITION, REFUSED)
    t.equal((await range(true)).kvs.length, 0)
    t.equal((await caller.call('etcdserverpb.Maintenance/Status', {})).isLearner, true)
    t.ok(await caller.call('grpc.health.v1.Health/Check', { service: '' }))
    t.ok(await caller.call('kvorum.v1.Admin/Groups', {}))
    server.node.learner = false
    t.equal((await range(false)).kvs.length, 0, 'until it is promoted')
  }),
)

t.test('the gateway answers the same', t =>
  withServer(t, async (_, server) => {
    server.node.learner = true
    const post = async (body: object): Promise<unknown> => {
      const response = await fetch(`${server.url}/v3/kv/range`, {
        method: 'POST',
        body: JSON.stringify(body),
      })
      return [response.status, ((await response.json()) as { error?: string }).error]
    }
    t.same(await post({ key: 'aw==' }), [400, REFUSED])
    t.same(await post({ key: 'aw==', serializable: true }), [200, undefined])
  }),
)
