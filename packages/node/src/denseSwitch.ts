import type { Revision } from '@kvorum/model'
import { encodeMetaCommand } from '@kvorum/placement'
import { openCall } from './calls.js'
import { leads, metaOf } from './membership.js'
import { proposeOwn } from './ownCommands.js'
import { note, type Group, type Turn } from './state.js'

/**
 * The end of dense revisions, before the only shard is split. The shard's leader does both steps, and whoever leads
 * next goes on where the logs stand. Nothing is refused meanwhile: writes behind the entry are queued again and wait
 * for the oracle, and so do reads.
 *
 *     a split is pending --> endDense in the shard's log --> its last revision, as a ceiling, in the meta group's log
 *                                                        --> the oracle opens above it
 */
export function driveSwitch(turn: Turn, group: Group): void {
  const { shard, revisions, installing } = group.machine
  const meta = metaOf(turn.state)
  if (shard === null || meta === null || installing || !leads(group)) return
  const { mode } = revisions
  if (mode.kind === 'oracle') {
    if ((meta.ceiling ?? 0) < mode.denseUpTo) openTheOracle(turn, group, mode.denseUpTo)
  } else if (meta.operations.some(operation => operation.group === group.id)) {
    group.own.endDense = proposeOwn(turn, group, group.own.endDense, { kind: 'endDense' })
  }
}

function openTheOracle(turn: Turn, group: Group, denseUpTo: Revision): void {
  if (group.own.ceiling?.done === false) return
  const request = {
    kind: 'meta',
    command: encodeMetaCommand({ kind: 'raiseCeiling', ceiling: denseUpTo }),
  } as const
  const due = turn.now + turn.state.options.electionTimeoutMs * 2
  group.own.ceiling = openCall(turn, { kind: 'own', done: () => undefined }, request, due)
  if (group.own.ceiling === null) return
  turn.routing.push(group.own.ceiling)
  note(turn, 'info', 'Revisions come from the oracle from now on', { above: denseUpTo })
}
