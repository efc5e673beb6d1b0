import { ByteWriter, MalformedError, unreachable, type ByteReader, type Permission } from '@kvorum/model'
import { readMany, readPermission, readTokenHash, writePermission, writeTokenHash } from './authState.js'

/** What changes users, roles and tokens. Passwords come as hashes, and so do tokens. */
export type AuthCommand =
  | { readonly kind: 'enable' }
  | { readonly kind: 'disable' }
  /** An empty password: none opens this user. */
  | { readonly kind: 'userAdd'; readonly name: string; readonly password: Uint8Array }
  | { readonly kind: 'userDelete'; readonly name: string }
  | { readonly kind: 'userChangePassword'; readonly name: string; readonly password: Uint8Array }
  | { readonly kind: 'userGrantRole'; readonly name: string; readonly role: string }
  | { readonly kind: 'userRevokeRole'; readonly name: string; readonly role: string }
  | { readonly kind: 'roleAdd'; readonly role: string }
  | { readonly kind: 'roleDelete'; readonly role: string }
  | { readonly kind: 'roleGrant'; readonly role: string; readonly permission: Permission }
  | {
      readonly kind: 'roleRevoke'
      readonly role: string
      readonly key: Uint8Array
      readonly rangeEnd: Uint8Array
    }
  /** The password that was right is the one of `credentialRevision`. Times are wall-clock milliseconds of the proposer. */
  | {
      readonly kind: 'tokenIssue'
      readonly user: string
      readonly hash: string
      readonly credentialRevision: number
      readonly now: number
      readonly expires: number
    }
  /** Tokens that were used: they are good for longer. */
  | {
      readonly kind: 'tokenRenew'
      readonly hashes: readonly string[]
      readonly now: number
      readonly expires: number
    }

/** Numbers on disk; none is used twice. */
const KINDS = {
  enable: 1,
  disable: 2,
  userAdd: 3,
  userDelete: 4,
  userChangePassword: 5,
  userGrantRole: 6,
  userRevokeRole: 7,
  roleAdd: 8,
  roleDelete: 9,
  roleGrant: 10,
  roleRevoke: 11,
  tokenIssue: 12,
  tokenRenew: 13,
} as const

export function writeAuthCommand(out: ByteWriter, command: AuthCommand): void {
  out.u8(KINDS[command.kind])
  switch (command.kind) {
    case 'enable':
    case 'disable':
      return
    case 'userAdd':
    case 'userChangePassword':
      out.text(command.name).bytes(command.password)
      return
    case 'userDelete':
      out.text(command.name)
      return
    case 'userGrantRole':
    case 'userRevokeRole':
      out.text(command.name).text(command.role)
      return
    case 'roleAdd':
    case 'roleDelete':
      out.text(command.role)
      return
    case 'roleGrant':
      out.text(command.role)
      writePermission(out, command.permission)
      return
    case 'roleRevoke':
      out.text(command.role).bytes(command.key).bytes(command.rangeEnd)
      return
    case 'tokenIssue':
      out.text(command.user)
      writeTokenHash(out, command.hash)
      out.varint(command.credentialRevision).varint(command.now).varint(command.expires)
      return
    case 'tokenRenew':
      out.varint(command.hashes.length)
      for (const hash of command.hashes) writeTokenHash(out, hash)
      out.varint(command.now).varint(command.expires)
      return
    default:
      unreachable(command)
  }
}

export function readAuthCommand(input: ByteReader): AuthCommand {
  const number = input.u8()
  switch (number) {
    case KINDS.enable:
      return { kind: 'enable' }
    case KINDS.disable:
      return { kind: 'disable' }
    case KINDS.userAdd:
      return { kind: 'userAdd', name: input.text(), password: Buffer.from(input.bytes()) }
    case KINDS.userDelete:
      return { kind: 'userDelete', name: input.text() }
    case KINDS.userChangePassword:
      return { kind: 'userChangePassword', name: input.text(), password: Buffer.from(input.bytes()) }
    case KINDS.userGrantRole:
      return { kind: 'userGrantRole', name: input.text(), role: input.text() }
    case KINDS.userRevokeRole:
      return { kind: 'userRevokeRole', name: input.text(), role: input.text() }
    case KINDS.roleAdd:
      return { kind: 'roleAdd', role: input.text() }
    case KINDS.roleDelete:
      return { kind: 'roleDelete', role: input.text() }
    case KINDS.roleGrant:
      return { kind: 'roleGrant', role: input.text(), permission: readPermission(input) }
    case KINDS.roleRevoke:
      return { kind: 'roleRevoke', role: input.text(), key: input.bytes(), rangeEnd: input.bytes() }
    default:
      return readTokenCommand(number, input)
  }
}

function readTokenCommand(number: number, input: ByteReader): AuthCommand {
  switch (number) {
    case KINDS.tokenIssue:
      return {
        kind: 'tokenIssue',
        user: input.text(),
        hash: readTokenHash(input),
        credentialRevision: input.varint(),
        now: input.varint(),
        expires: input.varint(),
      }
    case KINDS.tokenRenew:
      return {
        kind: 'tokenRenew',
        hashes: readMany(input, () => readTokenHash(input)),
        now: input.varint(),
        expires: input.varint(),
      }
    default:
      throw new MalformedError(`auth command ${number} is not known`)
  }
}
