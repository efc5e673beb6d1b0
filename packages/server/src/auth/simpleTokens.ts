import { createHash, randomInt } from 'node:crypto'
import { decodeReply, LIMITS, ok, refuse, TRUSTED } from '@kvorum/model'
import type { AuthState, AuthUser, ClientRequest, KvNode, Result } from '@kvorum/model'
import { encodeMetaCommand, type AuthCommand } from '@kvorum/placement'
import type { Tokens } from './tokens.js'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const LETTER_COUNT = 16
const FORM = /^([A-Za-z]{16})\.(\d{1,16})$/

const hashOf = (letters: string): string => createHash('sha256').update(letters).digest('hex')

const metaRequest = (command: AuthCommand): ClientRequest => ({
  kind: 'meta',
  command: encodeMetaCommand({ kind: 'auth', command }),
  authority: TRUSTED,
})

/**
 * etcd's tokens: letters and the number of the log entry that issued them. The letters leave this process once, to
 * the client; the log and every member hold their hash. A token that is used lives on: before its time is up, and
 * seldom, the members are told to add to it.
 */
export class SimpleTokens implements Tokens {
  readonly #ttlMs: number
  readonly #used = new Set<string>()
  #renewing = false

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs
  }

  async issue(node: KvNode, user: AuthUser): Promise<Result<string>> {
    const letters = Array.from({ length: LETTER_COUNT }, () => LETTERS[randomInt(LETTERS.length)]).join('')
    const issued = await node.request(
      metaRequest({
        kind: 'tokenIssue',
        user: user.name,
        hash: hashOf(letters),
        credentialRevision: user.credentialRevision,
        ...this.#times(),
      }),
    )
    if (!issued.ok) return issued
    const reply = decodeReply(issued.value.body)
    return reply.kind === 'tokenIssued' ? ok(`${letters}.${reply.index}`) : refuse('internal')
  }

  read(node: KvNode, token: string, state: AuthState): Promise<Result<string>> {
    const [, letters = '', index = ''] = FORM.exec(token) ?? []
    const hash = hashOf(letters)
    const known = state.tokens.get(hash)
    const now = Date.now()
    if (letters === '' || known === undefined || String(known.index) !== index || known.expires <= now)
      return Promise.resolve(refuse('authTokenInvalid'))
    if (known.expires - now < this.#ttlMs) this.#renew(node, hash)
    return Promise.resolve(ok(known.user))
  }

  /** A quarter more than the time to live, so that a token that is used need not be renewed at every use. */
  #times(): { now: number; expires: number } {
    const now = Date.now()
    return { now, expires: now + Math.ceil(this.#ttlMs * 1.25) }
  }

  #renew(node: KvNode, hash: string): void {
    if (this.#used.size < LIMITS.authTokensMax) this.#used.add(hash)
    if (this.#renewing) return
    this.#renewing = true
    // What else is used in this moment goes with it. If it fails, the next use tries again.
    setImmediate(() => {
      const hashes = [...this.#used]
      this.#used.clear()
      void node
        .request(metaRequest({ kind: 'tokenRenew', hashes, ...this.#times() }))
        .then(() => (this.#renewing = false))
    })
  }
}
