import { createServer } from 'node:http'

/**
 * Stands in for a server under the supervision of `kvorum dev`: node-1 leads as long as it lives, else node-2.
 * Flags it understands beside the server's: --test-refuse (ends at once with a sentence), --test-deaf (ignores
 * SIGTERM).
 */
const flags = new Map(
  process.argv.slice(3).map(argument => {
    const [name = '', value = ''] = argument.replace(/^--/, '').split(/=(.*)/s)
    return [name, value] as const
  }),
)
const log = (level: string, msg: string): void =>
  void process.stderr.write(`${JSON.stringify({ level, msg })}\n`)

if (flags.has('test-refuse')) {
  process.stderr.write('kvorum: The data directory is not a directory.\n')
  process.exit(1)
}

const self = flags.get('name') ?? ''
const port = Number(new URL(flags.get('listen-client-urls') ?? '').port)
const status = { header: { member_id: self }, leader: 'node-1', raftTerm: '2' }
// Before it says anything: whoever hears it may stop it at once.
process.on('SIGTERM', () => {
  log('info', 'asked to stop')
  if (!flags.has('test-deaf')) process.exit(0)
})
log('info', 'answering clients')
log('warn', `I am ${self}`)
createServer((_request, response) => response.end(JSON.stringify(status))).listen(port, '127.0.0.1')
