import {
  type KeyRange,
  type KvError,
  type LeaseId,
  leasesOf,
  rangeContains,
  refuse,
  type ShardCommand,
} from '@kvorum/model'
import { nextAttached, openAttachments } from './attachments.js'
import type { Machine } from './machine.js'
import type { Step } from './step.js'
import type { View } from './view.js'

/**
 * Who attaches a key to a lease, or ends the lease, decides over all its keys: they must all be in `writable`.
 * Only here are they known, and nothing can be attached between this look and the command.
 */
export function* checkAttached(
  machine: Machine,
  view: View,
  command: ShardCommand,
  writable: readonly KeyRange[],
): Step<KvError | null> {
  for (const lease of leasesIn(command)) {
    const cursor = openAttachments(machine.range, lease, machine.applying)
    for (;;) {
      const page = yield* nextAttached(view, cursor)
      if (page === null) break
      for (const { key } of page) {
        if (!writable.some(range => rangeContains(range, key))) return refuse('permissionDenied').error
      }
    }
  }
  return null
}

function leasesIn(command: ShardCommand): Iterable<LeaseId> {
  if (command.kind === 'leaseRevoke') return [command.id]
  return command.kind === 'write' ? leasesOf(command.op) : []
}
