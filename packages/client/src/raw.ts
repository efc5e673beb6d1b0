import type { Init, pb, RpcName } from '@kvorum/protocol'
import type { CallKind } from './classify.js'
import { channelCredentials, tlsChannelOptions, tlsOf } from './credentials.js'
import { Endpoint, parseEndpoint } from './endpoint.js'
import { Endpoints } from './endpoints.js'
import { invalid } from './error.js'
import { METHODS, type Method } from './method.js'
import { settingsOf, type CallOptions, type ConnectOptions } from './options.js'
import { responsesOf } from './responses.js'
import { Transport } from './transport.js'

type Messages = pb.Messages
export type RawRequest<Name extends RpcName> = Init<Messages[pb.Rpcs[Name]['request']]>
export type RawResponse<Name extends RpcName> = Messages[pb.Rpcs[Name]['response']]

/** A stream in both directions. Reading to its end, leaving the loop or `cancel` ends it. */
export interface RawStream<Request, Response> extends AsyncIterable<Response> {
  send(request: Request): void
  /** No more requests; answers go on coming. */
  halfClose(): void
  cancel(): void
}

/**
 * The API's own messages, headers and all, over the same choice of servers and the same repetitions as
 * KvorumClient: for tools that print or forward what a server says.
 */
export class RawClient {
  readonly #transport: Transport
  readonly #endpoints: Endpoints

  constructor(options: ConnectOptions) {
    const settings = settingsOf(options)
    const texts = typeof options.endpoints === 'string' ? options.endpoints.split(',') : options.endpoints
    if (texts.length === 0) throw invalid('no endpoints')
    const endpoints = texts.map(text => {
      const address = parseEndpoint(text)
      const tls = tlsOf(address, options.tls)
      const channelOptions = { ...tlsChannelOptions(tls), ...options.channelOptions }
      return new Endpoint(address.hostPort, channelCredentials(tls), channelOptions, settings.clock)
    })
    this.#endpoints = new Endpoints(endpoints, settings.connectTimeoutMs)
    this.#transport = new Transport(settings, this.#endpoints, options.auth)
  }

  /** Resolves when some server is connected. */
  async ready(timeoutMs = this.#transport.settings.timeoutMs): Promise<void> {
    await this.#endpoints.acquire(timeoutMs)
  }

  call<Name extends RpcName>(
    name: Name,
    request: RawRequest<Name>,
    options: CallOptions = {},
  ): Promise<RawResponse<Name>> {
    const kind: CallKind = READS.has(name) ? 'read' : 'write'
    return this.#transport.unary(methodNamed(name), request, kind, options)
  }

  /** One stream on one server; when that is lost, reading rejects and another stream is the caller's to open. */
  async stream<Name extends RpcName>(name: Name): Promise<RawStream<RawRequest<Name>, RawResponse<Name>>> {
    const { stream, fail } = await this.#transport.stream(methodNamed(name))
    return {
      send: request => void stream.write(request),
      halfClose: () => void stream.end(),
      cancel: () => stream.cancel(),
      [Symbol.asyncIterator]: () => responsesOf(stream, fail),
    }
  }

  async close(): Promise<void> {
    this.#transport.close()
  }
}

const READS: ReadonlySet<RpcName> = new Set([
  'etcdserverpb.KV/Range',
  'etcdserverpb.Lease/LeaseTimeToLive',
  'etcdserverpb.Lease/LeaseLeases',
  'etcdserverpb.Cluster/MemberList',
  'etcdserverpb.Maintenance/HashKV',
  'etcdserverpb.Maintenance/Status',
  'etcdserverpb.Auth/AuthStatus',
  'etcdserverpb.Auth/UserGet',
  'etcdserverpb.Auth/UserList',
  'etcdserverpb.Auth/RoleGet',
  'etcdserverpb.Auth/RoleList',
  'kvorum.v1.Shard/List',
  'kvorum.v1.Shard/Plan',
])

const BY_PATH: ReadonlyMap<string, unknown> = new Map(
  Object.values(METHODS).map(method => [method.path, method]),
)

function methodNamed<Name extends RpcName>(
  name: Name,
): Method<Messages[pb.Rpcs[Name]['request']], RawResponse<Name>> {
  const method = BY_PATH.get(`/${name}`)
  if (method === undefined) throw invalid(`this client has no ${name}`)
  return method as Method<Messages[pb.Rpcs[Name]['request']], RawResponse<Name>>
}
