import type { GroupId, Millis } from '@kvorum/model'
import { nextDueOf, popDue, pushHeap, replaceFirst, type Heap } from './heap.js'

/**
 * Which groups have something to do when, so that the cost of a tick follows the groups that are due. Moving
 * a timer later is free: the old entry stays and is looked at again when it fires; only moving one earlier
 * adds an entry.
 */
export interface GroupTimers {
  readonly heap: Heap<{ readonly due: Millis; readonly group: GroupId }>
  /** The entry of each group that counts. */
  readonly armed: Map<GroupId, Millis>
}

export const createTimers = (): GroupTimers => ({ heap: [], armed: new Map() })

/** Makes sure the group is looked at no later than `due`. */
export function armTimer(timers: GroupTimers, group: GroupId, due: Millis): void {
  const armed = timers.armed.get(group)
  if (armed !== undefined && armed <= due) return
  timers.armed.set(group, due)
  pushHeap(timers.heap, { due, group })
}

/** Takes out every group with an entry at or before `now`. The caller arms them again. */
export function dueGroups(timers: GroupTimers, now: Millis): GroupId[] {
  const due: GroupId[] = []
  for (let item = popDue(timers.heap, now); item !== null; item = popDue(timers.heap, now)) {
    if (timers.armed.get(item.group) !== item.due) continue
    timers.armed.delete(item.group)
    due.push(item.group)
  }
  return due
}

/** Passes over the first entries as long as their groups have less to do than they say; `dueOf` tells the truth. */
export function refreshTimers({ heap, armed }: GroupTimers, dueOf: (group: GroupId) => Millis): void {
  for (let item = heap[0]; item !== undefined; item = heap[0]) {
    const counts = armed.get(item.group) === item.due
    const due = counts ? dueOf(item.group) : Infinity
    if (counts && due <= item.due) return
    if (due < Infinity) {
      armed.set(item.group, due)
      replaceFirst(heap, { due, group: item.group })
    } else {
      if (counts) armed.delete(item.group)
      popDue(heap, item.due)
    }
  }
}

export const nextTimer = (timers: GroupTimers): Millis => nextDueOf(timers.heap)
