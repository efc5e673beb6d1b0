import { readFileSync } from 'node:fs'
import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import { jwtVerify, SignJWT, type JWTPayload } from 'jose'
import { LIMITS, ok, refuse, type AuthState, type AuthUser, type KvNode, type Result } from '@kvorum/model'
import type { JwtConfig } from '../config/authToken.js'
import type { Tokens } from './tokens.js'

interface Claims {
  readonly username: string
  readonly revision: number
  /** Seconds. */
  readonly exp: number
}

export interface JwtKeys {
  /** Null: this member checks tokens, and makes none. */
  readonly sign: KeyObject | null
  readonly verify: KeyObject
}

/** Throws where a file cannot be read or holds no key of the kind. */
export function readKeys({ method, privateKey, publicKey }: JwtConfig): JwtKeys {
  if (method.startsWith('HS')) {
    const secret = createSecretKey(readFileSync(privateKey))
    return { sign: secret, verify: secret }
  }
  const sign = privateKey === '' ? null : createPrivateKey(readFileSync(privateKey))
  const verify = publicKey === '' ? createPublicKey(sign!) : createPublicKey(readFileSync(publicKey))
  return { sign, verify }
}

/**
 * JSON Web Tokens with etcd's claims. Only the configured algorithm is believed, whatever a token says of itself.
 * They are good until they expire or users and roles change, and no member remembers them.
 */
export class JwtTokens implements Tokens {
  readonly #config: JwtConfig
  readonly #keys: JwtKeys
  /** Tokens whose signature was right, oldest first. */
  readonly #verified = new Map<string, Claims>()

  constructor(config: JwtConfig, keys: JwtKeys) {
    this.#config = config
    this.#keys = keys
  }

  async issue(_node: KvNode, user: AuthUser, state: AuthState): Promise<Result<string>> {
    if (this.#keys.sign === null) return refuse('authFailed')
    const token = await new SignJWT({ username: user.name, revision: state.revision })
      .setProtectedHeader({ alg: this.#config.method, typ: 'JWT' })
      .setExpirationTime(Math.floor((Date.now() + this.#config.ttlMs) / 1000))
      .sign(this.#keys.sign)
    return ok(token)
  }

  async read(_node: KvNode, token: string, state: AuthState): Promise<Result<string>> {
    const claims = this.#verified.get(token) ?? (await this.#verify(token))
    if (claims === null || claims.exp * 1000 <= Date.now()) return refuse('authTokenInvalid')
    return claims.revision < state.revision ? refuse('authRevisionOld') : ok(claims.username)
  }

  async #verify(token: string): Promise<Claims | null> {
    let claims: Claims | null
    try {
      const { payload } = await jwtVerify(token, this.#keys.verify, { algorithms: [this.#config.method] })
      claims = claimsOf(payload)
    } catch {
      // Whatever is wrong with it: the caller learns no more.
      return null
    }
    if (claims === null) return null
    for (const oldest of this.#verified.keys()) {
      if (this.#verified.size < LIMITS.verifiedTokensMax) break
      this.#verified.delete(oldest)
    }
    this.#verified.set(token, claims)
    return claims
  }
}

function claimsOf({ username, revision, exp }: JWTPayload): Claims | null {
  const right =
    typeof username === 'string' &&
    username !== '' &&
    typeof revision === 'number' &&
    Number.isSafeInteger(revision) &&
    typeof exp === 'number' &&
    Number.isFinite(exp)
  return right ? { username, revision, exp } : null
}
