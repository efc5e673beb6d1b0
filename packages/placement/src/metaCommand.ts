import {
  ALARM_KINDS,
  alarmKind,
  ByteReader,
  ByteWriter,
  groupId,
  incarnation,
  MalformedError,
  META_GROUP,
  nodeId,
  ok,
  refuse,
  unreachable,
  type MemberAlarm,
  type NodeId,
  type Reply,
  type Result,
  type Revision,
} from '@kvorum/model'
import { applyAuthCommand } from './auth/applyAuth.js'
import { readAuthCommand, writeAuthCommand, type AuthCommand } from './auth/authCommand.js'
import { applyMemberCommand, type MemberCommand } from './members.js'
import { changeAlarm } from './alarms.js'
import { applyHoldCommand, type HoldCommand } from './heldLeaders.js'
import { applyShardCommand, type ShardCommandOfMeta } from './shardOperations.js'
import { readTexts, writeTexts, type MetaState } from './metaState.js'
import { applyPlaceCommand, readNodes, writeNodes, type PlaceCommand } from './placing.js'

/** What the meta group's log can hold. Format, kind and flags as for a shard's commands. */
export type MetaCommand =
  /** A node tells its name, client URLs and version; proposed at every start until the state says so. */
  | {
      readonly kind: 'announce'
      readonly node: NodeId
      readonly name: string
      readonly clientUrls: readonly string[]
      readonly serverVersion: string
    }
  /** The least version of all nodes; never goes down. */
  | { readonly kind: 'setClusterVersion'; readonly version: string }
  /** A change of users, roles or tokens. */
  | { readonly kind: 'auth'; readonly command: AuthCommand }
  | MemberCommand
  | ShardCommandOfMeta
  | PlaceCommand
  | HoldCommand
  | ({ readonly kind: 'alarm'; readonly change: 'raise' | 'clear' } & MemberAlarm)
  /** What the oracle may hand out; the first one begins it. Never goes down. */
  | { readonly kind: 'raiseCeiling'; readonly ceiling: Revision }
  /** The history before `revision` goes, in every shard. */
  | { readonly kind: 'compact'; readonly revision: Revision }

const META_COMMAND_FORMAT = 1
const KINDS = {
  announce: 1,
  setClusterVersion: 2,
  auth: 10,
  addMember: 16,
  removeMember: 17,
  updateMember: 18,
  promoteMember: 19,
  bindMember: 20,
  alarm: 30,
  raiseCeiling: 31,
  compact: 32,
  splitShard: 40,
  finishSplit: 41,
  abandonSplit: 42,
  placeShard: 48,
  shardPlaced: 49,
  drainNode: 50,
  holdLeader: 51,
} as const
/** Behind the flags: the fence of the users and roles by which the command was allowed. */
const FLAG_AUTH = 1

/** `authRevision`: by what it was allowed; null: authentication was off, or a node acts on its own account. */
export function encodeMetaCommand(command: MetaCommand, authRevision: number | null = null): Uint8Array {
  const out = new ByteWriter()
  out.u8(META_COMMAND_FORMAT).u8(KINDS[command.kind])
  writeFlags(out, authRevision)
  switch (command.kind) {
    case 'announce':
      out.u64(command.node).text(command.name).text(command.serverVersion)
      writeTexts(out, command.clientUrls)
      break
    case 'setClusterVersion':
      out.text(command.version)
      break
    case 'auth':
      writeAuthCommand(out, command.command)
      break
    case 'addMember':
      out.u64(command.node).bool(command.learner).bool(command.strict)
      writeTexts(out, command.peerUrls)
      break
    case 'removeMember':
    case 'promoteMember':
      out.u64(command.node).bool(command.strict)
      break
    case 'updateMember':
      out.u64(command.node)
      writeTexts(out, command.peerUrls)
      break
    case 'bindMember':
      out.u64(command.node).u64(command.incarnation)
      break
    case 'alarm':
      out
        .bool(command.change === 'raise')
        .u64(command.member)
        .u8(ALARM_KINDS.indexOf(command.alarm))
      break
    case 'splitShard':
      out.varint(command.group ?? META_GROUP).bytes(command.at)
      break
    case 'finishSplit':
    case 'abandonSplit':
      out.varint(command.right)
      break
    case 'raiseCeiling':
      out.varint(command.ceiling)
      break
    case 'compact':
      out.varint(command.revision)
      break
    case 'placeShard':
      out.varint(command.group).bool(command.override)
      writeNodes(out, command.before)
      writeNodes(out, command.nodes)
      break
    case 'shardPlaced':
      out.varint(command.group).varint(command.index)
      writeNodes(out, command.nodes)
      break
    case 'drainNode':
      out.u64(command.node).bool(command.drain)
      break
    case 'holdLeader':
      out.varint(command.group).u64(command.node).bool(command.hold)
      break
    default:
      unreachable(command)
  }
  return out.finish()
}

function writeFlags(out: ByteWriter, authRevision: number | null): void {
  out.u8(authRevision === null ? 0 : FLAG_AUTH)
  if (authRevision !== null) out.varint(authRevision)
}

export function decodeMetaCommand(bytes: Uint8Array): MetaCommand {
  const input = new ByteReader(bytes)
  const { kind } = readStart(input)
  const command = readBody(kind, input)
  input.end()
  return command
}

/** By what it was allowed, without looking at the command. */
export const metaAuthRevision = (bytes: Uint8Array): number | null =>
  readStart(new ByteReader(bytes)).authRevision

/** The same command, allowed by something else. */
export function withMetaAuthRevision(bytes: Uint8Array, authRevision: number): Uint8Array {
  const input = new ByteReader(bytes)
  const { kind } = readStart(input)
  const out = new ByteWriter()
  out.u8(META_COMMAND_FORMAT).u8(kind)
  writeFlags(out, authRevision)
  return out.raw(bytes.subarray(bytes.length - input.remaining)).finish()
}

function readStart(input: ByteReader): { kind: number; authRevision: number | null } {
  const format = input.u8()
  if (format !== META_COMMAND_FORMAT) throw new MalformedError(`meta command format ${format} is not known`)
  const kind = input.u8()
  const flags = input.u8()
  if ((flags & ~FLAG_AUTH) !== 0) throw new MalformedError(`meta command flags ${flags} are not known`)
  return { kind, authRevision: flags & FLAG_AUTH ? input.varint() : null }
}

function readBody(kind: number, input: ByteReader): MetaCommand {
  switch (kind) {
    case KINDS.announce: {
      const node = nodeId(input.u64())
      const name = input.text()
      const serverVersion = input.text()
      return { kind: 'announce', node, name, serverVersion, clientUrls: readTexts(input) }
    }
    case KINDS.setClusterVersion:
      return { kind: 'setClusterVersion', version: input.text() }
    case KINDS.auth:
      return { kind: 'auth', command: readAuthCommand(input) }
    case KINDS.addMember: {
      const node = nodeId(input.u64())
      const learner = input.bool()
      const strict = input.bool()
      return { kind: 'addMember', node, learner, strict, peerUrls: readTexts(input) }
    }
    case KINDS.removeMember:
      return { kind: 'removeMember', node: nodeId(input.u64()), strict: input.bool() }
    case KINDS.promoteMember:
      return { kind: 'promoteMember', node: nodeId(input.u64()), strict: input.bool() }
    case KINDS.updateMember:
      return { kind: 'updateMember', node: nodeId(input.u64()), peerUrls: readTexts(input) }
    case KINDS.bindMember:
      return { kind: 'bindMember', node: nodeId(input.u64()), incarnation: incarnation(input.u64()) }
    case KINDS.alarm: {
      const change = input.bool() ? 'raise' : 'clear'
      const member = nodeId(input.u64())
      return { kind: 'alarm', change, member, alarm: alarmKind(input.u8()) }
    }
    case KINDS.splitShard: {
      const group = input.varint()
      return { kind: 'splitShard', group: group === META_GROUP ? null : groupId(group), at: input.bytes() }
    }
    case KINDS.finishSplit:
      return { kind: 'finishSplit', right: groupId(input.varint()) }
    case KINDS.abandonSplit:
      return { kind: 'abandonSplit', right: groupId(input.varint()) }
    case KINDS.raiseCeiling:
      return { kind: 'raiseCeiling', ceiling: input.varint() }
    case KINDS.compact:
      return { kind: 'compact', revision: input.varint() }
    case KINDS.placeShard: {
      const group = groupId(input.varint())
      const override = input.bool()
      return { kind: 'placeShard', group, override, before: readNodes(input), nodes: readNodes(input) }
    }
    case KINDS.shardPlaced: {
      const group = groupId(input.varint())
      const index = input.varint()
      return { kind: 'shardPlaced', group, index, nodes: readNodes(input) }
    }
    case KINDS.drainNode:
      return { kind: 'drainNode', node: nodeId(input.u64()), drain: input.bool() }
    case KINDS.holdLeader: {
      const group = groupId(input.varint())
      return { kind: 'holdLeader', group, node: nodeId(input.u64()), hold: input.bool() }
    }
    default:
      throw new MalformedError(`meta command kind ${kind} is not known`)
  }
}

/** What nodes say on their own account, and no client can. */
const OWN_COMMANDS: ReadonlySet<MetaCommand['kind']> = new Set([
  'announce',
  'setClusterVersion',
  'bindMember',
  'finishSplit',
  'abandonSplit',
  'raiseCeiling',
  'shardPlaced',
])

/** The balancer's moves are a node's own, only they override; and so is the end of what was placed by hand. */
const isOwn = (command: MetaCommand): boolean =>
  OWN_COMMANDS.has(command.kind) ||
  (command.kind === 'placeShard' && command.override) ||
  (command.kind === 'holdLeader' && !command.hold)

/** Applies one command. An announcement of an unknown node changes nothing: it may have been removed meanwhile. */
export function applyMetaCommand(
  state: MetaState,
  command: MetaCommand,
  authRevision: number | null = null,
): Result<Reply> {
  // What a node says about itself is bound to no user; what an administrator wants is decided by the newest roles.
  const needed = authRevision ?? (isOwn(command) ? Infinity : 0)
  if (needed < state.auth.fence && (state.auth.enabled || authRevision !== null))
    return refuse('authOutdated')
  switch (command.kind) {
    case 'announce':
      state.nodes = state.nodes.map(node =>
        node.id === command.node
          ? {
              ...node,
              name: command.name,
              clientUrls: command.clientUrls,
              serverVersion: command.serverVersion,
            }
          : node,
      )
      return DONE
    case 'setClusterVersion':
      if (compareVersions(command.version, state.clusterVersion) > 0) state.clusterVersion = command.version
      return DONE
    case 'alarm':
      return changeAlarm(state, command.change, { member: command.member, alarm: command.alarm })
    case 'raiseCeiling':
      state.ceiling = Math.max(command.ceiling, state.ceiling ?? 0)
      return DONE
    case 'compact':
      if (command.revision <= state.compacted)
        return refuse('compacted', { compactRevision: state.compacted })
      state.compacted = command.revision
      return DONE
    case 'auth': {
      const outcome = applyAuthCommand(state.auth, command.command, state.applied)
      if (!outcome.ok) return outcome
      state.auth = outcome.value.state
      return ok(outcome.value.reply)
    }
    case 'splitShard':
    case 'finishSplit':
    case 'abandonSplit':
      return applyShardCommand(state, command)
    case 'placeShard':
    case 'shardPlaced':
    case 'drainNode':
      return applyPlaceCommand(state, command)
    case 'holdLeader':
      return applyHoldCommand(state, command)
    default:
      return applyMemberCommand(state, command)
  }
}

const DONE = ok<Reply>({ kind: 'done' })

/** Order of `X.Y.Z` versions; the empty string, and what is no version, is before all. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [versionParts(a), versionParts(b)]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

const versionParts = (version: string): number[] =>
  /^\d{1,9}(\.\d{1,9})*$/.test(version) ? version.split('.').map(Number) : [-1]

/**
 * What the cluster version should be: the least minor version (`X.Y.0`) of all nodes, once all have announced
 * one. Null before that, and while one of them cannot be read.
 */
export function clusterVersionOf(state: MetaState): string | null {
  let least: string | null = null
  for (const node of state.nodes) {
    const minor = /^\d{1,9}\.\d{1,9}(?=\.|$)/.exec(node.serverVersion)?.[0]
    if (minor === undefined) return null
    const version = `${minor}.0`
    if (least === null || compareVersions(version, least) < 0) least = version
  }
  return least
}
