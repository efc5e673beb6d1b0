import { execFile } from 'node:child_process'
import t from 'tap'
import { Cluster } from './cluster.js'
import { ETCD_ENVIRONMENT, etcdctlVersion } from './etcdPrograms.js'
import { until } from './until.js'

t.setTimeout(600_000)

const skip = etcdctlVersion() === null && process.env['CI'] !== 'true' ? 'etcdctl is not installed' : false

const QUOTA_BYTES = 1_000_000
const NO_SPACE = /etcdserver: mvcc: database space exceeded/

interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

t.test('etcdctl fills a small quota on three nodes, and makes room again', { skip }, async t => {
  const cluster = await Cluster.start(t, { flags: [`--quota-backend-bytes=${QUOTA_BYTES}`] })
  const hosts = cluster.endpoints.map(url => new URL(url).host)
  const etcdctl = (args: readonly string[], input = '', endpoints = hosts): Promise<Ran> =>
    new Promise(resolve => {
      const argv = [`--endpoints=${endpoints.join()}`, '--command-timeout=20s', ...args]
      const child = execFile('etcdctl', argv, { env: ETCD_ENVIRONMENT }, (error, stdout, stderr) =>
        resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
      )
      child.stdin!.end(input)
    })

  const value = 'x'.repeat(100_000)
  let written = 0
  let last = await etcdctl(['put', `big/${written}`], value)
  for (; last.status === 0 && written < 20; last = await etcdctl(['put', `big/${written}`], value)) written++
  t.equal(
    written,
    Math.floor(QUOTA_BYTES / value.length) - 1,
    'each is charged with a little more than its value',
  )
  t.match(last, { stderr: NO_SPACE })
  const alarmed = await until('the alarm', async () => {
    const { stdout } = await etcdctl(['alarm', 'list'])
    return stdout === '' ? null : stdout
  })
  t.match(alarmed, /^memberID:\d+ alarm:NOSPACE \n$/)
  for (const host of hosts) {
    t.match(await etcdctl(['put', 'small', 'v'], '', [host]), { stderr: NO_SPACE }, `a small put at ${host}`)
    t.match(await etcdctl(['get', 'big/0', '--print-value-only'], '', [host]), { stdout: `${value}\n` })
  }
  t.match(await etcdctl(['lease', 'grant', '60']), { stderr: NO_SPACE })

  t.match(await etcdctl(['del', 'big/', '--prefix']), { status: 0, stdout: `${written}\n` })
  t.match(await etcdctl(['put', 'small', 'v']), { stderr: NO_SPACE }, 'room is made by compaction')
  const { stdout } = await etcdctl(['get', 'small', '-w', 'json'])
  const { header } = JSON.parse(stdout) as { header: { revision: number } }
  t.match(await etcdctl(['compact', String(header.revision), '--physical']), { status: 0 })
  t.match(
    await etcdctl(['put', 'small', 'v']),
    { stderr: NO_SPACE },
    'the alarm stays until it is taken back',
  )
  t.match(await etcdctl(['alarm', 'disarm']), { status: 0, stdout: alarmed })
  t.match(await etcdctl(['alarm', 'list']), { status: 0, stdout: '' })
  for (const host of hosts) {
    t.match(await etcdctl(['put', 'small', host], '', [host]), { status: 0, stdout: 'OK\n' })
  }
  t.match(await etcdctl(['get', 'small', '--print-value-only']), { stdout: `${hosts.at(-1)}\n` })
})
