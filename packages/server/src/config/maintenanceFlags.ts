import { accepted, bool, choice, duration, rejected, text, type Flag } from './flag.js'

const GiB = 1024 ** 3
const QUOTA_DEFAULT = 2 * GiB

/** 0 stands for no bound, as behind the flag; before it, 0 is the default and anything negative no bound. */
const quota: Flag<number> = {
  kind: 'value',
  argument: 'bytes',
  fallback: '0',
  help: 'Most bytes of keys, values and their history before writes are refused; 0 is 2 GiB, -1 no bound.',
  parse: given => {
    if (!/^-?[0-9]{1,15}$/.test(given)) return rejected(`must be a whole number of bytes, not "${given}"`)
    const bytes = Number(given)
    return accepted(bytes < 0 ? 0 : bytes === 0 ? QUOTA_DEFAULT : bytes)
  },
}

/** What a server does for its data without being asked. */
export const MAINTENANCE_FLAGS = {
  'quota-backend-bytes': quota,
  'auto-disarm-nospace': bool(
    false,
    'Take a NOSPACE alarm back when compaction has made room, without an operator.',
  ),
  'auto-compaction-mode': choice(
    ['periodic', 'revision'],
    'periodic',
    'Whether --auto-compaction-retention is a time or a number of revisions.',
  ),
  'auto-compaction-retention': text(
    '0',
    'retention',
    'History that is kept: a duration such as 30m, a number of hours, or one of revisions; 0 is all.',
  ),
  'experimental-initial-corrupt-check': bool(
    false,
    "Compare this member's data with the others' before any client is served.",
  ),
  'experimental-corrupt-check-time': duration(
    '0s',
    0,
    'How often the leader compares the data of all members; 0s: never.',
  ),
  'experimental-compact-hash-check-enabled': bool(
    false,
    'Compare the data of all members after every compaction.',
  ),
  'experimental-compact-hash-check-time': duration(
    '1m',
    1,
    'How often the leader looks whether there was a compaction.',
  ),
  'experimental-warning-apply-duration': duration(
    '100ms',
    1,
    'Commands that take longer to be applied are logged.',
  ),
} as const satisfies Readonly<Record<string, Flag<unknown>>>
