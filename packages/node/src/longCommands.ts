import { encodeShardCommand, publishedBy, type Entry, type Index } from '@kvorum/model'
import { peekCommitted, propose } from '@kvorum/raft'
import type { Hidden } from './applying.js'
import { shardOfGroup } from './groupMachine.js'
import type { Group, Turn } from './state.js'

/**
 * A long command is worked out hidden, on every replica at its own pace, and shown only when an entry behind it that
 * publishes it is committed (docs/decisions/0007-long-commands.md). Until then reads whose index lies between the two
 * are served from the state before it.
 */

/** The long command that this replica is in, looked after as far as the log is known; null: none. */
export function hiddenCommand(group: Group): Hidden | null {
  const { applying, machine } = group
  const shard = shardOfGroup(group)
  if (shard === null || shard.applying === 0 || machine.installing) applying.hidden = null
  else if (applying.hidden === null) {
    // Also after a restart: the store says that the next entry was begun, so it is long.
    const index = machine.applied + 1
    applying.hidden = { index, looked: index, publishedAt: 0, proposedIn: 0, worked: null, workedAt: 0 }
  }
  return applying.hidden
}

/** Searches what is committed for the publication, as much as one turn may. */
export function lookForPublication(turn: Turn, group: Group, hidden: Hidden): void {
  const { raft } = group
  if (raft === null || hidden.publishedAt !== 0) return
  const entries = entriesAfter(turn, group, hidden.looked)
  for (const { index, kind, data } of entries) {
    hidden.looked = index
    if (kind !== 'normal' || publishedBy(data) !== hidden.index) continue
    hidden.publishedAt = index
    return
  }
  if (entries.length > 0 && hidden.looked < raft.commit) {
    turn.out.again = true
    turn.state.unsettled.add(group)
  }
  // The next ones are only on disk: raft has to be asked what to read, in this turn.
  if (entries.length === 0 && raft.fetch.peekFrom !== 0 && raft.dirty) turn.touched.add(group)
}

function entriesAfter(turn: Turn, group: Group, index: Index): readonly Entry[] {
  const { raft, applying } = group
  const last = applying.batch.at(-1)?.entry.index ?? 0
  if (index < last) return applying.batch.map(({ entry }) => entry).filter(entry => entry.index > index)
  return index < raft!.handed ? [] : peekCommitted(raft!, index + 1, turn.state.options.limits.applyBytesMax)
}

/** The leader's part: when its own work is done it says so in the log, once in its term. */
export function proposePublication(turn: Turn, group: Group, hidden: Hidden): void {
  const { raft } = group
  if (raft === null || raft.role !== 'leader' || hidden.worked === null) return
  if (hidden.publishedAt !== 0 || hidden.proposedIn === raft.term) return
  const data = encodeShardCommand({ kind: 'publish', index: hidden.index })
  const proposed = propose(raft, turn.wall, [{ kind: 'normal', data }])
  // Refused for now: every tick of the leader comes by here again.
  if (!proposed.ok) return
  hidden.proposedIn = proposed.term
  turn.touched.add(group)
}

export const mayShow = ({ worked, publishedAt }: Hidden): boolean => worked !== null && publishedAt !== 0

/**
 * Whether a read confirmed at `index` may be served from the state before the hidden command: when the index was
 * taken nobody could have shown it, nor anything behind it.
 */
export function mayReadBefore(group: Group, index: Index): boolean {
  const hidden = hiddenCommand(group)
  if (hidden === null) return false
  return hidden.publishedAt === 0 ? hidden.looked >= index : hidden.publishedAt > index
}
