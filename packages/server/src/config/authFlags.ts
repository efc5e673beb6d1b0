import { integer, text } from './flag.js'

/** Who may do what, and who did. */
export const AUTH_FLAGS = {
  'auth-token': text(
    'simple',
    'kind',
    'Tokens: simple, or jwt,priv-key=FILE,pub-key=FILE,sign-method=RS256,ttl=5m.',
  ),
  'auth-token-ttl': integer(
    300,
    { least: 1, most: 31_536_000 },
    'seconds',
    'Seconds that a simple token lives after its last use.',
  ),
  'audit-log': text(
    '',
    'file',
    'Where to write who changed what, one JSON object per line. Default: nowhere.',
  ),
} as const
