import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { certificates } from './certificates.js'
import { Cluster } from './cluster.js'
import { ETCD_ENVIRONMENT, etcdctlVersion } from './etcdPrograms.js'
import { until } from './until.js'

t.setTimeout(600_000)

const KVORUM = fileURLToPath(new URL('../../../bin/kvorum.js', import.meta.url))
const skip = etcdctlVersion() === null && process.env['CI'] !== 'true' ? 'etcdctl is not installed' : false

interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

function ran(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return new Promise(resolve => {
    const environment = { ...ETCD_ENVIRONMENT, ...env }
    execFile(program, args, { env: environment }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
    )
  })
}

t.test('three nodes, mutual TLS on both ports, etcdctl and kvorum against them', { skip }, async t => {
  const { path, issue } = await certificates(t, { node: ['127.0.0.1'], client: [] })
  const cluster = await Cluster.start(t, {
    tls: [
      ...['', 'peer-'].flatMap(side => [
        `--${side}cert-file=${path('node.pem')}`,
        `--${side}key-file=${path('node.key')}`,
        `--${side}trusted-ca-file=${path('ca.pem')}`,
        `--${side}client-cert-auth`,
      ]),
      '--require-peer-tls',
    ],
  })
  const urls = cluster.nodes.map(({ plan }) => plan.secureUrl!)
  const hosts = `--endpoints=${urls.map(url => new URL(url).host).join()}`
  const shown = [`--cacert=${path('ca.pem')}`, `--cert=${path('client.pem')}`, `--key=${path('client.key')}`]
  const etcdctl = (...args: string[]) =>
    ran('etcdctl', [hosts, '--command-timeout=20s', '--dial-timeout=10s', ...args])

  t.match(await etcdctl(...shown, 'put', 'k', 'v'), { status: 0, stdout: 'OK\n' })
  t.match(await etcdctl(...shown, 'get', 'k'), { status: 0, stdout: 'k\nv\n' })
  t.match(await etcdctl(...shown, 'endpoint', 'health'), { status: 0 })
  const status = await etcdctl(...shown, 'endpoint', 'status')
  t.equal(status.stdout.trim().split('\n').length, 3)
  t.match(
    await etcdctl(shown[0]!, '--dial-timeout=2s', '--command-timeout=2s', 'get', 'k'),
    { stdout: '' },
    'no certificate',
  )

  const https = `--endpoints=${urls.join()}`
  const kvorum = (...args: string[]) => ran(process.execPath, [KVORUM, ...args])
  t.match(await kvorum('get', 'k', https, ...shown), { status: 0, stdout: 'k\nv\n' })
  t.match(await kvorum('get', 'k', hosts, ...shown), { status: 0, stdout: 'k\nv\n' }, 'TLS without a scheme')
  const env = {
    ETCDCTL_ENDPOINTS: urls.join(),
    ETCDCTL_CACERT: path('ca.pem'),
    ETCDCTL_CERT: path('client.pem'),
    ETCDCTL_KEY: path('client.key'),
  }
  t.match(await ran(process.execPath, [KVORUM, 'put', 'k', 'w'], env), { status: 0, stdout: 'OK\n' })
  t.match(await kvorum('get', 'k', https, shown[0]!), { status: 1 }, 'no certificate')
  t.match(await kvorum('get', 'k', https, ...shown.slice(1)), { status: 1 }, 'nobody to trust')
  const skipping = await kvorum('get', 'k', https, ...shown.slice(1), '--insecure-skip-tls-verify')
  t.match(skipping, { status: 0, stdout: 'k\nw\n' })

  // The leader dies, and comes back with other certificates, as everybody has by then.
  const leader = await cluster.leader()
  await leader.stop('SIGKILL')
  await issue('node')
  await until('the others to take the new certificates', async () => {
    const others = cluster.others(leader)
    return others.every(({ log }) => (log.match(/certificates were changed/g) ?? []).length >= 2)
      ? true
      : null
  })
  t.match(await etcdctl(...shown, 'put', 'k', 'x'), { status: 0 })
  leader.start()
  await cluster.healthy()
  t.match(await etcdctl(...shown, 'get', 'k', '--print-value-only'), { stdout: 'x\n' })
})

t.test('a member with a certificate of another host is kept out', async t => {
  const { path } = await certificates(t, { node: ['127.0.0.1'], other: ['10.9.9.9'] })
  const flags = (name: string): string[] => [
    `--peer-cert-file=${path(`${name}.pem`)}`,
    `--peer-key-file=${path(`${name}.key`)}`,
    `--peer-trusted-ca-file=${path('ca.pem')}`,
    '--peer-client-cert-auth',
    // Clients are not what this is about.
    `--cert-file=${path('node.pem')}`,
    `--key-file=${path('node.key')}`,
  ]
  const cluster = await Cluster.create(t, { tls: flags('node') })
  const [first, second, third] = cluster.nodes as [
    (typeof cluster.nodes)[0],
    (typeof cluster.nodes)[0],
    (typeof cluster.nodes)[0],
  ]
  const plan = third.plan as { -readonly [Key in keyof typeof third.plan]: (typeof third.plan)[Key] }
  plan.flags = [...plan.flags, ...flags('other')]
  for (const node of cluster.nodes) node.start()
  await first.logged(/its certificate covers none of the hosts of the member it speaks for/)
  await third.logged(/answering clients/)
  t.equal((await third.status())?.leader ?? '0', '0', 'it knows of no leader')
  await third.stop('SIGTERM')
  plan.flags = [...plan.flags, ...flags('node')]
  third.start()
  await cluster.healthy([first, second, third])
  t.not((await third.status())?.leader, '0')
})
