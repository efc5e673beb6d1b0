import { Metadata, type ServiceError } from '@grpc/grpc-js'
import { codec, RPCS, rpcNamed, type Codec, type RpcName } from '@kvorum/protocol'
import t from 'tap'
import { bytes, raw, withServer, type Caller } from './caller.js'
import type { Running } from './harness.js'
import { signIn, withUsers, type SignedIn } from './users.js'

t.setTimeout(300_000)

/** Of what a caller without rights to it is told: nothing about what he asked for. */
const DENIED = /^etcdserver: (user name is empty|invalid auth token|permission denied)$/
type Who = 'none' | 'bad' | 'expired' | 'reader' | 'writer' | 'root'
const WHO: readonly Who[] = ['none', 'bad', 'expired', 'reader', 'writer', 'root']

/** Who may call an RPC with the message below; everybody else is refused. */
type Row = readonly [message: object, allowed: readonly Who[]]
const ANYBODY = WHO
const USERS: readonly Who[] = ['reader', 'writer', 'root']
const WRITERS: readonly Who[] = ['writer', 'root']
const ROOT: readonly Who[] = ['root']
const [key, secret] = [bytes('r/1'), bytes('secret')]
const leader = { name: bytes('w/e'), key: bytes('w/e/1'), rev: 1, lease: 1n }

/** A new RPC fails this test until it has a row. `reader` reads r/, `writer` reads and writes w/. */
const ROWS: { readonly [Name in RpcName]: Row } = {
  'etcdserverpb.KV/Range': [{ key }, ['reader', 'root']],
  'etcdserverpb.KV/RangeStream': [{ key }, ['reader', 'root']],
  'etcdserverpb.KV/Put': [{ key: bytes('w/1') }, WRITERS],
  'etcdserverpb.KV/DeleteRange': [{ key: bytes('w/'), range_end: bytes('w0') }, WRITERS],
  'etcdserverpb.KV/Txn': [{ success: [{ request_put: { key: bytes('w/1') } }] }, WRITERS],
  'etcdserverpb.KV/Compact': [{ revision: 1 }, ROOT],
  'etcdserverpb.Watch/Watch': [{ progress_request: {} }, ANYBODY],
  'etcdserverpb.Lease/LeaseGrant': [{ TTL: 60 }, USERS],
  'etcdserverpb.Lease/LeaseRevoke': [{ ID: 77n }, USERS],
  'etcdserverpb.Lease/LeaseKeepAlive': [{ ID: 77n }, USERS],
  'etcdserverpb.Lease/LeaseTimeToLive': [{ ID: 77n }, USERS],
  'etcdserverpb.Lease/LeaseLeases': [{}, USERS],
  'etcdserverpb.Cluster/MemberAdd': [{ peerURLs: ['http://127.0.0.1:1'] }, ROOT],
  'etcdserverpb.Cluster/MemberRemove': [{ ID: 1n }, ROOT],
  'etcdserverpb.Cluster/MemberUpdate': [{ ID: 1n, peerURLs: ['http://127.0.0.1:1'] }, ROOT],
  'etcdserverpb.Cluster/MemberList': [{}, USERS],
  'etcdserverpb.Cluster/MemberPromote': [{ ID: 1n }, ROOT],
  'etcdserverpb.Maintenance/Alarm': [{ action: 1, alarm: 1 }, ROOT],
  'etcdserverpb.Maintenance/Status': [{}, USERS],
  'etcdserverpb.Maintenance/Defragment': [{}, ROOT],
  'etcdserverpb.Maintenance/Hash': [{}, ROOT],
  'etcdserverpb.Maintenance/HashKV': [{}, ROOT],
  'etcdserverpb.Maintenance/Snapshot': [{}, ROOT],
  'etcdserverpb.Maintenance/MoveLeader': [{ targetID: 1n }, ROOT],
  'etcdserverpb.Maintenance/Downgrade': [{ version: '3.4.0' }, ROOT],
  'etcdserverpb.Auth/AuthEnable': [{}, ROOT],
  'etcdserverpb.Auth/AuthDisable': [{}, ROOT],
  'etcdserverpb.Auth/AuthStatus': [{}, ANYBODY],
  'etcdserverpb.Auth/Authenticate': [{ name: 'reader', password: 'pw' }, ANYBODY],
  'etcdserverpb.Auth/UserAdd': [{ name: 'new', options: { no_password: true } }, ROOT],
  'etcdserverpb.Auth/UserGet': [{ name: 'reader' }, ['reader', 'root']],
  'etcdserverpb.Auth/UserList': [{}, ROOT],
  'etcdserverpb.Auth/UserDelete': [{ name: 'none' }, ROOT],
  'etcdserverpb.Auth/UserChangePassword': [{ name: 'none', password: 'x' }, ROOT],
  'etcdserverpb.Auth/UserGrantRole': [{ user: 'none', role: 'r' }, ROOT],
  'etcdserverpb.Auth/UserRevokeRole': [{ name: 'none', role: 'r' }, ROOT],
  'etcdserverpb.Auth/RoleAdd': [{ name: 'r' }, ROOT],
  'etcdserverpb.Auth/RoleGet': [{ role: 'w' }, WRITERS],
  'etcdserverpb.Auth/RoleList': [{}, ROOT],
  'etcdserverpb.Auth/RoleDelete': [{ role: 'none' }, ROOT],
  'etcdserverpb.Auth/RoleGrantPermission': [{ name: 'none', perm: { key } }, ROOT],
  'etcdserverpb.Auth/RoleRevokePermission': [{ role: 'none', key }, ROOT],
  'v3lockpb.Lock/Lock': [{ name: bytes('r/lock') }, []],
  'v3lockpb.Lock/Unlock': [{ key: bytes('w/lock/1') }, WRITERS],
  'v3electionpb.Election/Campaign': [{ name: bytes('r/e') }, []],
  'v3electionpb.Election/Proclaim': [{ leader, value: bytes('v') }, WRITERS],
  'v3electionpb.Election/Leader': [{ name: bytes('r/e') }, ['reader', 'root']],
  'v3electionpb.Election/Observe': [{ name: secret }, []],
  'v3electionpb.Election/Resign': [{ leader }, WRITERS],
  'grpc.health.v1.Health/Check': [{}, ANYBODY],
  'grpc.health.v1.Health/Watch': [{}, ANYBODY],
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo': [{ list_services: '' }, ANYBODY],
  'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': [{ list_services: '' }, ANYBODY],
  'kvorum.v1.Admin/Groups': [{}, USERS],
  'kvorum.v1.Sessions/Open': [{ lease: 77n }, USERS],
  'kvorum.v1.Shard/List': [{}, ROOT],
  'kvorum.v1.Shard/Split': [{ at: key }, ROOT],
  'kvorum.v1.Shard/Move': [{ shard: 1, from_id: 1n, to_id: 2n }, ROOT],
  'kvorum.v1.Shard/Transfer': [{ shard: 1, to_id: 1n }, ROOT],
  'kvorum.v1.Shard/Plan': [{}, ROOT],
  'kvorum.v1.Shard/Drain': [{ node_id: 1n }, ROOT],
}
/** Root's own calls that wait for others, or that end what the others need, are left to other tests. */
const NOT_BY_ROOT: ReadonlySet<RpcName> = new Set([
  'v3lockpb.Lock/Lock',
  'v3electionpb.Election/Campaign',
  'v3electionpb.Election/Observe',
  'etcdserverpb.Auth/AuthDisable',
])

const tokenOf = (who: Who, users: SignedIn): string =>
  ({ none: '', bad: 'AAAAAAAAAAAAAAAA.1', expired: users.expired, ...users.tokens })[who]

/** How the call ends, as far as this test looks: refused with this text, or anything else. */
function overGrpc(caller: Caller, name: RpcName, message: object, token: string): Promise<string> {
  const { path, request, requestStream, responseStream } = rpcNamed(name)
  const encoded = Buffer.from((codec(request) as Codec<object>).encode(message as never))
  const metadata = new Metadata()
  if (token !== '') metadata.set('token', token)
  if (!requestStream && !responseStream)
    return new Promise(resolve =>
      caller.client.makeUnaryRequest(path, raw, raw, encoded, metadata, (error: ServiceError | null) =>
        resolve(error?.details ?? 'answered'),
      ),
    )
  return new Promise(resolve => {
    const bidi = requestStream ? caller.client.makeBidiStreamRequest(path, raw, raw, metadata) : null
    const call = bidi ?? caller.client.makeServerStreamRequest(path, raw, raw, encoded, metadata)
    call.on('error', (error: ServiceError) => resolve(error.details))
    call.on('end', () => resolve('answered'))
    call.on('data', () => {
      resolve('answered')
      call.cancel()
    })
    bidi?.write(encoded)
  })
}

async function overGateway(
  server: Running,
  name: RpcName,
  message: object,
  token: string,
): Promise<string | null> {
  const [path] = rpcNamed(name).gateway
  if (path === undefined) return null
  const form = codec(rpcNamed(name).request) as Codec<object>
  const gone = new AbortController()
  const answer = await fetch(`${server.url}${path}`, {
    method: 'POST',
    signal: gone.signal,
    headers: token === '' ? {} : { authorization: `Bearer ${token}` },
    body: JSON.stringify(form.toJson(message as never)),
  })
  const reader = answer.body!.getReader()
  const { value } = await reader.read()
  gone.abort()
  const body = JSON.parse(Buffer.from(value ?? []).toString() || '{}') as {
    message?: string
    error?: string | { message: string }
  }
  return typeof body.error === 'object' ? body.error.message : (body.error ?? 'answered')
}

t.test('every RPC has a row', async t => {
  t.strictSame(Object.keys(ROWS).sort(), RPCS.map(({ name }) => name).sort())
})

for (const transport of ['gRPC', 'gateway'] as const)
  t.test(`CVE-2026-33413: every RPC over ${transport}, by everybody`, t =>
    withServer(t, async (caller, server) => {
      await withUsers(server)
      const users = await signIn(caller, server)
      for (const { name } of RPCS) {
        const [message, allowed] = ROWS[name]
        for (const who of WHO) {
          if (who === 'root' && NOT_BY_ROOT.has(name)) continue
          const token = tokenOf(who, users)
          const told =
            transport === 'gRPC'
              ? await overGrpc(caller, name, message, token)
              : await overGateway(server, name, message, token)
          if (told === null) continue
          if (allowed.includes(who)) t.notMatch(told, DENIED, `${who} may call ${name}`)
          else {
            const why =
              who === 'none'
                ? 'user name is empty'
                : who === 'bad' || who === 'expired'
                  ? 'invalid auth token'
                  : 'permission denied'
            t.equal(told, `etcdserver: ${why}`, `${who} may not call ${name}`)
          }
        }
      }
      t.equal(server.node.auth().enabled, true)
    }),
  )
