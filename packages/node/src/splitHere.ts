import type { Index } from '@kvorum/model'
import { SPLIT_BASE, type Machine } from '@kvorum/machine'
import { decodeRevisions } from '@kvorum/placement'
import { emptyGroup, failsClosed, takeDormant } from './groups.js'
import { stepGroup } from './consensus.js'
import { takeEarly } from './earlyMessages.js'
import { leads } from './membership.js'
import { learnSplit } from './routing.js'
import { startRaft } from './startRaft.js'
import { note, type Group, type Turn } from './state.js'
import { createShardHub } from './watch/hub.js'
import { splitMerged } from './watch/merged.js'

/**
 * An entry of a shard's log has split it: this replica has two now. The right half's log begins behind what the split
 * gave it (SPLIT_BASE), the same on all replicas, and its own rows go to the store in the batch of the left's.
 *
 * Whoever leads the left asks for the right's leadership at once: it is the one that was asked so far, and the others
 * apply the split as soon as they hear that it is committed.
 */
export function splitHere(turn: Turn, left: Group, index: Index, machine: Machine): void {
  const { state } = turn
  left.range = left.machine.shard?.range ?? left.range
  learnSplit(state, {
    kind: 'split',
    group: left.id,
    right: machine.group,
    at: machine.range.start,
    epoch: machine.epoch,
  })
  note(turn, 'info', 'A shard is split', { group: left.id, right: machine.group })
  // It has come here by a snapshot already, or is coming: what that brings is newer.
  const known = state.groups.has(machine.group)
  const right = known ? null : addRight(turn, left, machine)
  splitMerged(turn, { group: left.id, index, epoch: machine.epoch, right: machine.group })
  if (right === null || failsClosed(turn, right)) return
  startRaft(turn, right)
  for (const { from, message } of takeEarly(state, right.id, turn.now)) {
    right.heard.set(message.from, from)
    stepGroup(turn, right, { kind: 'receive', now: turn.now, message })
  }
  if (leads(left)) stepGroup(turn, right, { kind: 'campaign', now: turn.now })
}

function addRight(turn: Turn, left: Group, machine: Machine): Group {
  const { state } = turn
  const { group: id } = machine
  const known = takeDormant(state, id)
  const isNew = known.lastIndex === 0 && known.hardState.term === 0
  const recovered = isNew ? { ...known, hardState: { ...known.hardState, term: SPLIT_BASE.term } } : known
  const right = emptyGroup(id, left.replica, machine.range, recovered, state.options)
  right.machine.shard = machine
  right.machine.revisions = decodeRevisions(machine.revisions)
  right.machine.applied = machine.applied
  right.machine.appliedTerm = machine.appliedTerm
  right.machine.config = { index: machine.configIndex, value: left.machine.config!.value }
  // Compared as the left was; and nobody else need ask for the leadership.
  right.checking.trusted = left.checking.trusted
  right.electionOpened = true
  state.groups.set(id, right)
  state.hub.shards.set(id, createShardHub([id], machine.revision))
  state.flushing.dirty.add(right)
  return right
}
