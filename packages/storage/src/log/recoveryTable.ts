/**
 * Recovery as a table: what was found in the directory, and what is done about it. scan.ts finds, recover.ts
 * does; the reasons are here. docs/storage-format.md shows the same table to operators.
 *
 * use       nothing is wrong
 * remove    a file that holds nothing anybody was told about: removed, and the directory synced
 * cut       bytes that were never synced: cut off durably before the log is written to
 * note      reported, and of no consequence
 * failGroup the group neither votes nor answers until its replica is removed and made anew
 * failAll   the same for every group of the store, because the damage does not say whose it is
 * refuse    the directory is not opened
 */
export type Decision = 'use' | 'remove' | 'cut' | 'note' | 'failGroup' | 'failAll' | 'refuse'

export type Found = keyof typeof RECOVERY_TABLE

interface RecoveryRow {
  readonly decision: Decision
  /** Why this is right; of a refusal, the middle of its sentence. */
  readonly reason: string
}

export const RECOVERY_TABLE = {
  emptyDirectory: row('use', 'A new directory. A wiped one is told from it by the other members.'),
  cleanEnd: row('use', 'The newest segment ends with a whole batch.'),
  tornTail: row(
    'cut',
    'No later batch names an offset behind the damage, so the damaged batch was the last one and its sync ' +
      'need not have returned. It goes as a whole; of what it held nothing was promised.',
  ),
  unusedSegment: row(
    'remove',
    'The newest segment has a damaged header and no record: its making was interrupted.',
  ),
  temporaryFile: row('remove', 'A file that was being made when the process ended.'),
  partialReserve: row('remove', 'The reserve has another size than it should; it is made again.'),
  purgedSegment: row('remove', 'A purge wrote down that nobody needs it, and was interrupted.'),
  foreignFile: row('note', 'Not a file of the log; left alone.'),
  damagedHeader: row(
    'note',
    'A segment header is damaged, but its records are whole and follow on those before them: nothing is lost.',
  ),
  damagedWatermark: row('note', 'A begin or cover record is damaged; it holds nothing of any group.'),
  damagedIdentity: row(
    'note',
    'A boot, peer, admission or purge record is damaged. A lost boot or admission is caught by the other ' +
      'members; lost peers are reported, because an old directory of theirs would not be recognised.',
  ),
  damagedRecord: row(
    'failGroup',
    'The record was synced: a later batch says so. Its header is whole and names the group.',
  ),
  incompleteGroup: row('failGroup', 'Records of this group are missing from what remains of the log.'),
  lostRecords: row('failAll', 'Synced records are unreadable, and nothing says whose they were.'),
  missingSegment: row('failAll', 'A segment between others, or before the first, is missing.'),
  headersDamaged: row(
    'refuse',
    'the header of every segment is damaged although records follow, so it cannot be told whose log this is',
  ),
  otherCluster: row('refuse', 'it belongs to another cluster'),
  otherNode: row('refuse', 'it belongs to another node'),
  mixedSegments: row('refuse', 'segments of different logs lie in one directory'),
  unknownFormat: row('refuse', 'a later version wrote it'),
  unknownKind: row(
    'refuse',
    'a later version wrote records to it that this one cannot apply and must not skip',
  ),
} as const

function row(decision: Decision, reason: string): RecoveryRow {
  return { decision, reason }
}

/** One line of what recovery has to say. */
export interface Finding {
  readonly found: Found
  readonly decision: Decision
  readonly file: string
  readonly offset: number
  readonly detail: string
}

export const finding = (found: Found, file: string, offset: number, detail: string): Finding => ({
  found,
  decision: RECOVERY_TABLE[found].decision,
  file,
  offset,
  detail,
})
