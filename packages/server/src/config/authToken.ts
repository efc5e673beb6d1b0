import { accepted, duration, rejected, type Parsed } from './flag.js'

export interface JwtConfig {
  readonly method: string
  /** Paths; '' where there is none. */
  readonly privateKey: string
  readonly publicKey: string
  readonly ttlMs: number
}

/** What --auth-token and --auth-token-ttl say. */
export type TokenConfig =
  { readonly kind: 'simple'; readonly ttlMs: number } | { readonly kind: 'jwt'; readonly jwt: JwtConfig }

const METHODS: ReadonlySet<string> = new Set([
  ...['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512'],
  ...['PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
])
const OPTIONS: ReadonlySet<string> = new Set(['pub-key', 'priv-key', 'sign-method', 'ttl'])
const JWT_TTL = '5m'

/** `simple`, or `jwt` with options as etcd writes them: jwt,priv-key=FILE,sign-method=RS256,ttl=10m. */
export function parseAuthToken(given: string, ttlSeconds: number): Parsed<TokenConfig> {
  if (given === 'simple') return accepted({ kind: 'simple', ttlMs: ttlSeconds * 1000 })
  const [kind, ...rest] = given.split(',')
  if (kind !== 'jwt') return rejected(`--auth-token must be simple or jwt,..., not "${given}".`)
  const options = new Map<string, string>()
  for (const item of rest) {
    const [name = '', ...value] = item.split('=')
    if (!OPTIONS.has(name) || value.length === 0)
      return rejected(`--auth-token: "${name}" is not one of ${[...OPTIONS].join(', ')}, each with a value.`)
    options.set(name, value.join('='))
  }
  return jwtOf(options)
}

function jwtOf(options: ReadonlyMap<string, string>): Parsed<TokenConfig> {
  const method = options.get('sign-method') ?? ''
  if (!METHODS.has(method))
    return rejected(`--auth-token: sign-method must be one of ${[...METHODS].join(', ')}.`)
  const privateKey = options.get('priv-key') ?? ''
  const publicKey = options.get('pub-key') ?? ''
  if (method.startsWith('HS') && privateKey === '')
    return rejected(`--auth-token: ${method} needs priv-key, the file with the secret.`)
  if (privateKey === '' && publicKey === '')
    return rejected('--auth-token: a key is needed: priv-key to make tokens, pub-key to check them.')
  const ttl = duration(JWT_TTL, 1000, '').parse(options.get('ttl') ?? JWT_TTL)
  if (!ttl.ok) return rejected(`--auth-token: ttl ${ttl.reason}.`)
  return accepted({ kind: 'jwt', jwt: { method, privateKey, publicKey, ttlMs: ttl.value } })
}
