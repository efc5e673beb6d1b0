import type { KvNode } from '@kvorum/model'

/**
 * Watches whether the node knows a leader, for clients that would rather be cut off than wait: streams with
 * `hasleader` end when there has been none for three election timeouts, as in etcd.
 */
export interface LeaderWatch {
  known(): boolean
  /** Changes of leader seen so far. */
  readonly changes: () => number
  /** Calls `lost` once, when the leader has been missing for too long. The result takes it back. */
  require(lost: () => void): () => void
  close(): void
}

const PATIENCE_ELECTION_TIMEOUTS = 3
const LOOKS_PER_ELECTION_TIMEOUT = 10

export function watchLeader(node: KvNode, electionTimeoutMs: number): LeaderWatch {
  const requiring = new Set<() => void>()
  let leader = node.leaderNode()
  let changes = 0
  let missedLooks = 0
  const look = (): void => {
    const now = node.leaderNode()
    if (now !== leader && now !== 0n) changes++
    leader = now
    missedLooks = now === 0n ? missedLooks + 1 : 0
    if (missedLooks < PATIENCE_ELECTION_TIMEOUTS * LOOKS_PER_ELECTION_TIMEOUT) return
    for (const lost of requiring) lost()
    requiring.clear()
  }
  const timer = setInterval(look, Math.max(1, electionTimeoutMs / LOOKS_PER_ELECTION_TIMEOUT))
  timer.unref()
  return {
    known: () => node.leaderNode() !== 0n,
    changes: () => changes,
    require: lost => {
      requiring.add(lost)
      return () => requiring.delete(lost)
    },
    close: () => clearInterval(timer),
  }
}
