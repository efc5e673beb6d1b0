import { join } from 'node:path'
import { accepted, rejected, type Parsed } from '../parsed.js'

/** How a development cluster is laid out; kept in its directory, because its data only fits this layout. */
export interface Shape {
  readonly nodes: number
  /** Client port of the first node; all others follow from it. */
  readonly portBase: number
  /** How the cluster began, as --replicas and --initial-split-keys say it; absent: one shard, on every node. */
  readonly replicas?: number
  readonly splitKeys?: string
}

/** What was asked for; null: nothing. */
export interface AskedShape {
  readonly nodes: number | null
  readonly portBase: number | null
  readonly replicas?: number | null
  readonly splitKeys?: string | null
}

export const DEFAULT_SHAPE: Shape = { nodes: 3, portBase: 2379 }
export const NODES_MAX = 7

export interface NodePlan {
  readonly name: string
  readonly clientPort: number
  readonly peerPort: number
  readonly dataDir: string
  readonly logFile: string
  /** Arguments of the command that runs it. */
  readonly argv: readonly string[]
  /** Those of them that are the user's. */
  readonly extra: readonly string[]
}

/**
 * Added to the first client port. The first five are the ones that etcd's own example cluster uses (2379,
 * 22379, 32379, ...); the seventh takes the ten thousands that this leaves free.
 */
const PORT_OFFSETS = [0, 20_000, 30_000, 40_000, 50_000, 60_000, 10_000] as const
const PORT_MAX = 65_535

export const HOST = '127.0.0.1'

/** `extra`: arguments handed to every server as they are. */
export function planCluster(shape: Shape, directory: string, extra: readonly string[]): Parsed<NodePlan[]> {
  const names = Array.from({ length: shape.nodes }, (_, i) => `node-${i + 1}`)
  const ports = PORT_OFFSETS.slice(0, shape.nodes).map(offset => shape.portBase + offset)
  const highest = Math.max(...ports) + 1
  if (highest > PORT_MAX)
    return rejected(`--port-base ${shape.portBase} would need port ${highest}, and ports end at ${PORT_MAX}`)
  const flags = [...shardArguments(shape), ...extra]
  const cluster = names.map((name, i) => `${name}=${url(ports[i]! + 1)}`).join(',')
  return accepted(
    names.map((name, i) => {
      const dataDir = join(directory, name)
      return {
        name,
        clientPort: ports[i]!,
        peerPort: ports[i]! + 1,
        dataDir,
        logFile: join(directory, `${name}.log`),
        argv: [...serverArguments(name, dataDir, ports[i]!, cluster), ...flags],
        extra: flags,
      }
    }),
  )
}

const url = (port: number): string => `http://${HOST}:${port}`

function serverArguments(name: string, dataDir: string, clientPort: number, cluster: string): string[] {
  const flags = {
    name,
    'data-dir': dataDir,
    'listen-client-urls': url(clientPort),
    'advertise-client-urls': url(clientPort),
    'listen-peer-urls': url(clientPort + 1),
    'initial-advertise-peer-urls': url(clientPort + 1),
    'initial-cluster': cluster,
    'initial-cluster-state': 'new',
    'initial-cluster-token': 'kvorum-dev',
  }
  return ['server', ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)]
}

const shardArguments = ({ replicas, splitKeys }: Shape): string[] => [
  ...(replicas === undefined ? [] : [`--replicas=${replicas}`]),
  ...(splitKeys === undefined ? [] : [`--initial-split-keys=${splitKeys}`]),
]

/** The shape to start with: what was asked for, what the directory holds, or the default; never a mixture. */
export function chooseShape(stored: Shape | null, asked: AskedShape, directory: string): Parsed<Shape> {
  const replicas = asked.replicas ?? stored?.replicas
  const splitKeys = asked.splitKeys ?? stored?.splitKeys
  const wanted: Shape = {
    nodes: asked.nodes ?? stored?.nodes ?? DEFAULT_SHAPE.nodes,
    portBase: asked.portBase ?? stored?.portBase ?? DEFAULT_SHAPE.portBase,
    ...(replicas === undefined ? {} : { replicas }),
    ...(splitKeys === undefined ? {} : { splitKeys }),
  }
  if (stored === null || isSame(wanted, stored)) return accepted(wanted)
  const began = shardArguments(stored)
  return rejected(
    `${directory} holds a cluster of ${stored.nodes} nodes from port ${stored.portBase} on` +
      `${began.length === 0 ? '' : `, begun with ${began.join(' ')}`}; ` +
      `start it as it is, delete it with --fresh, or choose another --data-dir`,
  )
}

const isSame = (a: Shape, b: Shape): boolean =>
  a.nodes === b.nodes && a.portBase === b.portBase && shardArguments(a).join() === shardArguments(b).join()
