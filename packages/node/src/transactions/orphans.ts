import { encodeShardCommand, type GroupId, type Millis, type TransactionId } from '@kvorum/model'
import { orphanAsks, type DecisionRecord, type Prepared } from '@kvorum/placement'
import { leads } from '../membership.js'
import type { Group, Turn } from '../state.js'
import { askShard, endedIn } from './asking.js'
import type { Watched } from './orphanState.js'

/**
 * A coordinator may die at any step. The leader of a shard whose locks have been there for too long asks the primary
 * what became of the transaction, which is aborted if it is not decided; and the leader of a primary whose record has
 * been there for too long brings the transaction to its end. What both do twice, or a coordinator that was only slow
 * does as well, has no effect.
 */
/** A coordinator that lives needs a few rounds among the shards. */
const HELD_MS = 1_000
const RECORD_MS = 3_000

const nameOf = ({ coordinator, sequence }: TransactionId): string => `${coordinator}/${sequence}`

/** Called from time to time. */
export function driveOrphans(turn: Turn, group: Group): void {
  const { orphans } = group
  const { prepared, records } = group.machine.revisions.transactions
  if (!leads(group) || (prepared.length === 0 && records.length === 0)) {
    orphans.held.clear()
    orphans.records.clear()
    return
  }
  watch(turn, orphans.held, prepared, HELD_MS, (held, watched) => askPrimary(turn, group, held, watched))
  watch(turn, orphans.records, records, RECORD_MS, (record, watched) =>
    finishRecord(turn, group, record, watched),
  )
}

function watch<Item extends { readonly id: TransactionId }>(
  { now }: Turn,
  known: Map<string, Watched>,
  items: readonly Item[],
  patience: Millis,
  act: (item: Item, watched: Watched) => void,
): void {
  const names = new Set(items.map(({ id }) => nameOf(id)))
  for (const name of known.keys()) if (!names.has(name)) known.delete(name)
  for (const item of items) {
    const name = nameOf(item.id)
    const watched = known.get(name)
    if (watched === undefined)
      known.set(name, { since: now, busy: false, told: new Set(), untold: new Set() })
    else if (!watched.busy && now - watched.since >= patience) {
      watched.busy = true
      act(item, watched)
    }
  }
}

/** The record that stands is the answer; where there is none any more, nothing was committed. */
function askPrimary(turn: Turn, group: Group, { id, primary }: Prepared, watched: Watched): void {
  const ask = encodeShardCommand({ kind: 'decide', id, outcome: orphanAsks() })
  askShard(turn, primary, ask, (later, result) => {
    const reply = endedIn(result)
    if (reply === null || primary === group.id) {
      watched.busy = false
      return
    }
    const outcome = reply.outcome ?? orphanAsks()
    askShard(later, group.id, encodeShardCommand({ kind: 'end', id, outcome }), () => {
      watched.busy = false
    })
  })
}

/** Tells everybody, then forgets. Who has ended its part stays told: no round has to reach all of them at once. */
function finishRecord(turn: Turn, group: Group, record: DecisionRecord, watched: Watched): void {
  const { id, outcome, participants, heirs } = record
  const { told, untold } = watched
  told.add(group.id)
  for (const other of [...participants, ...heirs]) if (!told.has(other)) untold.add(other)
  const command = encodeShardCommand({ kind: 'end', id, outcome })
  const forget = (later: Turn): void => {
    const done = encodeShardCommand({ kind: 'forget', id })
    askShard(later, group.id, done, () => {
      watched.busy = false
    })
  }
  const tell = (now: Turn, to: GroupId): void => {
    askShard(now, to, command, (later, result) => {
      const reply = endedIn(result)
      if (reply === null) {
        // Another round, after a while.
        watched.since = later.now
        watched.busy = false
        return
      }
      told.add(to)
      untold.delete(to)
      for (const heir of reply.heirs) {
        if (told.has(heir) || untold.has(heir)) continue
        untold.add(heir)
        tell(later, heir)
      }
      if (untold.size === 0) forget(later)
    })
  }
  if (untold.size === 0) forget(turn)
  for (const to of [...untold]) tell(turn, to)
}
