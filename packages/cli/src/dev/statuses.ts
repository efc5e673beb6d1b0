import { HOST, type NodePlan } from './plan.js'

/** What one node says about the cluster. */
export interface NodeView {
  readonly plan: NodePlan
  readonly leads: boolean
  readonly term: number
}

const TIMEOUT_MS = 1000

/** Those nodes that answer. */
export async function askNodes(plans: readonly NodePlan[]): Promise<NodeView[]> {
  const views = await Promise.all(plans.map(askNode))
  return views.filter(view => view !== null)
}

async function askNode(plan: NodePlan): Promise<NodeView | null> {
  try {
    const response = await fetch(`http://${HOST}:${plan.clientPort}/v3/maintenance/status`, {
      method: 'POST',
      body: '{}',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    return response.ok ? readStatus(plan, await response.json()) : null
  } catch {
    return null
  }
}

/** In JSON, 64-bit numbers are strings and zeros are left out. */
interface StatusBody {
  readonly header?: { readonly member_id?: string }
  readonly leader?: string
  readonly raftTerm?: string
}

export function readStatus(plan: NodePlan, body: unknown): NodeView {
  const { header, leader, raftTerm } = body as StatusBody
  const leads = leader !== undefined && leader !== '0' && leader === header?.member_id
  return { plan, leads, term: Number(raftTerm ?? 0) }
}

/** The leader of the newest term that a node claims for itself. */
export const findLeader = (views: readonly NodeView[]): NodeView | null =>
  views
    .filter(view => view.leads)
    .sort((a, b) => b.term - a.term)
    .at(0) ?? null
