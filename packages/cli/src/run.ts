import { DONE, FAILED, MISUSED, type Command } from './command.js'
import { authCommands } from './commands/auth.js'
import { del } from './commands/del.js'
import { dev } from './commands/dev.js'
import { endpointCommands } from './commands/endpoint.js'
import { get } from './commands/get.js'
import { leaseCommands } from './commands/lease.js'
import { maintenanceCommands } from './commands/maintenance.js'
import { memberCommands } from './commands/member.js'
import { nodeCommands } from './commands/node.js'
import { put } from './commands/put.js'
import { roleCommands } from './commands/role.js'
import { server } from './commands/server.js'
import { shardCommands } from './commands/shard.js'
import { snapshotCommands } from './commands/snapshot.js'
import { txn } from './commands/txn.js'
import { userCommands } from './commands/user.js'
import { watch } from './commands/watch.js'
import type { Io } from './io.js'
import { flagsLast } from './leadingFlags.js'

export const COMMANDS: readonly Command[] = [
  dev,
  server,
  put,
  get,
  del,
  watch,
  txn,
  ...leaseCommands,
  ...authCommands,
  ...userCommands,
  ...roleCommands,
  ...memberCommands,
  ...nodeCommands,
  ...shardCommands,
  ...snapshotCommands,
  ...maintenanceCommands,
  ...endpointCommands,
]

/** Runs one command line; resolves to the status of the process. */
export async function run(io: Io, given: readonly string[]): Promise<number> {
  const one = flagsLast(given, 1)
  const argv = COMMANDS.some(({ name }) => name.startsWith(`${one[0]} `)) ? flagsLast(one, 2) : one
  const [first, second = ''] = argv
  if (first === undefined || ['help', '--help', '-h'].includes(first)) {
    io.write(overview())
    return first === undefined ? MISUSED : DONE
  }
  const command = COMMANDS.find(({ name }) => name === first || name === `${first} ${second}`)
  if (command === undefined) return unknown(io, first, second)
  try {
    return await command.execute(io, argv.slice(command.name.split(' ').length))
  } catch (error) {
    io.say(`Error: ${error instanceof Error ? error.message : String(error)}`)
    return FAILED
  }
}

function unknown(io: Io, first: string, second: string): number {
  const family = COMMANDS.filter(({ name }) => name.startsWith(`${first} `))
  if (family.length > 0 && ['', '--help', '-h'].includes(second)) {
    io.write(family.map(row).join(''))
    return second === '' ? MISUSED : DONE
  }
  const typed = family.length > 0 ? `${first} ${second}` : first
  io.say(`Error: there is no command "${typed}"; kvorum --help lists them.`)
  return MISUSED
}

const NAME_WIDTH = 2 + Math.max(...COMMANDS.map(({ name }) => name.length))
const row = ({ name, summary }: Command): string => `  ${name.padEnd(NAME_WIDTH)}${summary}\n`

const overview = (): string =>
  `Usage: kvorum <command> [arguments] [flags]

${COMMANDS.map(row).join('')}
kvorum <command> --help tells more. Client commands ask 127.0.0.1:2379 unless --endpoints, KVORUM_ENDPOINTS
or ETCDCTL_ENDPOINTS says otherwise.
`
