import type { Connection } from './connection.js'
import { toggle } from './flag.js'
import { connectOptions, endpointsOf, type GlobalValues } from './globals.js'
import type { Io } from './io.js'
import { withConnection } from './session.js'

export const CLUSTER_FLAG = {
  cluster: toggle('Ask all members, as the named endpoints list them.'),
} as const

/** The endpoints that were named, or with `--cluster` what the members advertise. */
export async function endpointsToAsk(
  io: Io,
  globals: GlobalValues,
  { cluster }: { readonly cluster: boolean },
): Promise<readonly string[]> {
  return cluster ? clientUrls(io, globals) : endpointsOf(globals, io.env)
}

/** Also while there is no leader. */
export async function clientUrls(io: Io, globals: GlobalValues): Promise<readonly string[]> {
  const urls = new Set<string>()
  await withConnection(io, globals, async connection => {
    const { members } = await connection.call('etcdserverpb.Cluster/MemberList', { linearizable: false })
    for (const url of members.flatMap(({ clientURLs }) => clientURLs)) urls.add(url)
  })
  return [...urls]
}

/** What one endpoint said, or why it said nothing. */
export type EndpointAnswer<Value> = { readonly endpoint: string; readonly tookMs: number } & (
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly reason: string }
)

/** One endpoint by itself, over a connection of its own. Never rejects. */
export async function askEndpoint<Value>(
  io: Io,
  globals: GlobalValues,
  endpoint: string,
  ask: (connection: Connection) => Promise<Value>,
): Promise<EndpointAnswer<Value>> {
  const start = io.now()
  try {
    const connection = await io.connect(connectOptions(globals, io.env, [endpoint]))
    try {
      const value = await ask(connection)
      return { endpoint, tookMs: io.now() - start, ok: true, value }
    } finally {
      await connection.close()
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { endpoint, tookMs: io.now() - start, ok: false, reason }
  }
}

/** All of them at once; the answers in the order of the endpoints. */
export const askEvery = <Value>(
  io: Io,
  globals: GlobalValues,
  endpoints: readonly string[],
  ask: (connection: Connection) => Promise<Value>,
): Promise<EndpointAnswer<Value>[]> =>
  Promise.all(endpoints.map(endpoint => askEndpoint(io, globals, endpoint, ask)))
