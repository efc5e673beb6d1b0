import { performance } from 'node:perf_hooks'
import {
  createStageTimes,
  MalformedError,
  ok,
  refuse,
  STAGES,
  type KvError,
  type Result,
  type StageTimes,
} from '@kvorum/model'
import { errorFor } from '@kvorum/protocol'
import type { Call } from '../rpc/handler.js'
import type { AnyHandler, AnyUnary } from '../rpc/registry.js'
import { audited } from './audited.js'
import type { Edge } from './edge.js'
import { handleGuarded } from './guard.js'
import { refusedByLearner } from './learner.js'

/**
 * One unary call, from bytes to bytes, the same for gRPC and the gateway:
 *
 *   count -> admit -> decode -> handle -> encode -> count, log if slow
 *
 * Never rejects. What a handler throws is a broken invariant of ours: it is logged and answered as internal.
 */
export async function runUnary<Encoded>(
  edge: Edge,
  rpc: AnyUnary,
  call: Call,
  wire: Wire<Encoded>,
): Promise<Result<Encoded>> {
  const begun = performance.now()
  edge.metrics.calls.started(rpc.labels)
  edge.state.pending++
  const rooms: Rooms = { begun, decoded: begun, answered: begun, stages: createStageTimes() }
  const timed = { meta: call.meta, signal: call.signal, stages: rooms.stages }
  const result = admit(edge, rpc, call) ?? (await handle(edge, rpc, timed, wire, rooms))
  edge.state.pending--
  finish(edge, rpc, call, rooms, result.ok ? null : result.error)
  return result
}

/** When a call left a room, in milliseconds of the process' clock. */
interface Rooms {
  readonly begun: number
  decoded: number
  answered: number
  /** In the node, for how long. */
  readonly stages: StageTimes
}

/** How a transport writes requests and responses. `decode` throws MalformedError. */
export interface Wire<Encoded> {
  readonly decode: () => Result<unknown>
  readonly encode: (response: unknown) => Encoded
}

export function admit(edge: Edge, { labels }: AnyHandler, call: Call): { ok: false; error: KvError } | null {
  const { state, limits, leader } = edge
  if (state.stopping) return refuse('stopped')
  if (state.pending > limits.pendingRequestsMax) return refuse('tooManyRequests')
  if (call.meta.clientVersion !== '' && !isVersionText(call.meta.clientVersion))
    return refuse('invalidClientApiVersion')
  if (call.meta.requireLeader && !leader.known()) return refuse('noLeader')
  edge.metrics.calls.admitted(labels, call.meta.clientVersion)
  return null
}

/** Printable ASCII: what a header can carry without harm to a log or a metric. */
const isVersionText = (text: string): boolean => /^[\x20-\x7e]{1,64}$/.test(text)

async function handle<Encoded>(
  edge: Edge,
  rpc: AnyUnary,
  call: Call,
  wire: Wire<Encoded>,
  rooms: Rooms,
): Promise<Result<Encoded>> {
  try {
    const request = wire.decode()
    rooms.decoded = rooms.answered = performance.now()
    if (!request.ok) return request
    const refusal = refusedByLearner(edge, rpc.name, request.value)
    if (refusal !== null) return refusal
    const response = await audited(edge, rpc, request.value, call, () =>
      handleGuarded(edge, rpc, request.value, call),
    )
    rooms.answered = performance.now()
    return response.ok ? ok(wire.encode(response.value)) : response
  } catch (error) {
    return failure(edge, rpc.name, error)
  }
}

/** The one place where something caught becomes one of our errors. */
export function failure(edge: Edge, rpc: string, error: unknown): { ok: false; error: KvError } {
  if (error instanceof MalformedError) return refuse('malformed', { detail: error.message })
  edge.logger.error({ rpc, error: error instanceof Error ? error.stack : String(error) }, 'a handler failed')
  return refuse('internal', { outcome: 'unknown' })
}

function finish(
  edge: Edge,
  rpc: AnyUnary,
  call: Call,
  { begun, decoded, answered, stages }: Readonly<Rooms>,
  error: KvError | null,
): void {
  const ended = performance.now()
  const took = ended - begun
  const code = error === null ? 'OK' : errorFor(error).grpcName
  edge.metrics.calls.handled(rpc.labels, code, took / 1000)
  edge.metrics.calls.stages(stages)
  edge.metrics.calls.message(rpc.labels, 'received')
  if (error === null) edge.metrics.calls.message(rpc.labels, 'sent')
  if (took < edge.limits.slowRequestMs || rpc.waits === true) return
  edge.metrics.calls.slow(rpc.labels)
  logSlow(edge, {
    rpc: rpc.name,
    tookMs: Math.round(took),
    // In the edge, in the node, and in the edge again.
    decodeMs: Math.round(decoded - begun),
    nodeMs: Math.round(answered - decoded),
    stagesMs: shownStages(stages),
    encodeMs: Math.round(ended - answered),
    code,
    remote: call.meta.remote,
  })
}

/** Those that took a millisecond or more. */
const shownStages = (times: StageTimes): Partial<StageTimes> =>
  Object.fromEntries(
    STAGES.map(stage => [stage, Math.round(times[stage])] as const).filter(([, ms]) => ms > 0),
  )

/** An overloaded server has thousands of slow requests: one line a second says how many were not told. */
const SLOW_LOG_EVERY_MS = 1000

function logSlow({ state, logger }: Edge, facts: object): void {
  const { slowLog } = state
  const now = performance.now()
  if (now < slowLog.quietUntil) {
    slowLog.unsaid++
    return
  }
  logger.warn({ ...facts, othersSinceLast: slowLog.unsaid }, 'a request took too long')
  slowLog.quietUntil = now + SLOW_LOG_EVERY_MS
  slowLog.unsaid = 0
}
