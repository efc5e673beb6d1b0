import type { Init, pb } from '@kvorum/protocol'
import { defineClientCommand, DONE, FAILED } from '../command.js'
import { count, toggle } from '../flag.js'
import { explicit } from '../format/json.js'
import { createPrinter, printHeaderFields, printKeyValueFields, printPair } from '../format/printer.js'
import type { Printer } from '../format/printer.js'
import { keyRange } from '../keyRange.js'
import { accepted, type Parsed } from '../parsed.js'
import { withConnection } from '../session.js'
import type { Io } from '../io.js'
import type { Arguments } from '../arguments.js'

const WATCH_FLAGS = {
  prefix: toggle('Every key that begins with <key>.'),
  'from-key': toggle('Every key from <key> on, in byte order.'),
  rev: count('revision', 'Begin with the changes of this revision; 0 is from now on.'),
  'prev-kv': toggle('Print what the key held before each change.'),
  'progress-notify': toggle('Print the revision now and then while nothing changes.'),
} as const

function watchRequest(args: Arguments<typeof WATCH_FLAGS>): Parsed<Init<pb.WatchCreateRequest>> {
  const range = keyRange(args)
  if (!range.ok) return range
  return accepted({
    ...range.value,
    start_revision: args.flags.rev,
    prev_kv: args.flags['prev-kv'],
    progress_notify: args.flags['progress-notify'],
  })
}

export const watch = defineClientCommand<typeof WATCH_FLAGS, Init<pb.WatchCreateRequest>>({
  name: 'watch',
  usage: '<key> [range-end] [flags]',
  summary: 'Prints changes as they happen, until it is stopped.',
  flags: WATCH_FLAGS,
  rest: { least: 1, most: 2 },
  prepare: watchRequest,
  run: (io, globals, request) =>
    withConnection(io, globals, async connection => {
      const out = createPrinter(io, globals)
      for await (const response of connection.watch(request)) {
        if (response.canceled) return canceled(io, response)
        printResponse(out, response)
      }
      return DONE
    }),
})

function canceled(io: Io, { compact_revision: compacted, cancel_reason: reason }: pb.WatchResponse): number {
  const why = compacted > 0 ? `the history before revision ${compacted} has been compacted` : reason
  io.say(`Error: the server canceled the watch: ${why === '' ? 'it gave no reason' : why}`)
  return FAILED
}

function printResponse(out: Printer, response: pb.WatchResponse): void {
  if (out.format === 'json') out.line(responseJson(response))
  else if (out.format === 'fields') printFields(out, response)
  else if (response.events.length === 0) out.line(`progress: ${response.header?.revision ?? 0}`)
  else for (const event of response.events) printEvent(out, event)
}

const typeName = (event: pb.Event): string => (event.type === 0 ? 'PUT' : 'DELETE')

function printEvent(out: Printer, event: pb.Event): void {
  out.line(typeName(event))
  if (event.prev_kv !== null) printPair(out, event.prev_kv)
  if (event.kv !== null) printPair(out, event.kv)
}

function printFields(out: Printer, response: pb.WatchResponse): void {
  printHeaderFields(out, response.header)
  for (const event of response.events) {
    out.field('Type', typeName(event))
    if (event.prev_kv !== null) printKeyValueFields(out, 'Prev', event.prev_kv)
    if (event.kv !== null) printKeyValueFields(out, '', event.kv)
  }
}

const responseJson = (response: pb.WatchResponse): string =>
  explicit({
    Header: response.header ?? {},
    Events: response.events,
    CompactRevision: response.compact_revision,
    Canceled: response.canceled,
    Created: response.created,
  })
