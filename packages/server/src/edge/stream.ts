import { performance } from 'node:perf_hooks'
import { refuse, type KvError } from '@kvorum/model'
import { errorFor } from '@kvorum/protocol'
import type { CallMeta, StreamIn, StreamOut } from '../rpc/handler.js'
import type { AnyStream } from '../rpc/registry.js'
import type { Edge } from './edge.js'
import { auditedStream } from './audited.js'
import { openGuarded } from './guard.js'
import { refusedByLearner } from './learner.js'
import { admit, failure } from './unary.js'

/** What a transport does for a stream. */
export interface StreamWire {
  readonly meta: CallMeta
  readonly decode: (input: unknown) => unknown
  /** Writes one message; `taken` when it has been passed on. */
  readonly write: (response: unknown, taken: () => void) => void
  readonly end: (error: KvError | null) => void
  readonly flow: (reading: boolean) => void
}

/** What a transport reports. Each may be called at any time; after the call has ended nothing happens. */
export interface OpenStream {
  readonly receive: (input: unknown) => void
  readonly halfClosed: () => void
  /** The client has gone. */
  readonly cancelled: () => void
}

/** One streaming call, the same for gRPC and the gateway. */
export function openStream(edge: Edge, rpc: AnyStream, wire: StreamWire): OpenStream {
  const begun = performance.now()
  const { metrics, state, leader } = edge
  let over = false
  metrics.calls.started(rpc.labels)
  const ended = auditedStream(edge, rpc, wire.meta)

  const close = (error: KvError | null, code: string): void => {
    over = true
    state.streams.delete(self)
    release()
    metrics.calls.handled(rpc.labels, code, (performance.now() - begun) / 1000)
    ended(code)
    handler?.closed()
    if (error !== CANCELLED) wire.end(error)
  }
  const end = (error: KvError | null): void => {
    if (!over) close(error, error === null ? 'OK' : errorFor(error).grpcName)
  }
  const self = { stop: () => end(refuse('stopped').error) }
  let release = (): void => {}
  let handler: StreamIn<unknown> | null = null
  const out: StreamOut<unknown> = {
    send: (response, taken = () => {}) => {
      if (over) return
      metrics.calls.message(rpc.labels, 'sent')
      wire.write(response, taken)
    },
    end: error => end(error ?? null),
    flow: reading => {
      if (!over) wire.flow(reading)
    },
  }
  const refusal =
    refusedByLearner(edge, rpc.name, null) ?? admit(edge, rpc, { meta: wire.meta, signal: NEVER })
  if (refusal === null) {
    state.streams.add(self)
    handler = openGuarded(edge, rpc, wire.meta, out, act => guarded(act))
    if (wire.meta.requireLeader) release = leader.require(() => end(refuse('noLeader').error))
  } else end(refusal.error)

  const guarded = (act: () => void): void => {
    if (over) return
    try {
      act()
    } catch (error) {
      end(failure(edge, rpc.name, error).error)
    }
  }
  return {
    receive: input =>
      guarded(() => {
        metrics.calls.message(rpc.labels, 'received')
        handler?.receive(wire.decode(input))
      }),
    halfClosed: () => guarded(() => handler?.halfClosed()),
    cancelled: () => {
      if (!over) close(CANCELLED, errorFor(CANCELLED).grpcName)
    },
  }
}

const CANCELLED: KvError = refuse('canceled').error
const NEVER = new AbortController().signal
