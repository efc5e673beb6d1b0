import { choice, duration, text, toggle, type FlagTable, type FlagValues } from './flag.js'
import type { ConnectOptions, TlsFiles } from './connection.js'
import type { Environment } from './io.js'

export type Format = 'simple' | 'json' | 'fields' | 'table'

/** Flags that every client command takes. */
export const GLOBALS = {
  endpoints: text(
    'host:port,...',
    'Nodes to ask; any one will do. Default: KVORUM_ENDPOINTS, ETCDCTL_ENDPOINTS, 127.0.0.1:2379.',
  ),
  'command-timeout': duration('How long a request may take.', 5000),
  'dial-timeout': duration('How long connecting may take.', 2000),
  'write-out': choice<Format>(
    { simple: 'simple', json: 'json', table: 'table', fields: 'fields' },
    'simple',
    'How to print answers (also -w).',
  ),
  cacert: text('file', 'Authorities of the servers, in PEM. Also KVORUM_CACERT, ETCDCTL_CACERT.'),
  cert: text('file', 'Certificate to show to servers, in PEM. Also KVORUM_CERT, ETCDCTL_CERT.'),
  key: text('file', 'Its private key, in PEM. Also KVORUM_KEY, ETCDCTL_KEY.'),
  'insecure-transport': toggle('--insecure-transport=false: TLS also where an endpoint has no scheme.', true),
  'insecure-skip-tls-verify': toggle('Take any certificate of a server.'),
  user: text('name[:password]', 'Who asks. Also KVORUM_USER, ETCDCTL_USER.'),
  password: text(
    'password',
    'Of --user, where it is not written there. Also KVORUM_PASSWORD, ETCDCTL_PASSWORD.',
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

export const connectOptions = (
  flags: GlobalValues,
  env: Environment,
  endpoints: readonly string[],
): ConnectOptions => ({
  endpoints,
  auth: authOf(flags, env),
  tls: tlsFilesOf(flags, env),
  dialTimeoutMs: flags['dial-timeout'],
  requestTimeoutMs: flags['command-timeout'],
})

/** Null: nobody in particular. Throws where a name has no password and nobody could type one. */
function authOf(flags: GlobalValues, env: Environment): ConnectOptions['auth'] {
  const user = flags.user || env['KVORUM_USER'] || env['ETCDCTL_USER'] || ''
  const password = flags.password || env['KVORUM_PASSWORD'] || env['ETCDCTL_PASSWORD'] || ''
  if (user === '') return null
  if (password !== '') return { username: user, password }
  const colon = user.indexOf(':')
  if (colon < 0) throw new Error('--user needs a password: --user name:password, or --password')
  return { username: user.slice(0, colon), password: user.slice(colon + 1) }
}

/** Null: nothing says TLS, except perhaps the endpoints. Throws where half of a pair is missing. */
function tlsFilesOf(flags: GlobalValues, env: Environment): TlsFiles | null {
  const setting = (name: 'cacert' | 'cert' | 'key'): string => {
    const variable = name.toUpperCase()
    return flags[name] || env[`KVORUM_${variable}`] || env[`ETCDCTL_${variable}`] || ''
  }
  const isSet = (variable: string, value: string): boolean =>
    (env[`KVORUM_${variable}`] ?? env[`ETCDCTL_${variable}`]) === value
  const files = { caFile: setting('cacert'), certFile: setting('cert'), keyFile: setting('key') }
  if ((files.certFile === '') !== (files.keyFile === '')) throw new Error('--cert and --key need each other')
  const insecureSkipVerify = flags['insecure-skip-tls-verify'] || isSet('INSECURE_SKIP_TLS_VERIFY', 'true')
  const insists = !flags['insecure-transport'] || isSet('INSECURE_TRANSPORT', 'false')
  const wanted = insists || insecureSkipVerify || files.caFile !== '' || files.certFile !== ''
  return wanted ? { ...files, insecureSkipVerify } : null
}
