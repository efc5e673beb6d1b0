import { groupId, type GroupId } from '@kvorum/model'
import { ALL_GROUPS, groupRows, TABLES } from './rowKeys.js'
import type { Step } from './step.js'

/** The shards that the store has rows of; also those that the owner's map does not know yet. One row of each is read. */
export function* storedGroups(): Step<GroupId[]> {
  const found: GroupId[] = []
  const { gte: first } = groupRows(groupId(0))
  const { gte: lt } = groupRows(ALL_GROUPS)
  for (let gte = first; ;) {
    const scan = { gte, lt, reverse: false, values: false, rowsMax: 1, bytesMax: 1 }
    const row = (yield { gets: [], scans: [scan] }).pages[0]!.rows[0]
    if (row === undefined || row.key[0] !== TABLES.group) return found
    const group = groupId(Buffer.from(row.key).readUInt32BE(1))
    found.push(group)
    gte = groupRows(groupId(group + 1)).gte
  }
}
