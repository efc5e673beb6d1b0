import { Counter, Histogram, type Registry } from 'prom-client'
import type { StageTimes } from '@kvorum/model'
import { StageHistogram } from './stages.js'

export type CallType = 'unary' | 'client_stream' | 'server_stream' | 'bidi_stream'

export interface CallLabels {
  readonly service: string
  readonly method: string
  readonly type: CallType
}

/** Counts of calls, under the names that gRPC middlewares use, whatever the transport. */
export interface CallMetrics {
  started(call: CallLabels): void
  /** A call that was let in, by the version that its client says it has; '' where it says none. */
  admitted(call: CallLabels, clientVersion: string): void
  /** `code` is the status' name, such as OK or INVALID_ARGUMENT. */
  handled(call: CallLabels, code: string, seconds: number): void
  slow(call: CallLabels): void
  /** Of a unary call, in the node. */
  stages(times: StageTimes): void
  /** Messages of calls, one way or the other. */
  message(call: CallLabels, direction: 'received' | 'sent'): void
  received(bytes: number): void
  sent(bytes: number): void
}

const DURATION_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createCallMetrics(registry: Registry): CallMetrics {
  const registers = [registry]
  const labelNames = ['grpc_service', 'grpc_method', 'grpc_type'] as const
  const started = new Counter({
    name: 'grpc_server_started_total',
    help: 'Calls begun, over gRPC or the gateway.',
    labelNames,
    registers,
  })
  const handled = new Counter({
    name: 'grpc_server_handled_total',
    help: 'Calls ended, by status, over gRPC or the gateway.',
    labelNames: [...labelNames, 'grpc_code'] as const,
    registers,
  })
  const duration = new Histogram({
    name: 'kvorum_request_duration_seconds',
    help: 'Time from a unary request to its answer.',
    labelNames: ['grpc_service', 'grpc_method'] as const,
    buckets: DURATION_BUCKETS,
    registers,
  })
  const slow = new Counter({
    name: 'kvorum_slow_requests_total',
    help: 'Unary requests that took longer than --warning-unary-request-duration.',
    labelNames: ['grpc_service', 'grpc_method'] as const,
    registers,
  })
  const stages = new StageHistogram(registry)
  const messages = {
    received: new Counter({
      name: 'grpc_server_msg_received_total',
      help: 'Messages of requests, over gRPC or the gateway.',
      labelNames,
      registers,
    }),
    sent: new Counter({
      name: 'grpc_server_msg_sent_total',
      help: 'Messages of answers, over gRPC or the gateway.',
      labelNames,
      registers,
    }),
  }
  const received = new Counter({
    name: 'etcd_network_client_grpc_received_bytes_total',
    help: 'Bytes of requests from clients.',
    registers,
  })
  const sent = new Counter({
    name: 'etcd_network_client_grpc_sent_bytes_total',
    help: 'Bytes of answers to clients.',
    registers,
  })
  const byClient = new Counter({
    name: 'etcd_server_client_requests_total',
    help: 'Calls let in, by the API version of their clients.',
    labelNames: ['type', 'client_api_version'] as const,
    registers,
  })
  const versions = new Set<string>()
  const labels = (call: CallLabels) => ({
    grpc_service: call.service,
    grpc_method: call.method,
    grpc_type: call.type,
  })
  return {
    started: call => started.inc(labels(call)),
    admitted: (call, clientVersion) => {
      const type = call.type === 'unary' ? 'unary' : 'stream'
      byClient.inc({ type, client_api_version: versionLabel(versions, clientVersion) })
    },
    handled: (call, code, seconds) => {
      handled.inc({ ...labels(call), grpc_code: goName(code) })
      if (call.type === 'unary')
        duration.observe({ grpc_service: call.service, grpc_method: call.method }, seconds)
    },
    slow: call => slow.inc({ grpc_service: call.service, grpc_method: call.method }),
    stages: times => stages.observe(times),
    message: (call, direction) => messages[direction].inc(labels(call)),
    received: bytes => received.inc(bytes),
    sent: bytes => sent.inc(bytes),
  }
}

/** Clients choose what they send: after so many versions the rest are one. */
const VERSIONS_MAX = 50

function versionLabel(versions: Set<string>, version: string): string {
  if (version === '') return 'unknown'
  if (versions.size < VERSIONS_MAX) versions.add(version)
  return versions.has(version) ? version : 'other'
}

/** Dashboards know the codes as Go spells them: InvalidArgument, and Canceled with one l. */
const goName = (code: string): string =>
  code === 'OK'
    ? code
    : code
        .toLowerCase()
        .replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
        .replace('Cancelled', 'Canceled')
