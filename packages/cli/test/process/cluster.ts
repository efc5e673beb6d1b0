import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { ServerProcess, type ServerPlan } from './serverProcess.js'
import { reservePort } from './reservedPorts.js'
import { until } from './until.js'

const HOST = '127.0.0.1'
const TAIL_LINES = 40

export interface ClusterOptions {
  readonly nodes?: number
  /** Given to every server. */
  readonly flags?: readonly string[]
  /** Flags that name certificates: members then speak TLS, and clients can, on an address beside the plain one. */
  readonly tls?: readonly string[]
  /** Where one server's data goes; `directory` is the cluster's own. */
  readonly dataDir?: (directory: string, name: string) => string
  /** Called when no server runs any more, before the directory is removed. */
  readonly ended?: () => void
}

/** Server processes on free ports of the loopback. Whatever happens in the test, none of them outlives it. */
export class Cluster {
  /** Temporary, and gone with the test. */
  readonly directory: string
  readonly nodes: ServerProcess[]
  readonly #siblings: ServerProcess[] = []

  private constructor(directory: string, nodes: ServerProcess[]) {
    this.directory = directory
    this.nodes = nodes
  }

  /** Not started yet. */
  static async create(t: Test, options: ClusterOptions = {}): Promise<Cluster> {
    const directory = mkdtempSync(join(tmpdir(), 'kvorum-process-'))
    const plans = await planServers(directory, options)
    const cluster = new Cluster(
      directory,
      plans.map(plan => new ServerProcess(plan)),
    )
    t.teardown(() => cluster.#close(t, options.ended))
    return cluster
  }

  static async start(t: Test, options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = await Cluster.create(t, options)
    for (const node of cluster.nodes) node.start()
    await cluster.healthy()
    return cluster
  }

  get endpoints(): string[] {
    return this.nodes.map(node => node.plan.clientUrl)
  }

  async healthy(nodes = this.nodes): Promise<void> {
    for (const node of nodes) await node.healthy()
  }

  /** The node that calls itself leader in the newest term that any of `among` knows. */
  leader(among = this.nodes): Promise<ServerProcess> {
    return until('a leader', async () => {
      const views = await Promise.all(among.map(async node => ({ node, status: await node.status() })))
      const newest = Math.max(...views.map(({ status }) => status?.term ?? 0))
      const leads = views.find(
        ({ status }) => status !== null && status.term === newest && status.leader === status.member,
      )
      return leads?.node ?? null
    })
  }

  others(than: ServerProcess): ServerProcess[] {
    return this.nodes.filter(node => node !== than)
  }

  /**
   * A server that takes itself for `node`, with data and ports of its own. Flags given here win.
   */
  async sibling(node: ServerProcess, name: string, flags: readonly string[]): Promise<ServerProcess> {
    const [clientPort, peerPort] = await freePorts(2)
    const clientUrl = `http://${HOST}:${clientPort}`
    const dataDir = join(this.directory, name)
    const own = node.plan.flags.find(flag => flag.startsWith('--initial-cluster='))!.split(/[=,]/)
    const peerUrl = own[own.indexOf(node.plan.name) + 1]!
    const changed = new Map(
      [
        ...node.plan.flags,
        `--data-dir=${dataDir}`,
        `--listen-client-urls=${clientUrl}`,
        `--listen-peer-urls=http://${HOST}:${peerPort}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        ...flags,
      ].map(flag => [flag.slice(0, flag.indexOf('=')), flag] as const),
    )
    const logFile = join(this.directory, `${name}.log`)
    const sibling = new ServerProcess({
      name,
      clientUrl,
      secureUrl: null,
      dataDir,
      logFile,
      flags: [...changed.values()],
    })
    this.#siblings.push(sibling)
    return sibling
  }

  /** These servers alone, for what is to hold of them; they end with the whole. */
  among(nodes: readonly ServerProcess[]): Cluster {
    return new Cluster(this.directory, [...nodes])
  }

  /**
   * A server that is to join: an empty directory, addresses of its own unless it has `node`'s, and the flags that
   * `member add` tells. Not started, and not yet one of `nodes`.
   */
  async newcomer(
    name: string,
    node: ServerProcess | null = null,
    more: readonly string[] = [],
  ): Promise<Newcomer> {
    const [clientPort, freePort] = await freePorts(2)
    const clientUrl = node?.plan.clientUrl ?? `http://${HOST}:${clientPort}`
    const peerUrl = node === null ? `http://${HOST}:${freePort}` : peerUrlOf(node)
    const dataDir = join(this.directory, name)
    const initial = [
      ...this.nodes.filter(other => other !== node).map(other => `${other.plan.name}=${peerUrlOf(other)}`),
      `${name}=${peerUrl}`,
    ]
    const flags = [
      `--name=${name}`,
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-cluster=${initial.join()}`,
      '--initial-cluster-state=existing',
      '--heartbeat-interval=50',
      '--election-timeout=500',
      ...more,
    ]
    const logFile = join(this.directory, `${name}.log`)
    const server = new ServerProcess({ name, clientUrl, secureUrl: null, dataDir, logFile, flags })
    this.#siblings.push(server)
    return { server, peerUrl }
  }

  async #close(t: Test, ended: (() => void) | undefined): Promise<void> {
    const processes = [...new Set([...this.nodes, ...this.#siblings])]
    await Promise.all(processes.map(node => node.stop('SIGKILL')))
    const surprises = processes.flatMap(({ plan, surprises: ends }) =>
      ends.map(end => `${plan.name}: ${end}`),
    )
    if (!t.passing() || surprises.length > 0) {
      for (const { plan, log } of processes) {
        const tail = log.trimEnd().split('\n').slice(-TAIL_LINES).join('\n')
        process.stderr.write(`--- ${t.name}: ${plan.name} said at last\n${tail}\n`)
      }
    }
    ended?.()
    rmSync(this.directory, { recursive: true, force: true })
    if (surprises.length > 0) throw new Error(`servers ended by themselves: ${surprises.join(', ')}`)
  }
}

export interface Newcomer {
  readonly server: ServerProcess
  readonly peerUrl: string
}

export const peerUrlOf = ({ plan }: ServerProcess): string =>
  plan.flags.find(flag => flag.startsWith('--listen-peer-urls='))!.split('=')[1]!

export async function planServers(directory: string, options: ClusterOptions): Promise<ServerPlan[]> {
  const names = Array.from({ length: options.nodes ?? 3 }, (_, i) => `n${i + 1}`)
  const ports = await freePorts(names.length * 3)
  const scheme = options.tls === undefined ? 'http' : 'https'
  const peerUrl = (at: number): string => `${scheme}://${HOST}:${ports[3 * at + 1]!}`
  const initial = names.map((name, at) => `${name}=${peerUrl(at)}`).join()
  return names.map((name, at) => {
    const clientUrl = `http://${HOST}:${ports[3 * at]!}`
    const secureUrl = options.tls === undefined ? null : `https://${HOST}:${ports[3 * at + 2]!}`
    const dataDir = options.dataDir?.(directory, name) ?? join(directory, name)
    const flags = [
      `--name=${name}`,
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${[clientUrl, ...(secureUrl === null ? [] : [secureUrl])].join()}`,
      `--listen-peer-urls=${peerUrl(at)}`,
      `--initial-cluster=${initial}`,
      `--initial-cluster-token=${directory}`,
      '--heartbeat-interval=50',
      '--election-timeout=500',
      ...(options.tls ?? []),
      ...(options.flags ?? []),
    ]
    return { name, clientUrl, secureUrl, dataDir, logFile: join(directory, `${name}.log`), flags }
  })
}

/**
 * Below the range from which connections take their ports: there, a port of a server that is down for a moment
 * could be somebody's by the time it is up again.
 */
const PORT_LOW = 20_000
const PORT_HIGH = 32_000

export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  while (found.size < count) {
    const port = PORT_LOW + Math.floor(Math.random() * (PORT_HIGH - PORT_LOW))
    if (reservePort(port) && (await isFree(port))) found.add(port)
  }
  return [...found]
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: HOST }, () => server.close(() => resolve(true)))
  })
}
