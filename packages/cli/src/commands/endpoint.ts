import type { RawResponse } from '@kvorum/client'
import { utf8 } from '@kvorum/model'
import { pb } from '@kvorum/protocol'
import { defineClientCommand, DONE, FAILED, type Command } from '../command.js'
import type { Connection } from '../connection.js'
import { askEvery, CLUSTER_FLAG, endpointsToAsk, type EndpointAnswer } from '../everyEndpoint.js'
import { count } from '../flag.js'
import { durationText } from '../format/duration.js'
import { explicit } from '../format/json.js'
import { createPrinter, printHeaderFields, type Printer } from '../format/printer.js'
import { tableText } from '../format/table.js'
import type { Io } from '../io.js'
import { accepted } from '../parsed.js'
import { statusFields, statusRow, STATUS_TITLES } from './status.js'

/** What one endpoint said, in every form of output. */
interface Shown {
  readonly simple: string
  readonly json: string
  /** Beneath the titles of the table. */
  readonly row: readonly string[]
  fields(out: Printer): void
}

function print(out: Printer, titles: readonly string[], answers: readonly Shown[]): void {
  if (out.format === 'json') out.line(`[${answers.map(({ json }) => json).join(',')}]`)
  else if (out.format === 'fields') for (const answer of answers) answer.fields(out)
  else if (out.format === 'simple') for (const { simple } of answers) out.line(simple)
  else {
    const rows = answers.map(({ row }) => row)
    out.line(tableText(titles, rows))
  }
}

/** Says who did not answer; what the others said. */
function answered<Value>(
  io: Io,
  what: string,
  answers: readonly EndpointAnswer<Value>[],
): { readonly endpoint: string; readonly value: Value }[] {
  for (const answer of answers)
    if (!answer.ok) io.say(`Failed to get the ${what} of endpoint ${answer.endpoint} (${answer.reason})`)
  return answers.flatMap(answer => (answer.ok ? [{ endpoint: answer.endpoint, value: answer.value }] : []))
}

const statusNamed = (name: string): Command =>
  defineClientCommand<typeof CLUSTER_FLAG, { readonly cluster: boolean }>({
    name,
    usage: '[flags]',
    summary: 'Asks each endpoint how it is.',
    details: `Simple output: ${STATUS_TITLES.join(', ').toLowerCase()}.`,
    flags: CLUSTER_FLAG,
    tables: true,
    rest: { least: 0, most: 0 },
    prepare: ({ flags }) => accepted(flags),
    run: async (io, globals, flags) => {
      const endpoints = await endpointsToAsk(io, globals, flags)
      const answers = await askEvery(io, globals, endpoints, connection =>
        connection.call('etcdserverpb.Maintenance/Status', {}),
      )
      const found = answered(io, 'status', answers)
      print(
        createPrinter(io, globals),
        STATUS_TITLES,
        found.map(({ endpoint, value }) => ({
          simple: statusRow(endpoint, value).join(', '),
          json: explicit({ Endpoint: endpoint, Status: value }),
          row: statusRow(endpoint, value),
          fields: out => statusFields(out, endpoint, value),
        })),
      )
      return found.length === answers.length ? DONE : FAILED
    },
  })

const HASH_FLAGS = {
  ...CLUSTER_FLAG,
  rev: count('revision', 'The newest revision in the hash; 0 is the newest that the endpoint has.'),
} as const

const hashKv = defineClientCommand<typeof HASH_FLAGS, { readonly cluster: boolean; readonly rev: number }>({
  name: 'endpoint hashkv',
  usage: '[flags]',
  summary: 'Prints the hash of all versions that each endpoint has.',
  details:
    'Simple output: endpoint, hash. Members of one cluster have the same hash for one --rev, unless one of them\n' +
    'has compacted more of the history than another.',
  flags: HASH_FLAGS,
  tables: true,
  rest: { least: 0, most: 0 },
  prepare: ({ flags }) => accepted(flags),
  run: async (io, globals, flags) => {
    const endpoints = await endpointsToAsk(io, globals, flags)
    const answers = await askEvery(io, globals, endpoints, connection =>
      connection.call('etcdserverpb.Maintenance/HashKV', { revision: flags.rev }),
    )
    const found = answered(io, 'hash', answers)
    print(
      createPrinter(io, globals),
      ['ENDPOINT', 'HASH'],
      found.map(({ endpoint, value }) => ({
        simple: `${endpoint}, ${value.hash}`,
        json: explicit({ Endpoint: endpoint, HashKV: value }),
        row: [endpoint, String(value.hash)],
        fields: out => printHashFields(out, endpoint, value),
      })),
    )
    return found.length === answers.length ? DONE : FAILED
  },
})

function printHashFields(
  out: Printer,
  endpoint: string,
  { header, hash }: RawResponse<'etcdserverpb.Maintenance/HashKV'>,
): void {
  printHeaderFields(out, header)
  out.field('Endpoint', Buffer.from(endpoint))
  out.field('Hash', hash)
  out.line('')
}

const health = defineClientCommand<typeof CLUSTER_FLAG, { readonly cluster: boolean }>({
  name: 'endpoint health',
  usage: '[flags]',
  summary: 'Asks each endpoint for a linearizable read, and for alarms.',
  details: 'An endpoint that is not allowed to read the key "health" for this user is healthy, too.',
  flags: CLUSTER_FLAG,
  tables: true,
  rest: { least: 0, most: 0 },
  prepare: ({ flags }) => accepted(flags),
  run: async (io, globals, flags) => {
    const endpoints = await endpointsToAsk(io, globals, flags)
    const answers = await askEvery(io, globals, endpoints, problemAt)
    const shown = answers.map(showHealth)
    print(createPrinter(io, globals), ['ENDPOINT', 'HEALTH', 'TOOK', 'ERROR'], shown)
    if (shown.every(({ row: [, healthy] }) => healthy === 'true')) return DONE
    io.say('Error: unhealthy cluster')
    return FAILED
  },
})

/** What is wrong; '' where nothing is. */
async function problemAt(connection: Connection): Promise<string> {
  try {
    await connection.call('etcdserverpb.KV/Range', { key: utf8('health') })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_KV_PERMISSION_DENIED')) throw error
  }
  const { alarms } = await connection.call('etcdserverpb.Maintenance/Alarm', {
    action: pb.AlarmRequestAlarmAction.GET,
  })
  return alarms.length === 0
    ? ''
    : `Active Alarm(s): ${alarms.map(({ alarm }) => alarmName(alarm)).join(' ')}`
}

export const alarmName = (alarm: number): string =>
  Object.entries(pb.AlarmType).find(([, number]) => number === alarm)?.[0] ?? String(alarm)

function showHealth(answer: EndpointAnswer<string>): Shown {
  const { endpoint } = answer
  const took = durationText(answer.tookMs)
  const error = answer.ok ? answer.value : answer.reason
  const healthy = error === ''
  return {
    simple: healthy
      ? `${endpoint} is healthy: successfully committed proposal: took = ${took}`
      : `${endpoint} is unhealthy: failed to commit proposal: ${error}`,
    json: explicit({ endpoint, health: healthy, took, ...(healthy ? {} : { error }) }),
    row: [endpoint, String(healthy), took, error],
    fields: out => {
      out.field('Endpoint', Buffer.from(endpoint))
      out.field('Health', healthy)
      out.field('Took', took)
      out.field('Error', error)
      out.line('')
    },
  }
}

export const endpointCommands: readonly Command[] = [
  health,
  statusNamed('endpoint status'),
  hashKv,
  statusNamed('status'),
]
