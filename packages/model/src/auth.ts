import type { KeyRange } from './range.js'

/**
 * Users, roles and tokens as the meta group's log knows them. The records are values: a change makes new ones, so
 * whoever holds one holds a moment.
 */
export interface AuthState {
  readonly enabled: boolean
  /** What clients see: grows with every change of users and roles, and when authentication is switched off. */
  readonly revision: number
  /**
   * What requests are stamped with: grows whenever the same request of the same user could be decided differently,
   * that is with every change while authentication is on, and when it is switched. 0: it never was on.
   */
  readonly fence: number
  readonly users: ReadonlyMap<string, AuthUser>
  readonly roles: ReadonlyMap<string, AuthRole>
  /** By the SHA-256 of the token's secret part, in hexadecimal. The secrets themselves are nowhere. */
  readonly tokens: ReadonlyMap<string, IssuedToken>
}

export interface AuthUser {
  readonly name: string
  /** A salted hash with its parameters, opaque here; empty: no password opens this user. */
  readonly password: Uint8Array
  /** Sorted. */
  readonly roles: readonly string[]
  /** The revision that made the user or last changed its password: what was opened before it is no longer theirs. */
  readonly credentialRevision: number
}

export interface AuthRole {
  readonly name: string
  /** Sorted by key, then by end. */
  readonly permissions: readonly Permission[]
}

export type PermissionType = 'read' | 'write' | 'readwrite'

/** Written as in requests: no end is the single key, an end of one zero byte is "from the key on". */
export interface Permission {
  readonly type: PermissionType
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
}

export interface IssuedToken {
  readonly user: string
  /** Of the log entry that issued it; the visible part of the token. */
  readonly index: number
  /** Wall-clock milliseconds after which it is no longer good. */
  readonly expires: number
}

/** By what a request was allowed; travels with it, so that whoever carries it out can tell whether that still holds. */
export interface Authority {
  /** The `fence` of the state that allowed it; TRUSTED for what a node does on its own account. */
  readonly fence: number
  /**
   * Where the user may write: for commands that touch keys by their lease, which only the shard can name. Null: no
   * such keys are concerned, or the user may write everywhere.
   */
  readonly writable: readonly KeyRange[] | null
}

/** Above every fence. */
export const TRUSTED: Authority = { fence: Number.MAX_SAFE_INTEGER, writable: null }

/** What a shard knows of the last change: who was allowed by anything older has to be asked again. */
export interface AuthFence {
  readonly revision: number
  readonly enabled: boolean
}

export const NO_FENCE: AuthFence = { revision: 0, enabled: false }

/** Whether a request allowed at `revision` (null: authentication was off) may still be carried out. */
export const passesFence = (fence: AuthFence, revision: number | null): boolean =>
  revision === null ? !fence.enabled : revision >= fence.revision
