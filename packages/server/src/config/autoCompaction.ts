import type { AutoCompaction } from '@kvorum/node'
import { accepted, duration, rejected, type Parsed } from './flag.js'

const HOUR_MS = 3_600_000
const OFF: AutoCompaction = { kind: 'off' }

/** What --auto-compaction-mode and --auto-compaction-retention say; a plain number is of hours, or of revisions. */
export function parseAutoCompaction(mode: 'periodic' | 'revision', given: string): Parsed<AutoCompaction> {
  const count = /^[0-9]{1,12}$/.test(given) ? Number(given) : null
  if (count === 0) return accepted(OFF)
  if (mode === 'revision') {
    if (count === null)
      return rejected(
        `--auto-compaction-retention must be a number of revisions with --auto-compaction-mode=revision, not "${given}".`,
      )
    return accepted({ kind: 'revision', keep: count })
  }
  const time = count === null ? duration('', 0, '').parse(given) : accepted(count * HOUR_MS)
  if (!time.ok) return rejected(`--auto-compaction-retention ${time.reason}.`)
  return accepted(time.value === 0 ? OFF : { kind: 'periodic', retentionMs: time.value })
}
