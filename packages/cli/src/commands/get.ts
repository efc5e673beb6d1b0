import { EMPTY } from '@kvorum/model'
import { pb, type Init } from '@kvorum/protocol'
import { defineClientCommand } from '../command.js'
import { withConnection } from '../session.js'
import { choice, count, toggle, type FlagValues } from '../flag.js'
import { toJsonText } from '../format/json.js'
import { createPrinter, printHeaderFields, printKeyValueFields, printPair } from '../format/printer.js'
import type { Printer } from '../format/printer.js'
import { accepted, type Parsed } from '../parsed.js'
import type { Arguments } from '../arguments.js'
import { keyRange, RANGE_FLAGS } from '../keyRange.js'

const { NONE, ASCEND, DESCEND } = pb.RangeRequestSortOrder
const { KEY, VERSION, CREATE, MOD, VALUE } = pb.RangeRequestSortTarget

export const GET_FLAGS = {
  ...RANGE_FLAGS,
  rev: count('revision', 'Read as of this revision; 0 is the latest.'),
  limit: count('n', 'At most this many keys; 0 is no limit.'),
  'keys-only': toggle('Leave the values out.'),
  'count-only': toggle('Print only how many keys there are.'),
  'sort-by': choice(
    { key: 'key', version: 'version', create: 'create', modify: 'modify', value: 'value' },
    'key',
    'What to sort by.',
  ),
  order: choice({ ascend: 'ascend', descend: 'descend' }, 'ascend', 'Which way to sort.'),
  'print-value-only': toggle('Print values without their keys.'),
  consistency: choice(
    { l: 'l', s: 's' },
    'l',
    'l: the newest state, agreed on by a majority. s: what the asked node has, possibly old.',
  ),
} as const

const TARGETS = { key: KEY, version: VERSION, create: CREATE, modify: MOD, value: VALUE } as const

/** The request that the arguments ask for; transactions use the same words. */
export function getRequest(args: Arguments<typeof GET_FLAGS>): Parsed<Init<pb.RangeRequest>> {
  const range = keyRange(args)
  if (!range.ok) return range
  const { flags, given } = args
  const sorted = given.has('sort-by') || given.has('order')
  return accepted({
    ...range.value,
    revision: flags.rev,
    limit: flags.limit,
    keys_only: flags['keys-only'],
    count_only: flags['count-only'],
    sort_order: !sorted ? NONE : flags.order === 'descend' ? DESCEND : ASCEND,
    sort_target: TARGETS[flags['sort-by']],
    serializable: flags.consistency === 's',
  })
}

interface Prepared {
  readonly request: Init<pb.RangeRequest>
  readonly flags: FlagValues<typeof GET_FLAGS>
}

export const get = defineClientCommand<typeof GET_FLAGS, Prepared>({
  name: 'get',
  usage: '<key> [range-end] [flags]',
  summary: 'Reads a key, the keys from one to another, or all with a prefix.',
  flags: GET_FLAGS,
  rest: { least: 1, most: 2 },
  prepare: args => {
    const request = getRequest(args)
    return request.ok ? accepted({ request: request.value, flags: args.flags }) : request
  },
  run: (io, globals, { request, flags }) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.KV/Range', request)
      const out = createPrinter(io, globals)
      if (out.format === 'json') out.line(toJsonText(response))
      else if (out.format === 'fields') printRangeFields(out, response)
      else if (flags['count-only']) out.line(String(response.count))
      else for (const kv of response.kvs) printEntry(out, kv, flags)
    }),
})

function printEntry(out: Printer, kv: pb.KeyValue, flags: FlagValues<typeof GET_FLAGS>): void {
  if (flags['print-value-only']) out.bytes(kv.value)
  else printPair(out, flags['keys-only'] ? { ...kv, value: EMPTY } : kv)
}

export function printRangeFields(out: Printer, response: pb.RangeResponse): void {
  printHeaderFields(out, response.header)
  for (const kv of response.kvs) printKeyValueFields(out, '', kv)
  out.field('More', response.more)
  out.field('Count', response.count)
}
