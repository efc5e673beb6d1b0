import type { Millis, NodeId, Revision, StoreHash } from '@kvorum/model'
import { openCall } from './calls.js'
import { canForwardTo, forwardCall } from './forwarding.js'
import { hashShard } from './hashing.js'
import { judgeHashes, type HashVerdict } from './hashVerdict.js'
import type { Group, Turn } from './state.js'

/**
 * The data of one shard on all its members, compared at one revision:
 *
 *     own hash --> at which revision --> ask every other member for its hash there --> verdict
 */
export interface Comparison {
  own: StoreHash | null
  /** This member's own hash could not be made. */
  failed: boolean
  /** Whom it is asked of; nobody before the own hash is there. */
  asked: readonly NodeId[]
  /** Null: no hash came, and none will. */
  readonly answers: Map<NodeId, StoreHash | null>
  /** How long each of them is waited for, and until when; 0: nobody was asked yet. */
  readonly patienceMs: Millis
  until: Millis
}

/** Null: as many hashes as a node may make are under way. `revision` 0: the newest. */
export function beginComparison(
  turn: Turn,
  group: Group,
  revision: Revision,
  patienceMs: Millis,
): Comparison | null {
  const answers = new Map<NodeId, StoreHash | null>()
  const comparison: Comparison = { own: null, failed: false, asked: [], answers, patienceMs, until: 0 }
  const begun = hashShard(turn, group, revision, (later, result) => {
    if (result?.ok !== true) comparison.failed = true
    else askMembers(later, group, comparison, result.value)
  })
  return begun ? comparison : null
}

function askMembers(turn: Turn, group: Group, comparison: Comparison, own: StoreHash): void {
  const { state } = turn
  comparison.own = own
  const members = new Set((group.raft?.config.replicas ?? []).map(({ node }) => node))
  members.delete(state.options.self)
  comparison.asked = [...members]
  comparison.until = turn.now + comparison.patienceMs
  for (const node of members) {
    const origin = { kind: 'hash', node, answers: comparison.answers } as const
    const request = { kind: 'hashKv', revision: own.revision } as const
    const call = canForwardTo(state, node) ? openCall(turn, origin, request, comparison.until) : null
    if (call === null) {
      comparison.answers.set(node, null)
      continue
    }
    call.group = group.id
    forwardCall(turn, call, group.id, node)
  }
}

export const isAnswered = ({ own, asked, answers }: Comparison): boolean =>
  own !== null && answers.size === asked.length

/** Of what is known so far: who has not answered yet counts as unknown. Null: not even the own hash is. */
export function verdictOf(turn: Turn, group: Group, { own, asked, answers }: Comparison): HashVerdict | null {
  const { config } = group.raft ?? {}
  if (own === null || config === undefined) return null
  const voting = new Set([...config.voters, ...config.outgoing])
  const voters = new Set(config.replicas.filter(({ id }) => voting.has(id)).map(({ node }) => node))
  const others = new Map(asked.map(node => [node, answers.get(node) ?? null]))
  return judgeHashes({ node: turn.state.options.self, hash: own }, others, voters)
}
