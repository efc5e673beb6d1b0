import type { Millis } from '@kvorum/model'
import type { Pending } from './applying.js'
import { note, type Group, type Turn } from './state.js'

/** One line of the log a second at most; all are counted. */
const NOTE_EVERY_MS = 1_000

/** An entry has been worked out that was taken up at `since`: told of if that took long. */
export function noticeSlowApply(turn: Turn, group: Group, { entry, command }: Pending, since: Millis): void {
  const { state, now } = turn
  const tookMs = now - since
  if (tookMs <= (state.options.slowApplyMs ?? Infinity)) return
  state.counters.slowApplies++
  if (now < state.slowApplyNotedAt + NOTE_EVERY_MS) return
  state.slowApplyNotedAt = now
  note(turn, 'warn', 'Applying a command took long', {
    group: group.id,
    index: entry.index,
    command: command?.kind ?? entry.kind,
    bytes: entry.data.length,
    tookMs: Math.round(tookMs),
  })
}
