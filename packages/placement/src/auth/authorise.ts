import { ALL_KEYS, pointRange, refuse, requestRange, unreachable } from '@kvorum/model'
import type { AuthState, AuthUser, KeyRange, KvError, Op, Permission } from '@kvorum/model'
import { ROOT } from './authState.js'
import { mergeRanges, setCovers } from './rangeSet.js'

/** What a request needs of whoever sends it. */
export type Requirement =
  /** Nothing: not even a name. */
  | { readonly kind: 'nothing' }
  /** To be a user that exists. */
  | { readonly kind: 'user' }
  /** The role root. */
  | { readonly kind: 'root' }
  /** To be this user, or the role root. */
  | { readonly kind: 'self'; readonly user: string }
  /** To have this role, or the role root. */
  | { readonly kind: 'role'; readonly role: string }
  | KeysRequirement

export interface KeysRequirement {
  readonly kind: 'keys'
  readonly reads: readonly KeyRange[]
  readonly writes: readonly KeyRange[]
  /** A lease is attached or ended: all its keys have to be writable, which the shard looks at. */
  readonly leases: boolean
}

/** What a user may do, all roles taken together. Ranges are merged. */
export interface Rights {
  readonly user: AuthUser
  readonly root: boolean
  readonly readable: readonly KeyRange[]
  readonly writable: readonly KeyRange[]
}

const EVERYTHING: readonly KeyRange[] = [ALL_KEYS]

/** Null: there is no such user. */
export function rightsOf(state: AuthState, name: string): Rights | null {
  const user = state.users.get(name)
  if (user === undefined) return null
  if (user.roles.includes(ROOT)) return { user, root: true, readable: EVERYTHING, writable: EVERYTHING }
  const permissions = user.roles.flatMap(role => state.roles.get(role)?.permissions ?? [])
  const ranges = (without: Permission['type']): KeyRange[] =>
    mergeRanges(
      permissions
        .filter(({ type }) => type !== without)
        .map(({ key, rangeEnd }) => requestRange(key, rangeEnd)),
    )
  return { user, root: false, readable: ranges('write'), writable: ranges('read') }
}

/**
 * The one decision: whether `user` (null: the request names nobody) may do what needs `requirement`. Null: yes.
 * While authentication is off everybody may do everything.
 */
export function authorise(state: AuthState, user: string | null, requirement: Requirement): KvError | null {
  if (!state.enabled || requirement.kind === 'nothing') return null
  if (user === null || user === '') return refuse('userNameEmpty').error
  return decide(rightsOf(state, user), requirement)
}

/** The same of a user whose rights are known already. */
export function decide(rights: Rights | null, requirement: Requirement): KvError | null {
  if (requirement.kind === 'nothing') return null
  return rights !== null && (rights.root || isAllowed(rights, requirement))
    ? null
    : refuse('permissionDenied').error
}

function isAllowed({ user, readable, writable }: Rights, requirement: Requirement): boolean {
  switch (requirement.kind) {
    case 'nothing':
    case 'user':
      return true
    case 'root':
      return false
    case 'self':
      return user.name === requirement.user
    case 'role':
      return user.roles.includes(requirement.role)
    case 'keys':
      return (
        requirement.reads.every(range => setCovers(readable, range)) &&
        requirement.writes.every(range => setCovers(writable, range))
      )
    default:
      return unreachable(requirement)
  }
}

/** What an operation needs: of a transaction, everything that any branch at any depth may look at or change. */
export function requirementOf(op: Op): KeysRequirement {
  const reads: KeyRange[] = []
  const writes: KeyRange[] = []
  const leases = collect(op, reads, writes)
  return { kind: 'keys', reads, writes, leases }
}

/** Whether a lease is attached anywhere in it. */
function collect(op: Op, reads: KeyRange[], writes: KeyRange[]): boolean {
  switch (op.kind) {
    case 'put': {
      const range = pointRange(op.key)
      writes.push(range)
      if (op.prevKv) reads.push(range)
      return op.lease !== 0n
    }
    case 'delete':
      writes.push(op.range)
      if (op.prevKv) reads.push(op.range)
      return false
    case 'range':
      reads.push(op.range)
      return false
    case 'txn': {
      for (const { range } of op.compares) reads.push(range)
      const nested = [...op.success, ...op.failure].map(each => collect(each, reads, writes))
      return nested.includes(true)
    }
    default:
      return unreachable(op)
  }
}
