import { LIMITS, type StoreRow } from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import {
  readApplying,
  readAuthFence,
  readConfig,
  readGuardRow,
  readLease,
  readMeta,
  readPurge,
  readRevisions,
} from './groupRows.js'
import { createMachine, type Machine, type MachineOptions } from './machine.js'
import { type GROUP_ROWS, groupKey, groupRows, parseLeaseKey } from './rowKeys.js'
import { readInstalling } from './snapshot.js'
import { loadReply, loadSession } from './sessionRows.js'
import type { Step } from './step.js'

/**
 * The machine as the store has it, after a restart (the overlay is empty then). Null: the store knows nothing
 * of this group. With `installing` set the rest means nothing: clear and ask for a snapshot again.
 */
export function* loadMachine(options: MachineOptions): Step<Machine | null> {
  const { group } = options
  const names = [
    'meta',
    'config',
    'applying',
    'purge',
    'installing',
    'authFence',
    'guard',
    'revisions',
    'retired',
  ] as const
  const { values } = yield { gets: names.map(name => groupKey(group, name)), scans: [] }
  const [meta, config, applying, purge, installing, authFence, guard, revisions, retired] = values
  // It has moved away: what is left of its rows is being cleared.
  if (retired) return null
  const machine = createMachine(options)
  if (installing) {
    machine.installing = true
    ;({ range: machine.range, config: machine.config } = readInstalling(options.checksum, group, installing))
    return machine
  }
  // A first entry that was half written has no meta row yet, but left the mark.
  if (!meta && !applying) return null
  if (meta) readMeta(machine, meta)
  if (config) ({ config: machine.config, index: machine.configIndex } = readConfig(machine, config))
  if (applying) machine.applying = readApplying(machine, applying)
  if (purge) machine.purge = readPurge(machine, purge)
  if (authFence) machine.authFence = readAuthFence(machine, authFence)
  if (guard) machine.guard = readGuardRow(machine, guard)
  if (revisions) machine.revisions = readRevisions(machine, revisions)
  yield* loadRows(machine, 'lease', loadLease)
  yield* loadRows(machine, 'session', loadSession)
  yield* loadRows(machine, 'sessionReply', loadReply)
  return machine
}

function loadLease(machine: Machine, { key, value }: StoreRow): void {
  const id = parseLeaseKey(key)
  if (id === null) throw new CorruptRecordError(key, 'not a lease')
  machine.leases.set(id, readLease(machine, id, key, value))
}

function* loadRows(
  machine: Machine,
  kind: keyof typeof GROUP_ROWS,
  load: (machine: Machine, row: StoreRow) => void,
): Step<void> {
  let { gte, lt } = groupRows(machine.group, kind)
  for (;;) {
    const scan = {
      gte,
      lt,
      reverse: false,
      values: true,
      rowsMax: LIMITS.pageRowsMax,
      bytesMax: LIMITS.pageBytesMax,
    }
    const page = (yield { gets: [], scans: [scan] }).pages[0]!
    for (const row of page.rows) load(machine, row)
    const last = page.rows[page.rows.length - 1]
    if (!page.more || last === undefined) return
    gte = Buffer.concat([last.key, Buffer.from([0])])
  }
}
