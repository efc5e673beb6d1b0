import type { GroupId } from '@kvorum/model'
import type { AuthCommand, MetaCommand } from '@kvorum/placement'
import { Switch } from './switch.js'
import { check } from './violation.js'

/** What a user may rely on about its writes in a group. */
export type Verdict = 'open' | 'shut' | 'unsettled'

export interface VerdictAt {
  readonly verdict: Verdict
  /** Of two equal ones, the verdict was the same all the time between. */
  readonly version: string
}

/**
 * I49: after a revocation is acknowledged, nothing that its user asks is carried out, in any shard, through any node;
 * after a grant is acknowledged, nothing of it is denied. I50: while NOSPACE is known to be up, nothing is written
 * that needs room. Fed with the meta group's log as it is first applied, and with what administrators were told.
 */
export class Access {
  readonly auth = new Switch()
  readonly noSpace = new Switch()
  readonly #roles = new Map<string, Switch>()
  readonly #permissions = new Map<string, Switch>()
  readonly #owners = new Map<string, { readonly user: string; readonly group: GroupId }>()

  /** That the user has its role. */
  role(user: string): Switch {
    return switchOf(this.#roles, user)
  }

  /** That the user's role may write the keys that begin with `prefix`. */
  permission(user: string, prefix: string): Switch {
    return switchOf(this.#permissions, `${user} ${prefix}`)
  }

  verdict(user: string, prefix: string): VerdictAt {
    const { auth } = this
    const needed = [this.role(user), this.permission(user, prefix)]
    const version = [auth, ...needed].map(one => one.version).join(' ')
    const isShut = auth.settled === true && needed.some(({ settled }) => settled === false)
    const isOpen = needed.every(({ settled }) => settled === true)
    return { verdict: isShut ? 'shut' : isOpen ? 'open' : 'unsettled', version }
  }

  /** An entry of the meta group was applied somewhere for the first time; whether it was refused is not asked. */
  metaApplied(command: MetaCommand): void {
    if (command.kind === 'auth') this.#authApplied(command.command)
    else if (command.kind === 'alarm' && command.alarm === 'noSpace') {
      this.noSpace.logged(command.change === 'raise')
    }
  }

  #authApplied(command: AuthCommand): void {
    switch (command.kind) {
      case 'enable':
      case 'disable':
        this.auth.logged(command.kind === 'enable')
        return
      case 'userGrantRole':
      case 'userRevokeRole':
        this.role(command.name).logged(command.kind === 'userGrantRole')
        return
      case 'roleGrant':
        this.permission(userOfRole(command.role), text(command.permission.key)).logged(true)
        return
      case 'roleRevoke':
        this.permission(userOfRole(command.role), text(command.key)).logged(false)
        return
      default:
    }
  }

  /** The unique value of a put that a user is about to send. */
  owns(value: string, user: string, group: GroupId): void {
    this.#owners.set(value, { user, group })
  }

  /** A put was carried out somewhere for the first time. */
  putApplied(value: string, prefix: (group: GroupId) => string): void {
    check(this.noSpace.settled !== true, 'I50', () => ({ value, applied: 'although NOSPACE is up' }))
    const owner = this.#owners.get(value)
    if (owner === undefined) return
    const { user, group } = owner
    const { verdict } = this.verdict(user, prefix(group))
    check(verdict !== 'shut', 'I49', () => ({ user, group, value, applied: 'after its right was revoked' }))
  }
}

/** Every user has a role of its own. */
export const roleOfUser = (user: string): string => `role of ${user}`
const userOfRole = (role: string): string => role.slice('role of '.length)

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

function switchOf(all: Map<string, Switch>, name: string): Switch {
  let found = all.get(name)
  if (found === undefined) all.set(name, (found = new Switch()))
  return found
}
