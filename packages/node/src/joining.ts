import type { JoinAnswer, JoinRequest } from '@kvorum/model'
import { isTaken, seatOf } from '@kvorum/placement'
import { metaOf } from './membership.js'
import type { NodeState } from './state.js'

/**
 * Tells a node without an id who it is: the member that was added with its peer URLs. One whose seat is taken by a
 * directory is told that, not who it was: its old directory may have voted and acknowledged, the new one knows
 * nothing of it.
 */
export function joinAnswer(state: NodeState, { peerUrls, incarnation }: JoinRequest): JoinAnswer {
  const meta = metaOf(state)
  if (meta === null) return { kind: 'later' }
  const record = meta.nodes.find(node => node.peerUrls.some(url => peerUrls.includes(url)))
  const seat = record === undefined ? undefined : seatOf(meta, record.id)
  if (record === undefined || seat === undefined) return { kind: 'refused', reason: NOT_ADDED }
  if (seat.founder || (isTaken(seat) && seat.incarnation !== incarnation))
    return { kind: 'refused', reason: TAKEN }
  return {
    kind: 'member',
    cluster: state.options.cluster,
    node: record.id,
    replica: seat.replica,
    members: meta.nodes.map(({ id, peerUrls: urls }) => ({ node: id, peerUrls: urls })),
    shards: meta.shards.shards.map(({ group, range, epoch }) => ({ group, range, epoch })),
  }
}

/**
 * Whether what this node knows is enough to answer: which directory a seat belongs to is decided once. Then nobody
 * else is needed, and one that is needed itself for a majority can come back.
 */
export function isSettled(state: NodeState, { peerUrls, incarnation }: JoinRequest): boolean {
  const meta = metaOf(state)
  const record = meta?.nodes.find(node => node.peerUrls.some(url => peerUrls.includes(url)))
  const seat = meta === null || record === undefined ? undefined : seatOf(meta, record.id)
  return seat !== undefined && isTaken(seat) && seat.incarnation === incarnation
}

const NOT_ADDED =
  'No member of the cluster has these peer URLs: add it first, with `kvorum member add NAME --peer-urls=URLS`.'
const TAKEN =
  'The cluster knows a member with these peer URLs and another data directory: this directory is empty. ' +
  'Put the directory of its last run back, or bring it back as a new member: `kvorum member replace NAME`.'
