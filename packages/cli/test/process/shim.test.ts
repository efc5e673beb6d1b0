import { execFile } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const file = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const SHIM = file('bin/kvorum.js')
const HEALTHCHECK = file('bin/healthcheck.js')

/** Runs node without what a test runner adds to it. */
async function runNode(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const path = process.env['PATH'] ?? ''
  const command = ['-u', 'NODE_OPTIONS', process.execPath, ...argv]
  try {
    const { stdout, stderr } = await promisify(execFile)('/usr/bin/env', command, {
      env: { PATH: path, ...env },
    })
    return { status: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { status: code, stdout, stderr }
  }
}

t.test('an old Node gets one clear sentence', async t => {
  const pretend = `Object.defineProperty(process, 'versions', { value: { node: '20.18.3' } }); require(${JSON.stringify(SHIM)})`
  const { status, stdout, stderr } = await runNode(['-e', pretend])
  t.equal(status, 1)
  t.equal(stdout, '')
  t.match(stderr, /^kvorum needs Node\.js 20\.19 or newer; this is v[0-9.]+\.\n$/)
})

t.test('the command runs, and its status is the command’s', async t => {
  t.match(await runNode([SHIM, '--help']), { status: 0, stdout: /^Usage: kvorum/, stderr: '' })
  t.match(await runNode([SHIM, 'nonsense']), {
    status: 2,
    stdout: '',
    stderr: /there is no command "nonsense"/,
  })
  t.match(await runNode([SHIM, 'server', '--help']), { status: 0, stdout: /^Usage: kvorum server/ })
  t.match(await runNode([SHIM, 'server', '--nonsense']), {
    status: 2,
    stdout: '',
    stderr: /no flag --nonsense/,
  })
  const closed = await runNode([SHIM, 'get', 'k', '--endpoints', '127.0.0.1:1'])
  t.match(closed, { status: 1, stdout: '', stderr: /^Error: no server can be reached/ })
})

t.test(
  'libuv’s pool has its size before anything uses it',
  { skip: process.platform !== 'linux' },
  async t => {
    const count = `const { pbkdf2 } = require('crypto')
    process.once('beforeExit', () => {
      for (let i = 0; i < 32; i++) pbkdf2('', '', 20000, 64, 'sha512', () => {})
      setImmediate(() => console.log('threads', require('fs').readdirSync('/proc/self/task').length))
    })
    require(${JSON.stringify(SHIM)})`
    const threads = async (size?: string): Promise<number> => {
      const { stdout } = await runNode(['-e', count], size === undefined ? {} : { UV_THREADPOOL_SIZE: size })
      return Number(/threads (\d+)/.exec(stdout)?.[1])
    }
    const few = await threads('1')
    t.equal(await threads(), few + 15, '16 where nothing is said')
    t.equal(await threads('3'), few + 2, 'what is said counts')
  },
)

t.test(
  'started by a shell, the allocator has its settings before anything allocates',
  { skip: process.platform === 'win32' },
  async t => {
    const directory = t.testdir({ node: '#!/bin/sh\necho "$MALLOC_ARENA_MAX $MALLOC_MMAP_THRESHOLD_ $*"\n' })
    chmodSync(`${directory}/node`, 0o755)
    const started = async (env: NodeJS.ProcessEnv) => {
      const PATH = `${directory}:${process.env['PATH'] ?? ''}`
      return (await promisify(execFile)(SHIM, ['server', '--name=a b'], { env: { PATH, ...env } })).stdout
    }
    t.equal(await started({}), `2 131072 ${SHIM} server --name=a b\n`)
    t.equal(await started({ MALLOC_ARENA_MAX: '8' }), `8 131072 ${SHIM} server --name=a b\n`)
  },
)

t.test('the health check of the image', async t => {
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/health' ? 200 : 503
    response.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  t.equal((await runNode([HEALTHCHECK, `${url}/health`])).status, 0)
  t.equal((await runNode([HEALTHCHECK, `${url}/other`])).status, 1)
  const nobody = await runNode([HEALTHCHECK, 'http://127.0.0.1:1/health'])
  t.equal(nobody.status, 1)
  t.match(nobody.stderr, 'ECONNREFUSED')
})
