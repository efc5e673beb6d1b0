import type { RpcName } from '@kvorum/protocol'
import { show, type MessageTemplate } from './symbols.js'

/** One step of a sequence; both servers take it, and none goes on before both have answered. */
export type Step =
  | {
      readonly kind: 'call'
      readonly rpc: RpcName
      readonly request: MessageTemplate
      /** Of a grant that leaves the id to the server: where to keep it. */
      readonly slot?: number
      /** Whose token goes with it. */
      readonly as?: string
    }
  | { readonly kind: 'keepAlive'; readonly request: MessageTemplate }
  | {
      readonly kind: 'watch'
      readonly stream: number
      readonly request: MessageTemplate
      readonly as?: string
    }
  | { readonly kind: 'cancel'; readonly stream: number; readonly watchId: bigint }
  | { readonly kind: 'progress'; readonly stream: number }

export interface Sequence {
  readonly seed: number
  readonly transport: 'grpc' | 'json'
  readonly steps: readonly Step[]
}

export const call = (rpc: RpcName, request: MessageTemplate): Extract<Step, { kind: 'call' }> => ({
  kind: 'call',
  rpc,
  request,
})

const READS: ReadonlySet<RpcName> = new Set([
  'etcdserverpb.KV/Range',
  'etcdserverpb.Lease/LeaseTimeToLive',
  'etcdserverpb.Lease/LeaseLeases',
])

/** Changes nothing: several of them in a row can be under way at once, and save time. */
export const isRead = (step: Step): boolean => step.kind === 'call' && READS.has(step.rpc)

export function showStep(step: Step): string {
  switch (step.kind) {
    case 'call': {
      const who = step.as === undefined ? '' : ` as ${step.as}`
      const kept = step.slot === undefined ? '' : ` -> <lease ${step.slot}>`
      return `${step.rpc.split('/')[1]}${who} ${show(step.request)}${kept}`
    }
    case 'keepAlive':
      return `LeaseKeepAlive ${show(step.request)}`
    case 'watch':
      return `Watch on stream ${step.stream}${step.as === undefined ? '' : ` as ${step.as}`} ${show(step.request)}`
    case 'cancel':
      return `cancel watch ${step.watchId} on stream ${step.stream}`
    case 'progress':
      return `ask for progress on stream ${step.stream}`
  }
}
