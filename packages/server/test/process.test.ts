import { spawn } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { until } from './harness.js'

const FIXTURE = join(import.meta.dirname, 'processFixture.js')

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Starts a process of its own; tap's instruments would slow it down and are left out. */
function start(argv: string[], environment: Record<string, string> = {}) {
  const env = { ...process.env, ...environment }
  const child = spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', process.execPath, FIXTURE, ...argv], { env })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const ended = new Promise<Ended>(resolve => child.on('close', code => resolve({ code, out, err })))
  return { child, ended, err: () => err }
}

const flags = (directory: string, port = 0): string[] => [
  `--listen-client-urls=http://127.0.0.1:${port}`,
  `--data-dir=${directory}/data`,
]

t.test('help, and a flag that is none', async t => {
  t.match(await start(['--help']).ended, { code: 0, out: /--listen-client-urls/, err: '' })
  t.strictSame(await start(['--nonsense']).ended, {
    code: 2,
    out: '',
    err: 'kvorum: There is no flag --nonsense; see --help.\n',
  })
})

t.test('a port in use is one sentence and status 1', async t => {
  const holder = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => holder.once('listening', resolve))
  const { port } = holder.address() as AddressInfo
  const ended = await start([...flags(t.testdir(), port), '--log-level=fatal']).ended
  t.strictSame(ended, {
    code: 1,
    out: '',
    err: `kvorum: The client address 127.0.0.1:${port} is already in use.\n`,
  })
  holder.close()
})

t.test('the first signal stops in good order', async t => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const running = start(flags(t.testdir()))
    await until(() => running.err().includes('answering clients'), 'the start')
    running.child.kill(signal)
    const { code, err } = await running.ended
    t.equal(code, 0)
    t.match(err, /"msg":"stopped"/)
  }
})

t.test('the second signal stops at once', async t => {
  const running = start([...flags(t.testdir()), '--log-format=console'], { TROUBLE: 'hang' })
  await until(() => running.err().includes('answering clients'), 'the start')
  running.child.kill('SIGTERM')
  await until(() => running.err().includes('stopping'), 'the first signal to arrive')
  running.child.kill('SIGTERM')
  const { code, err } = await running.ended
  t.equal(code, 1)
  t.match(err, /WARN {2}stopping at once/)
})

t.test('what cannot be survived ends the process, with the reason', async t => {
  const rejected = await start(flags(t.testdir()), { TROUBLE: 'reject' }).ended
  t.match(rejected, { code: 1, err: /a promise failed unheard: Error: nobody listens/ })
  const fatal = await start(flags(t.testdir()), { TROUBLE: 'fatal' }).ended
  t.match(fatal, { code: 1, err: /the log cannot be synced/ })
})
