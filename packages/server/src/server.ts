import type { AddressInfo, Socket } from 'node:net'
import { Registry } from 'prom-client'
import type { KvNode } from '@kvorum/model'
import { openUsers } from './auth/setup.js'
import type { ServerConfig } from './config/config.js'
import type { Endpoint } from './config/urls.js'
import { prepareDataDirectory } from './dataDirectory.js'
import { closeEdge, createEdge, edgeLimits, type Edge } from './edge/edge.js'
import { ClientPort, PORT_DEFAULTS, type PortOptions, type PortTargets } from './edge/port.js'
import { createGrpc, type GrpcFront } from './grpc/server.js'
import { createHttp, createMetricsHttp, type HttpFront } from './http/server.js'
import type { Logger } from './logging.js'
import { createDiskTimes } from './metrics/disk.js'
import { setUpTls, type TlsSetup } from './tls/setup.js'
import { nodeSetup, StartError, type CreateNode, type NodeSetup } from './wiring.js'

/**
 * One server: a node and the edges over it.
 *
 *   sockets -> port -> grpc | http -> call rings -> handlers -> node
 */
export interface RunningServer {
  /** Where it listens: --listen-client-urls, then --listen-client-http-urls, then --listen-metrics-urls. */
  readonly addresses: readonly AddressInfo[]
  readonly node: KvNode
  /** Finishes what is under way, hands leaderships over, closes. The same promise however often it is called. */
  stop(): Promise<void>
}

export interface ServerParts {
  readonly createNode: CreateNode
  readonly logger: Logger
  readonly fatal: (reason: string) => void
  readonly port?: Partial<PortOptions>
  /** How long connections may take to end once the node has stopped. */
  readonly graceMs?: number
}

const GRACE_MS = 1000

/** Rejects with a StartError where the reason is one an operator can do something about. */
export async function startServer(config: ServerConfig, parts: ServerParts): Promise<RunningServer> {
  const { logger } = parts
  const directory = prepareDataDirectory(config.dataDir)
  if (!directory.ok) throw new StartError(directory.reason)
  for (const warning of directory.value) logger.warn({}, warning)
  const secured = await setUpTls(config, logger)
  if (!secured.ok) throw new StartError(secured.reason)
  const tls = secured.value
  const users = await openUsers(config, logger).catch((error: unknown) => {
    tls.close()
    throw error
  })
  const registry = new Registry()
  const setup = nodeSetup(config, logger, parts.fatal, tls.peers, createDiskTimes(registry))
  const node = await createNode(parts, setup, tls)
  const edge = createEdge(
    node,
    edgeLimits(config),
    logger,
    config.electionTimeoutMs,
    config.dataDir,
    tls.status,
    users,
    registry,
  )
  const grpc = createGrpc(edge, { ...config, namesUsers: tls.namesUsers })
  const http = await createHttp(edge, config)
  const metrics = await createMetricsHttp(edge)
  const ports: ClientPort[] = []
  const addresses: AddressInfo[] = []
  let stopped: Promise<void> | null = null
  const stop = (): Promise<void> =>
    (stopped ??= shutDown(edge, { grpc, fronts: [http, metrics], ports }, parts.graceMs ?? GRACE_MS).finally(
      tls.close,
    ))
  try {
    for (const { endpoint, targets } of doors(config, { grpc, http, metrics })) {
      const port = new ClientPort(targets, portOptions(config, parts.port), endpoint.secure ? tls.port : null)
      addresses.push(await listen(port, endpoint))
      ports.push(port)
    }
  } catch (error) {
    await stop()
    throw error
  }
  for (const { address, port } of addresses) logger.info({ address, port }, 'answering clients')
  return { addresses, node, stop }
}

const portOptions = (config: ServerConfig, own: Partial<PortOptions> | undefined): PortOptions => ({
  ...PORT_DEFAULTS,
  connectionsMax: config.maxConnections,
  connectionsPerHostMax: config.maxConnectionsPerHost,
  ...own,
})

/** What is answered where. */
function doors(
  config: ServerConfig,
  { grpc, http, metrics }: { grpc: GrpcFront; http: HttpFront; metrics: HttpFront },
): readonly { readonly endpoint: Endpoint; readonly targets: PortTargets }[] {
  const refuse = (socket: Socket): void => void socket.destroy()
  const at = (endpoints: readonly Endpoint[], targets: PortTargets) =>
    endpoints.map(endpoint => ({ endpoint, targets }))
  return [
    ...at(config.listenClient, { grpc: grpc.accept, http: http.accept }),
    ...at(config.listenHttp, { grpc: refuse, http: http.accept }),
    ...at(config.listenMetrics, { grpc: refuse, http: metrics.accept }),
  ]
}

/** A node that does not come about leaves no timers behind. */
async function createNode(parts: ServerParts, setup: NodeSetup, tls: TlsSetup): Promise<KvNode> {
  try {
    return await parts.createNode(setup)
  } catch (error) {
    tls.close()
    throw error
  }
}

async function listen(port: ClientPort, endpoint: Endpoint): Promise<AddressInfo> {
  try {
    return await port.listen(endpoint)
  } catch (error) {
    throw new StartError(listenProblem(endpoint, (error as NodeJS.ErrnoException).code))
  }
}

function listenProblem({ host, port }: Endpoint, code: string | undefined): string {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
  switch (code) {
    case 'EADDRINUSE':
      return `The client address ${where} is already in use.`
    case 'EADDRNOTAVAIL':
      return `The client address ${where} is not an address of this machine.`
    case 'EACCES':
      return `The client address ${where} may not be used by this user.`
    default:
      return `The client address ${where} cannot be listened on (${code ?? 'unknown error'}).`
  }
}

interface Fronts {
  readonly grpc: GrpcFront
  readonly fronts: readonly HttpFront[]
  readonly ports: readonly ClientPort[]
}

/** Stop accepting, let the node finish, tell streams, let connections end, cut the rest. */
async function shutDown(edge: Edge, { grpc, fronts, ports }: Fronts, graceMs: number): Promise<void> {
  edge.state.stopping = true
  for (const port of ports) port.stopListening()
  await edge.node.stop()
  for (const stream of edge.state.streams) stream.stop()
  for (const http of fronts) http.closeIdle()
  grpc.drain(graceMs)
  await emptied(ports, graceMs)
  for (const port of ports) port.destroy()
  grpc.close()
  await Promise.all(fronts.map(http => http.close()))
  closeEdge(edge)
  await edge.audit?.close()
}

const LOOK_MS = 10

/** Resolves when no connection is left, or after the grace. */
function emptied(ports: readonly ClientPort[], graceMs: number): Promise<void> {
  return new Promise(resolve => {
    let left = Math.ceil(graceMs / LOOK_MS)
    const timer = setInterval(() => {
      if (left-- > 0 && ports.some(port => port.connections > 0)) return
      clearInterval(timer)
      resolve()
    }, LOOK_MS)
  })
}
