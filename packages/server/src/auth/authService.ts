import type { Authority, AuthState, KvNode, Result } from '@kvorum/model'
import { ok, refuse } from '@kvorum/model'
import { decide, rightsOf, type Requirement, type Rights } from '@kvorum/placement'
import type { CallMeta } from '../rpc/handler.js'
import { LoginBackoff } from './loginBackoff.js'
import { Passwords } from './passwords.js'
import type { Tokens } from './tokens.js'
import { UserShares } from './userShares.js'

/** Who calls, as the transport tells it. */
export type Caller = Pick<CallMeta, 'token' | 'certificateName'>

/** What a decision was made by. Authority is absent while authentication is off. */
export interface Decision {
  readonly authority: Authority | undefined
  readonly rights: Rights | null
}

/** How often open watches are compared with users and roles; a right that is gone ends them within twice this. */
const LOOK_MS = 300

export interface AuthLimits {
  readonly requestTimeoutMs: number
  readonly requestsPerUserMax: number
  readonly watchersPerUserMax: number
  readonly grantsPerUserMax: number
}

const OFF: Decision = { authority: undefined, rights: null }

/** Decides over requests, by the users and roles that this node knows; by fresh ones before it refuses. */
export class AuthService {
  readonly tokens: Tokens
  readonly passwords = new Passwords()
  readonly logins: LoginBackoff
  /** Unary requests under way, grants of leases among them, and open watches, of each user. */
  readonly requests: UserShares
  readonly grants: UserShares
  readonly watchers: UserShares
  readonly #barrierMs: number
  /** Of the fence in force; what roles add up to is worked out once for each user. */
  #rights: { readonly fence: number; readonly byName: Map<string, Rights | null> } = {
    fence: 0,
    byName: new Map(),
  }

  readonly #looks = new Set<() => void>()
  #timer: NodeJS.Timeout | null = null

  /** `now`: milliseconds of a clock that does not jump. */
  constructor(tokens: Tokens, limits: AuthLimits, now?: () => number) {
    this.tokens = tokens
    this.logins = new LoginBackoff(now)
    this.#barrierMs = limits.requestTimeoutMs
    this.requests = new UserShares(limits.requestsPerUserMax)
    this.grants = new UserShares(limits.grantsPerUserMax)
    this.watchers = new UserShares(limits.watchersPerUserMax)
  }

  /** Until the returned function is called. */
  everyNowAndThen(look: () => void): () => void {
    this.#looks.add(look)
    this.#timer ??= setInterval(() => {
      for (const each of this.#looks) each()
    }, LOOK_MS).unref()
    return () => {
      this.#looks.delete(look)
      if (this.#looks.size === 0) this.close()
    }
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** A change that was acknowledged anywhere is known here afterwards. */
  refresh(node: KvNode): Promise<Result<unknown>> {
    return node.request({ kind: 'barrier' }, { timeoutMs: this.#barrierMs })
  }

  async decide(node: KvNode, caller: Caller, requirement: Requirement): Promise<Result<Decision>> {
    const first = await this.#attempt(node, caller, requirement)
    if (first.ok) return first
    const fresh = await this.refresh(node)
    // By rights that may be old nobody is refused.
    return fresh.ok ? this.#attempt(node, caller, requirement) : fresh
  }

  async #attempt(node: KvNode, caller: Caller, requirement: Requirement): Promise<Result<Decision>> {
    const state = node.auth()
    if (state === null) return refuse('noLeader')
    if (!state.enabled) return ok(OFF)
    if (requirement.kind === 'nothing')
      return ok({ authority: { fence: state.fence, writable: null }, rights: null })
    const name = await this.nameOf(node, caller, state)
    if (!name.ok) return name
    if (name.value === '') return refuse('userNameEmpty')
    const rights = this.rights(state, name.value)
    const error = decide(rights, requirement)
    if (error !== null) return { ok: false, error }
    const narrow = requirement.kind === 'keys' && requirement.leases && rights !== null && !rights.root
    return ok({
      authority: { fence: state.fence, writable: narrow ? rights.writable : null },
      rights,
    })
  }

  /** '' where the caller names nobody. A token goes before a certificate. */
  async nameOf(node: KvNode, caller: Caller, state: AuthState): Promise<Result<string>> {
    if (caller.token !== '') return this.tokens.read(node, caller.token, state)
    return ok(caller.certificateName ?? '')
  }

  rights(state: AuthState, name: string): Rights | null {
    if (this.#rights.fence !== state.fence) this.#rights = { fence: state.fence, byName: new Map() }
    const known = this.#rights.byName.get(name)
    if (known !== undefined) return known
    const rights = rightsOf(state, name)
    // Names of nobody are not remembered: there is no end of them.
    if (rights !== null) this.#rights.byName.set(name, rights)
    return rights
  }
}
