import { choice, duration, text, toggle, type FlagTable, type FlagValues } from './flag.js'
import type { ConnectOptions } from './connection.js'
import type { Environment } from './io.js'

export type Format = 'simple' | 'json' | 'fields'

/** Flags that every client command takes. */
export const GLOBALS = {
  endpoints: text(
    'host:port,...',
    'Nodes to ask; any one will do. Default: KVORUM_ENDPOINTS, ETCDCTL_ENDPOINTS, 127.0.0.1:2379.',
  ),
  'command-timeout': duration('How long a request may take.', 5000),
  'dial-timeout': duration('How long connecting may take.', 2000),
  'write-out': choice<Format>(
    { simple: 'simple', json: 'json', fields: 'fields' },
    'simple',
    'How to print answers (also -w).',
  ),
  hex: toggle('Print keys and values in hexadecimal.'),
} as const satisfies FlagTable

export type GlobalValues = FlagValues<typeof GLOBALS>

export const DEFAULT_ENDPOINT = '127.0.0.1:2379'

/** Where to connect: the flag, else the environment, else the default port on this machine. */
export function endpointsOf(flags: Pick<GlobalValues, 'endpoints'>, env: Environment): string[] {
  const written = [flags.endpoints, env.KVORUM_ENDPOINTS, env.ETCDCTL_ENDPOINTS].find(
    list => list !== undefined && list.trim() !== '',
  )
  return (written ?? DEFAULT_ENDPOINT)
    .split(',')
    .map(endpoint => endpoint.trim())
    .filter(endpoint => endpoint !== '')
}

export const connectOptions = (flags: GlobalValues, endpoints: readonly string[]): ConnectOptions => ({
  endpoints,
  dialTimeoutMs: flags['dial-timeout'],
  requestTimeoutMs: flags['command-timeout'],
})
