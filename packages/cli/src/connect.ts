import { RawClient } from '@kvorum/client'
import type { Connection, ConnectOptions } from './connection.js'
import { keepAliveResponses, watchResponses } from './streams.js'

/** Connects to any of the endpoints; rejects when none can be reached in time. */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const client = new RawClient({
    endpoints: options.endpoints,
    timeoutMs: options.requestTimeoutMs,
    connectTimeoutMs: options.dialTimeoutMs,
  })
  try {
    await client.ready(options.dialTimeoutMs)
  } catch (error) {
    await client.close()
    throw error
  }
  return {
    call: (name, request) => client.call(name, request),
    watch: request => watchResponses(client, request),
    keepAlive: lease => keepAliveResponses(client, lease),
    close: () => client.close(),
  }
}
