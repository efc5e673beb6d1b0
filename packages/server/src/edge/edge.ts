import { randomBytes } from 'node:crypto'
import { Registry } from 'prom-client'
import { leaseId, type KvNode, type LeaseId, type ReplyHeader, type Term } from '@kvorum/model'
import { toHeader, type HeaderMessage, type Identity } from '@kvorum/protocol'
import { leaseTtlMin, requestTimeoutMs, type ServerConfig } from '../config/config.js'
import { AuthService } from '../auth/authService.js'
import { SimpleTokens } from '../auth/simpleTokens.js'
import type { AuditLog } from '../auth/audit.js'
import type { Tokens } from '../auth/tokens.js'
import type { Logger } from '../logging.js'
import { Snapshots } from '../snapshot/snapshots.js'
import { createMetrics, type ServerMetrics } from '../metrics/index.js'
import { NO_TLS, type TlsStatus } from '../tls/setup.js'
import { watchLeader, type LeaderWatch } from './leader.js'

/** The bounds that apply at the door. */
export interface EdgeLimits {
  readonly requestBytesMax: number
  readonly txnOpsMax: number
  /** Unary requests under way in this node. */
  readonly pendingRequestsMax: number
  readonly streamsPerConnectionMax: number
  readonly watchersPerStreamMax: number
  /** Of one user at this member, where authentication is on. */
  readonly requestsPerUserMax: number
  readonly watchersPerUserMax: number
  readonly grantsPerUserMax: number
  readonly leaseTtlMinSeconds: number
  readonly slowRequestMs: number
  readonly requestTimeoutMs: number
  /** Changes of the members that would endanger the quorum are refused. */
  readonly strictReconfig: boolean
}

export function edgeLimits(config: ServerConfig): EdgeLimits {
  return {
    requestBytesMax: config.maxRequestBytes,
    txnOpsMax: config.maxTxnOps,
    pendingRequestsMax: config.maxPendingRequests,
    streamsPerConnectionMax: config.maxConcurrentStreams,
    watchersPerStreamMax: config.maxWatchersPerStream,
    requestsPerUserMax: config.maxRequestsPerUser,
    watchersPerUserMax: config.maxWatchersPerUser,
    grantsPerUserMax: config.maxGrantsPerUser,
    leaseTtlMinSeconds: leaseTtlMin(config),
    slowRequestMs: config.slowRequestMs,
    requestTimeoutMs: requestTimeoutMs(config),
    strictReconfig: config.strictReconfigCheck,
  }
}

/** What every handler works with: one per server, whatever the transport. */
export interface Edge {
  readonly node: KvNode
  readonly limits: EdgeLimits
  readonly logger: Logger
  readonly metrics: ServerMetrics
  readonly leader: LeaderWatch
  readonly snapshots: Snapshots
  readonly auth: AuthService
  /** Null: nobody wants to know. */
  readonly audit: AuditLog | null
  /** A lease id for a client that leaves the choice to the server: positive, never 0. */
  readonly pickLeaseId: () => LeaseId
  readonly state: EdgeState
}

export interface EdgeState {
  /** Greatest term in any header so far: what clients see never goes back. */
  term: number
  /** Unary requests under way. */
  pending: number
  /** Calls that wait for a lock or an election; they are not among `pending`. */
  waiting: number
  /** Events handed to the transports of watch streams and not taken yet. */
  pendingEvents: number
  /** Streams open, to be ended when the server stops. */
  readonly streams: Set<{ stop(): void }>
  stopping: boolean
  /** Slow requests are told at most once a second. */
  readonly slowLog: { quietUntil: number; unsaid: number }
}

/** As without any flag. */
const noUsers = () => ({ tokens: new SimpleTokens(300_000), audit: null })

export function createEdge(
  node: KvNode,
  limits: EdgeLimits,
  logger: Logger,
  electionTimeoutMs: number,
  dataDir: string,
  tls: () => TlsStatus = () => NO_TLS,
  users: { readonly tokens: Tokens; readonly audit: AuditLog | null } = noUsers(),
  registry: Registry = new Registry(),
): Edge {
  const leader = watchLeader(node, electionTimeoutMs)
  const state: EdgeState = {
    term: 0,
    pending: 0,
    waiting: 0,
    pendingEvents: 0,
    streams: new Set(),
    stopping: false,
    slowLog: { quietUntil: 0, unsaid: 0 },
  }
  return {
    node,
    limits,
    logger,
    leader,
    auth: new AuthService(users.tokens, limits),
    audit: users.audit,
    snapshots: new Snapshots(node, dataDir, logger),
    metrics: createMetrics(registry, node, {
      leaderChanges: leader.changes,
      pendingEvents: () => state.pendingEvents,
      tls,
    }),
    pickLeaseId: randomLeaseId,
    state,
  }
}

export function closeEdge(edge: Edge): void {
  edge.auth.close()
  edge.leader.close()
  edge.metrics.close()
}

function randomLeaseId(): LeaseId {
  const id = BigInt.asUintN(63, randomBytes(8).readBigUInt64BE(0))
  return leaseId(id === 0n ? 1n : id)
}

/** The header of an answer: who answers, at which revision, in which term. */
export const responseHeader = (edge: Edge, header: ReplyHeader): HeaderMessage =>
  toHeader(identity(edge), { revision: header.revision, term: termFloor(edge, header.term) })

export const identity = ({ node }: Edge): Identity => ({ cluster: node.cluster, member: node.self })

/** The term to show: never less than one already shown. */
export function termFloor({ state }: Edge, term: Term): Term {
  state.term = Math.max(state.term, term)
  return state.term
}
