import { defineClientCommand, DONE, FAILED } from '../command.js'
import type { RawResponse } from '@kvorum/client'
import { explicit, toJsonText } from '../format/json.js'
import { createPrinter, printHeaderFields, type Printer } from '../format/printer.js'
import { connectOptions, endpointsOf, type GlobalValues } from '../globals.js'
import { accepted } from '../parsed.js'
import type { Io } from '../io.js'

type Status = RawResponse<'etcdserverpb.Maintenance/Status'>

export const status = defineClientCommand<Record<never, never>, null>({
  name: 'status',
  usage: '[flags]',
  summary: 'Asks each endpoint how it is.',
  details: 'Simple output: endpoint, id, version, size, is leader, is learner, term, index, applied, errors.',
  flags: {},
  rest: { least: 0, most: 0 },
  prepare: () => accepted(null),
  run: async (io, globals) => {
    const out = createPrinter(io, globals)
    const answers: { endpoint: string; status: Status }[] = []
    let code = DONE
    for (const endpoint of endpointsOf(globals, io.env)) {
      try {
        answers.push({ endpoint, status: await ask(io, globals, endpoint) })
      } catch (error) {
        io.say(`Error: ${endpoint}: ${error instanceof Error ? error.message : String(error)}`)
        code = FAILED
      }
    }
    print(out, answers)
    return code
  },
})

async function ask(io: Io, globals: GlobalValues, endpoint: string): Promise<Status> {
  const connection = await io.connect(connectOptions(globals, io.env, [endpoint]))
  try {
    return await connection.call('etcdserverpb.Maintenance/Status', {})
  } finally {
    await connection.close()
  }
}

function print(out: Printer, answers: readonly { endpoint: string; status: Status }[]): void {
  if (out.format === 'json') {
    const items = answers.map(({ endpoint, status }) => explicit({ Endpoint: endpoint, Status: status }))
    out.line(`[${items.join(',')}]`)
  } else if (out.format === 'fields') {
    for (const { endpoint, status } of answers) printFields(out, endpoint, status)
  } else {
    for (const { endpoint, status } of answers) out.line(row(endpoint, status))
  }
}

const isLeader = ({ header, leader }: Status): boolean => leader !== 0n && leader === header?.member_id

const row = (endpoint: string, status: Status): string =>
  [
    endpoint,
    (status.header?.member_id ?? 0n).toString(16),
    status.version,
    formatBytes(status.dbSize),
    isLeader(status),
    status.isLearner,
    status.raftTerm,
    status.raftIndex,
    status.raftAppliedIndex,
    status.errors.join('; '),
  ].join(', ')

/** Powers of 1000, two digits: `20 kB`, `1.5 MB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let size = bytes
  let unit = 0
  for (; size >= 999.5 && unit < units.length - 1; unit++) size /= 1000
  return `${unit > 0 && size < 9.95 ? size.toFixed(1) : size.toFixed(0)} ${units[unit]}`
}

function printFields(out: Printer, endpoint: string, status: Status): void {
  printHeaderFields(out, status.header)
  out.field('Version', Buffer.from(status.version))
  out.field('DBSize', status.dbSize)
  out.field('Leader', status.leader)
  out.field('IsLearner', status.isLearner)
  out.field('RaftIndex', status.raftIndex)
  out.field('RaftTerm', status.raftTerm)
  out.field('RaftAppliedIndex', status.raftAppliedIndex)
  out.field('Errors', toJsonText(status.errors))
  out.field('Endpoint', Buffer.from(endpoint))
  out.line('')
}
