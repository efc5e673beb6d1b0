import type { RpcName } from '@kvorum/protocol'
import type { Flaw } from './malformed.js'
import { show, type MessageTemplate } from './symbols.js'

/** One step of a sequence; both servers take it, and none goes on before both have answered. */
export type Step =
  | {
      readonly kind: 'call'
      readonly rpc: RpcName
      readonly request: MessageTemplate
      /** Of a grant that leaves the id to the server: where to keep it. */
      readonly slot?: number
      /** Of a member that is added: where to keep its id. */
      readonly memberSlot?: number
      /** Over the gateway: what is done to its body. */
      readonly flaw?: Flaw
      /** Whose token goes with it. */
      readonly as?: string
      /** Which of several connections it takes; in a cluster each leads to another member. */
      readonly client?: number
    }
  | {
      readonly kind: 'keepAlive'
      readonly request: MessageTemplate
      readonly as?: string
      readonly client?: number
    }
  | {
      readonly kind: 'watch'
      readonly stream: number
      readonly request: MessageTemplate
      readonly as?: string
    }
  | { readonly kind: 'cancel'; readonly stream: number; readonly watchId: bigint }
  | { readonly kind: 'progress'; readonly stream: number }
  /** Waits until leases have run out, while others are kept alive. */
  | {
      readonly kind: 'expire'
      readonly gone: readonly bigint[]
      readonly kept: readonly bigint[]
      /** Seconds that those would live by themselves. */
      readonly keptTtl: number
    }

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

/** Changes nothing: several of them in a row can be under way at once, and save time. */
const READS: ReadonlySet<RpcName> = new Set([
  'etcdserverpb.Auth/RoleGet',
  'etcdserverpb.Auth/RoleList',
  'etcdserverpb.Auth/UserGet',
  'etcdserverpb.Auth/UserList',
  'etcdserverpb.Cluster/MemberList',
  'etcdserverpb.Maintenance/Status',
  'etcdserverpb.Maintenance/Hash',
  'etcdserverpb.Maintenance/HashKV',
  'etcdserverpb.KV/Range',
  'etcdserverpb.Lease/LeaseTimeToLive',
  'etcdserverpb.Lease/LeaseLeases',
])

export const isRead = (step: Step): boolean => step.kind === 'call' && READS.has(step.rpc)

export function showStep(step: Step): string {
  switch (step.kind) {
    case 'call': {
      const kept = step.slot === undefined ? '' : ` -> <lease ${step.slot}>`
      const flaw = step.flaw === undefined ? '' : ` with the flaw ${JSON.stringify(step.flaw)}`
      return `${step.rpc.split('/')[1]}${caller(step)} ${show(step.request)}${kept}${flaw}`
    }
    case 'keepAlive':
      return `LeaseKeepAlive${caller(step)} ${show(step.request)}`
    case 'watch':
      return `Watch on stream ${step.stream}${caller(step)} ${show(step.request)}`
    case 'cancel':
      return `cancel watch ${step.watchId} on stream ${step.stream}`
    case 'expire':
      return `wait until leases ${step.gone.join(', ')} run out, keeping ${step.kept.join(', ')}`
    case 'progress':
      return `ask for progress on stream ${step.stream}`
  }
}

const caller = ({ as, client = 0 }: { readonly as?: string; readonly client?: number }): string =>
  `${as === undefined ? '' : ` as ${as}`}${client === 0 ? '' : ` over connection ${client}`}`
