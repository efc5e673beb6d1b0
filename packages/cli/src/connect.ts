import { readFileSync } from 'node:fs'
import { RawClient, type TlsOptions } from '@kvorum/client'
import type { Connection, ConnectOptions, TlsFiles } from './connection.js'
import { keepAliveResponses, snapshotResponses, watchResponses } from './streams.js'

/** Connects to any of the endpoints; rejects when none can be reached in time. */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const client = new RawClient({
    endpoints: options.endpoints,
    timeoutMs: options.requestTimeoutMs,
    connectTimeoutMs: options.dialTimeoutMs,
    ...(options.auth === null ? {} : { auth: options.auth }),
    ...(options.tls === null ? {} : { tls: readTls(options.tls) }),
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
    snapshot: () => snapshotResponses(client),
    close: () => client.close(),
  }
}

function readTls({ caFile, certFile, keyFile, insecureSkipVerify }: TlsFiles): TlsOptions {
  return {
    insecureSkipVerify,
    ...(caFile === '' ? {} : { ca: read('--cacert', caFile) }),
    ...(certFile === '' ? {} : { cert: read('--cert', certFile), key: read('--key', keyFile) }),
  }
}

function read(flag: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new Error(`${flag} ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    })
  }
}
