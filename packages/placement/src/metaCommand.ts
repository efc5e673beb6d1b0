import {
  ByteReader,
  ByteWriter,
  MalformedError,
  nodeId,
  ok,
  unreachable,
  type NodeId,
  type Reply,
  type Result,
} from '@kvorum/model'
import { readTexts, writeTexts, type MetaState } from './metaState.js'

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

const META_COMMAND_FORMAT = 1
const KINDS = { announce: 1, setClusterVersion: 2 } as const

export function encodeMetaCommand(command: MetaCommand): Uint8Array {
  const out = new ByteWriter()
  out.u8(META_COMMAND_FORMAT).u8(KINDS[command.kind]).u8(0)
  switch (command.kind) {
    case 'announce':
      out.u64(command.node).text(command.name).text(command.serverVersion)
      writeTexts(out, command.clientUrls)
      break
    case 'setClusterVersion':
      out.text(command.version)
      break
    default:
      unreachable(command)
  }
  return out.finish()
}

export function decodeMetaCommand(bytes: Uint8Array): MetaCommand {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== META_COMMAND_FORMAT) throw new MalformedError(`meta command format ${format} is not known`)
  const kind = input.u8()
  const flags = input.u8()
  if (flags !== 0) throw new MalformedError(`meta command flags ${flags} are not known`)
  const command = readBody(kind, input)
  input.end()
  return command
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
    default:
      throw new MalformedError(`meta command kind ${kind} is not known`)
  }
}

/** Applies one command. An announcement of an unknown node changes nothing: it may have been removed meanwhile. */
export function applyMetaCommand(state: MetaState, command: MetaCommand): Result<Reply> {
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
    default:
      return unreachable(command)
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
