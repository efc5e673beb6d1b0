import { pb } from '@kvorum/protocol'
import { defineClientCommand, DONE, FAILED, type Command } from '../command.js'
import type { Connection } from '../connection.js'
import { askEndpoint, CLUSTER_FLAG, endpointsToAsk } from '../everyEndpoint.js'
import { toggle } from '../flag.js'
import { createPrinter, type Printer } from '../format/printer.js'
import { accepted, rejected } from '../parsed.js'
import { alarmName } from './endpoint.js'
import { defineVerb, NO_FLAGS } from './verb.js'

const { GET, DEACTIVATE } = pb.AlarmRequestAlarmAction

const ALARM_VERB = {
  usage: '',
  flags: NO_FLAGS,
  rest: { least: 0, most: 0 },
  prepare: () => accepted(null),
  simple: (out: Printer, { alarms }: pb.AlarmResponse): void => {
    for (const { memberID, alarm } of alarms) out.line(`memberID:${memberID} alarm:${alarmName(alarm)} `)
  },
  fields: (out: Printer, { alarms }: pb.AlarmResponse): void => {
    for (const { memberID, alarm } of alarms) {
      out.field('MemberID', memberID)
      out.field('AlarmType', alarmName(alarm))
      out.line('')
    }
  },
  table: ({ alarms }: pb.AlarmResponse) => ({
    head: ['MEMBER ID', 'ALARM'],
    rows: alarms.map(({ memberID, alarm }) => [String(memberID), alarmName(alarm)]),
  }),
} as const

const alarmList = defineVerb({
  ...ALARM_VERB,
  name: 'alarm list',
  summary: 'Prints the alarms of all members.',
  ask: connection => connection.call('etcdserverpb.Maintenance/Alarm', { action: GET }),
})

/** One after the other; the answer names those that were taken back. */
async function disarm(connection: Connection): Promise<pb.AlarmResponse> {
  const found = await connection.call('etcdserverpb.Maintenance/Alarm', { action: GET })
  const alarms: pb.AlarmMember[] = []
  let { header } = found
  for (const alarm of found.alarms) {
    const gone = await connection.call('etcdserverpb.Maintenance/Alarm', { action: DEACTIVATE, ...alarm })
    header = gone.header
    alarms.push(...gone.alarms)
  }
  return { header, alarms }
}

const alarmDisarm = defineVerb({
  ...ALARM_VERB,
  name: 'alarm disarm',
  summary: 'Takes all alarms back, and prints which.',
  details: 'For NOSPACE: make room first, by compaction or by deleting, else it is raised again.',
  ask: disarm,
})

const COMPACTION_FLAGS = {
  physical: toggle('Wait until the old versions are gone from the disks.'),
} as const

const compaction = defineVerb({
  name: 'compaction',
  usage: '<revision> [--physical]',
  summary: 'Forgets what keys held before a revision.',
  flags: COMPACTION_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest: [given = ''], flags: { physical } }) => {
    const revision = /^[0-9]+$/.test(given) ? Number(given) : NaN
    return Number.isSafeInteger(revision)
      ? accepted({ revision, physical })
      : rejected(`"${given}" is not a revision`)
  },
  ask: (connection, request) => connection.call('etcdserverpb.KV/Compact', request),
  simple: (out, _response, { revision }) => out.line(`compacted revision ${revision}`),
})

/** One member after the other: an etcd server answers nobody meanwhile. */
const defrag = defineClientCommand<typeof CLUSTER_FLAG, { readonly cluster: boolean }>({
  name: 'defrag',
  usage: '[flags]',
  summary: 'Gives room back to the file system, on servers of etcd; kvorum does so by itself.',
  flags: CLUSTER_FLAG,
  rest: { least: 0, most: 0 },
  prepare: ({ flags }) => accepted(flags),
  run: async (io, globals, flags) => {
    const out = createPrinter(io, globals)
    let code = DONE
    for (const endpoint of await endpointsToAsk(io, globals, flags)) {
      const done = await askEndpoint(io, globals, endpoint, connection =>
        connection.call('etcdserverpb.Maintenance/Defragment', {}),
      )
      if (done.ok) out.line(`Finished defragmenting etcd member[${endpoint}]`)
      else {
        io.say(`Failed to defragment etcd member[${endpoint}] (${done.reason})`)
        code = FAILED
      }
    }
    return code
  },
})

export const maintenanceCommands: readonly Command[] = [alarmList, alarmDisarm, compaction, defrag]
