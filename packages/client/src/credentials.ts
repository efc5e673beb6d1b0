import { credentials, Metadata, type ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js'
import type { Address } from './endpoint.js'
import { invalid } from './error.js'
import type { AuthOptions, TlsOptions } from './options.js'

export function channelCredentials(tls: boolean | TlsOptions): ChannelCredentials {
  if (tls === false) return credentials.createInsecure()
  if (tls === true) return credentials.createSsl()
  const anybody = { checkServerIdentity: () => undefined, rejectUnauthorized: false }
  const verify = tls.insecureSkipVerify === true ? anybody : {}
  try {
    return credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert), verify)
  } catch (error) {
    throw invalid(`the TLS options cannot be used (${(error as Error).message})`)
  }
}

/** How to speak to an endpoint: its scheme decides, and where it has none, whether TLS was asked for. */
export function tlsOf(endpoint: Address, tls: boolean | TlsOptions | undefined): boolean | TlsOptions {
  if (endpoint.scheme === null) return tls ?? false
  if (endpoint.scheme === 'https') return tls === undefined || tls === false ? true : tls
  if (tls === undefined || tls === false) return false
  throw invalid(`http://${endpoint.hostPort} asks for no TLS, but TLS options are given; write https`)
}

export const tlsChannelOptions = (tls: boolean | TlsOptions): ChannelOptions =>
  typeof tls === 'object' && tls.serverName !== undefined
    ? { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName }
    : {}

const pem = (text: string | Uint8Array | undefined): Buffer | null =>
  text === undefined ? null : Buffer.from(text as string)

/**
 * The token that goes with every call. With a name and a password it is fetched when first needed, once for
 * all calls that wait, and again when a server no longer takes it.
 */
export class Session {
  readonly #auth: AuthOptions | null
  readonly #authenticate: (username: string, password: string) => Promise<string>
  #token: Promise<string> | null = null

  constructor(
    auth: AuthOptions | undefined,
    authenticate: (username: string, password: string) => Promise<string>,
  ) {
    this.#auth = auth ?? null
    this.#authenticate = authenticate
  }

  async metadata(): Promise<Metadata> {
    const metadata = new Metadata()
    const token = await this.#current()
    if (token !== null && token !== '') metadata.set('token', token)
    return metadata
  }

  async #current(): Promise<string | null> {
    if (this.#auth === null) return null
    if ('token' in this.#auth) return this.#auth.token
    if (this.#token === null) {
      const token = this.#authenticate(this.#auth.username, this.#auth.password)
      this.#token = token
      // A failure is for those who wait now; the next call asks again.
      token.catch(() => this.#forget(token))
    }
    return this.#token
  }

  #forget(token: Promise<string> | null): void {
    if (this.#token === token) this.#token = null
  }

  /** Whether another token may do; the next call then fetches one. */
  renew(metadata: Metadata): boolean {
    if (this.#auth === null || 'token' in this.#auth) return false
    const [used = ''] = metadata.get('token')
    const current = this.#token
    // Another call may have renewed it already.
    void current?.then(
      token => {
        if (token === used) this.#forget(current)
      },
      () => undefined,
    )
    return true
  }
}
