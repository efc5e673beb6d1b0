import { request as httpsRequest } from 'node:https'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { Client, credentials } from '@grpc/grpc-js'
import t from 'tap'
import { createAuthority, SILENT, startServer, StartError } from '@kvorum/server'
import { REGISTRY } from '#src/rpc/registry.js'
import { CertificateSource } from '#src/tls/source.js'
import { Certificates } from './certificates.js'
import { FakeNode } from './fakeNode.js'
import { configOf, dial, running, until, type Running, type Wire } from './harness.js'

const files = await Certificates.create()
t.teardown(() => files.remove())
const other = await createAuthority({ name: 'another authority' })
await files.issue('server')
await files.issue('client', { name: 'alice', hosts: [] })
await files.issue('stranger', { name: 'alice', hosts: [] }, other)
await files.expired('expired')
const revoked = await files.issue('revoked', { name: 'alice', hosts: [] })
await files.issue('bob', { name: 'bob', hosts: ['bob.example.org'] })
files.write('crl.pem', await files.authority.revoke([revoked.serial]))
files.write('other.pem', other.cert)

const SERVER = [
  '--listen-client-urls=https://127.0.0.1:0',
  `--cert-file=${files.path('server.pem')}`,
  `--key-file=${files.path('server.key')}`,
]
const MUTUAL = [
  ...SERVER,
  `--trusted-ca-file=${files.path('ca.pem')}`,
  '--client-cert-auth',
  `--client-crl-file=${files.path('crl.pem')}`,
]
const read = async (path: string): Promise<Buffer> => (await import('node:fs')).readFileSync(path)

interface Shown {
  readonly name: string | null
  readonly ca?: string
}

async function clientFiles({ name, ca = 'ca.pem' }: Shown) {
  return {
    ca: await read(files.path(ca)),
    ...(name === null
      ? {}
      : { cert: await read(files.path(`${name}.pem`)), key: await read(files.path(`${name}.key`)) }),
  }
}

/** 'ok', or that it was refused, by whichever side. */
async function overGrpc({ port }: Running, shown: Shown): Promise<string> {
  const { ca, cert, key } = { cert: null, key: null, ...(await clientFiles(shown)) }
  const client = new Client(`127.0.0.1:${port}`, credentials.createSsl(ca, key, cert), {
    'grpc.use_local_subchannel_pool': 1,
  })
  const path = '/etcdserverpb.Maintenance/Status'
  const same = (bytes: Buffer): Buffer => bytes
  try {
    return await new Promise(resolve => {
      client.makeUnaryRequest(path, same, same, Buffer.alloc(0), { deadline: Date.now() + 20_000 }, error =>
        resolve(error === null ? 'ok' : 'refused'),
      )
    })
  } finally {
    client.close()
  }
}

async function overHttp({ port }: Running, shown: Shown): Promise<string> {
  const options = await clientFiles(shown)
  return new Promise(resolve => {
    const request = httpsRequest(
      { host: '127.0.0.1', port, path: '/version', agent: false, ...options },
      response => {
        response.resume()
        resolve(response.statusCode === 200 ? 'ok' : 'refused')
      },
    )
    request.on('error', () => resolve('refused'))
    request.end()
  })
}

const LISTENERS = [
  ['gRPC', overGrpc],
  ['HTTP', overHttp],
] as const

t.test('both protocols on one port, chosen in the handshake', async t => {
  await using server = await running(SERVER)
  for (const [name, ask] of LISTENERS) {
    t.equal(await ask(server, { name: null }), 'ok', `${name}: a client that trusts the authority`)
    t.equal(await ask(server, { name: null, ca: 'other.pem' }), 'refused', `${name}: one that does not`)
  }
  const chosen = await new Promise(resolve => {
    const options: ConnectionOptions = { port: server.port, host: '127.0.0.1', rejectUnauthorized: false }
    const socket = connectTls({ ...options, ALPNProtocols: ['http/1.1', 'h2'] }, () => {
      resolve(socket.alpnProtocol)
      socket.destroy()
    })
  })
  t.equal(chosen, 'http/1.1', 'a client that takes both is one for the web')
  const plain = await dial(server.port)
  plain.socket.write('GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(plain.closed, 'the end of a connection without TLS')
  t.notMatch(plain.heard(), 'etcdserver')
  t.match((await metrics(server)).match(/kvorum_tls_client_failures_total (\d+)/)?.[1], /[1-9]/)
})

async function metrics({ port }: Running, shown: Shown = { name: null }): Promise<string> {
  const options = await clientFiles(shown)
  return new Promise((resolve, reject) => {
    httpsRequest({ host: '127.0.0.1', port, path: '/metrics', agent: false, ...options }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(text))
    })
      .on('error', reject)
      .end()
  })
}

t.test('client certificates: none, wrong authority, expired, revoked, right', async t => {
  await using server = await running(MUTUAL)
  for (const [name, ask] of LISTENERS) {
    t.equal(await ask(server, { name: null }), 'refused', `${name}: none`)
    t.equal(await ask(server, { name: 'stranger' }), 'refused', `${name}: wrong authority`)
    t.equal(await ask(server, { name: 'expired' }), 'refused', `${name}: expired`)
    t.equal(await ask(server, { name: 'revoked' }), 'refused', `${name}: revoked`)
    t.equal(await ask(server, { name: 'client' }), 'ok', `${name}: right`)
  }
})

t.test('allowed names and hosts', async t => {
  {
    await using server = await running([...MUTUAL, '--client-cert-allowed-cn=bob,carol'])
    for (const [name, ask] of LISTENERS) {
      t.equal(await ask(server, { name: 'client' }), 'refused', `${name}: another name`)
      t.equal(await ask(server, { name: 'bob' }), 'ok', `${name}: the name`)
    }
  }
  await using server = await running([...MUTUAL, '--client-cert-allowed-hostname=bob.example.org'])
  for (const [name, ask] of LISTENERS) {
    t.equal(await ask(server, { name: 'client' }), 'refused', `${name}: no host`)
    t.equal(await ask(server, { name: 'bob' }), 'ok', `${name}: the host`)
  }
})

t.test('calls carry the common name, where --client-cert-auth says so, and never over HTTP', async t => {
  const status = REGISTRY.find(handler => handler.name === 'etcdserverpb.Maintenance/Status')
  if (status?.kind !== 'unary') throw new Error('Status is unary')
  const heard: (string | null)[] = []
  const original = status.handle
  const spied = status as { -readonly [Key in keyof typeof status]: (typeof status)[Key] }
  spied.handle = (edge, request, call) => {
    heard.push(call.meta.certificateName)
    return original(edge, request, call)
  }
  t.teardown(() => (spied.handle = original))
  {
    await using server = await running(MUTUAL)
    await overGrpc(server, { name: 'client' })
    const options = await clientFiles({ name: 'client' })
    await new Promise((resolve, reject) => {
      const path = '/v3/maintenance/status'
      httpsRequest(
        { host: '127.0.0.1', port: server.port, path, method: 'POST', agent: false, ...options },
        response => resolve(response.resume()),
      )
        .on('error', reject)
        .end()
    })
  }
  {
    await using server = await running(MUTUAL.filter(flag => flag !== '--client-cert-auth'))
    await overGrpc(server, { name: 'client' })
  }
  t.strictSame(heard, ['alice', null, null])
})

t.test('--auto-tls: a pair of its own, kept over a restart', async t => {
  const certificateOf = async (server: Running): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = { port: server.port, host: '127.0.0.1', rejectUnauthorized: false }
      const socket = connectTls(options, () => {
        resolve(socket.getPeerCertificate().fingerprint256)
        socket.destroy()
      }).on('error', reject)
    })
  const flags = ['--listen-client-urls=https://127.0.0.1:0', '--auto-tls', `--data-dir=${files.path('auto')}`]
  const seen: string[] = []
  for (let start = 0; start < 2; start++) {
    await using server = await running(flags)
    seen.push(await certificateOf(server))
    t.match(await overHttp(server, { name: null }), 'refused', 'nobody vouches for it')
  }
  t.equal(seen[0], seen[1])
  const { statSync } = await import('node:fs')
  t.equal(statSync(files.path('auto/certificates/client/key.pem')).mode & 0o777, 0o600)
})

t.test('versions and cipher suites', async t => {
  const attempt = ({ port }: Running, options: ConnectionOptions): Promise<string> =>
    new Promise(resolve => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }, () => {
        resolve(`${socket.getProtocol()} ${socket.getCipher().standardName}`)
        socket.destroy()
      }).on('error', () => resolve('refused'))
    })
  {
    await using server = await running([...SERVER, '--tls-min-version=TLS1.3'])
    t.equal(await attempt(server, { maxVersion: 'TLSv1.2' }), 'refused')
    t.match(await attempt(server, {}), /^TLSv1\.3 /)
  }
  const suite = 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'
  await using server = await running([...SERVER, '--tls-max-version=TLS1.2', `--cipher-suites=${suite}`])
  t.equal(await attempt(server, {}), `TLSv1.2 ${suite}`)
  t.equal(await attempt(server, { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }), 'refused')
  t.equal(await attempt(server, { minVersion: 'TLSv1.3' }), 'refused')
})

t.test('changed files are taken into use under load, without a failed call; broken ones are not', async t => {
  const [cert, key] = ['moving.pem', 'moving.key'].map(name => files.path(name))
  await files.issue('moving')
  const warned: string[] = []
  const logger = { ...SILENT, warn: (facts: object) => void warned.push(JSON.stringify(facts)) }
  await using server = await running(
    ['--listen-client-urls=https://127.0.0.1:0', `--cert-file=${cert}`, `--key-file=${key}`],
    { logger },
  )
  const serialNow = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = { port: server.port, host: '127.0.0.1', rejectUnauthorized: false }
      const socket = connectTls(options, () => {
        resolve(socket.getPeerCertificate().serialNumber.toLowerCase())
        socket.destroy()
      }).on('error', reject)
    })
  let stop = false
  const failed: string[] = []
  const load = Promise.all(
    LISTENERS.map(async ([name, ask]) => {
      while (!stop) if ((await ask(server, { name: null })) !== 'ok') failed.push(name)
    }),
  )
  const eventually = async (serial: string): Promise<void> => {
    const deadline = Date.now() + 30_000
    while (BigInt(`0x${await serialNow()}`) !== BigInt(`0x${serial}`))
      if (Date.now() > deadline) throw new Error('the certificate did not change')
  }
  for (let round = 0; round < 2; round++) await eventually((await files.issue('moving')).serial)
  const last = await files.issue('moving')
  await eventually(last.serial)
  files.write('moving.key', (await other.issue({ name: 'x', hosts: [] })).key)
  await until(() => warned.some(line => line.includes('does not belong')), 'a warning')
  await eventually(last.serial)
  const next = await files.issue('moving')
  await eventually(next.serial)
  stop = true
  await load
  t.strictSame(failed, [])
  t.match(await metrics(server), /kvorum_tls_reloads_total\{side="client"\} [4-9]\n/)
  t.match(await metrics(server), /kvorum_tls_reload_failures_total\{side="client"\} [1-9]\n/)
})

t.test('a certificate revoked while the server runs is refused from then on', async t => {
  const crl = files.write('growing.pem', await files.authority.revoke([revoked.serial]))
  const late = await files.issue('late', { name: 'late', hosts: [] })
  await using server = await running(MUTUAL.map(flag => flag.replace(files.path('crl.pem'), crl)))
  t.equal(await overGrpc(server, { name: 'late' }), 'ok')
  files.write('growing.pem', await files.authority.revoke([revoked.serial, late.serial]))
  const deadline = Date.now() + 30_000
  while ((await overGrpc(server, { name: 'late' })) === 'ok')
    if (Date.now() > deadline) throw new Error('still taken')
  t.equal(await overHttp(server, { name: 'late' }), 'refused')
  t.equal(await overGrpc(server, { name: 'client' }), 'ok', 'others are not concerned')
})

t.test('thousands of stalled handshakes: the oldest give way, and the server answers', async t => {
  await using server = await running(SERVER, { port: { handshakesMax: 64, firstByteMs: 60_000 } })
  const wires: Wire[] = []
  for (let i = 0; i < 2000; i++) {
    const wire = await dial(server.port)
    // The beginning of a handshake, and then nothing.
    wire.socket.write(Buffer.of(0x16, 0x03, 0x01, 0x02, 0x00))
    wires.push(wire)
  }
  await until(() => wires.filter(wire => !wire.closed()).length <= 64, 'no more than may be under way')
  for (const [name, ask] of LISTENERS) t.equal(await ask(server, { name: null }), 'ok', name)
  for (const { socket } of wires) socket.destroy()
})

t.test('what is wrong with the files is said in one sentence', async t => {
  const start = (...flags: string[]) =>
    startServer(
      configOf(`--data-dir=${files.path('refused')}`, '--listen-client-urls=https://127.0.0.1:0', ...flags),
      {
        createNode: () => Promise.resolve(new FakeNode()),
        logger: SILENT,
        fatal: () => {},
      },
    )
  const pair = (cert: string, key: string) => [
    `--cert-file=${files.path(cert)}`,
    `--key-file=${files.path(key)}`,
  ]
  files.write('garbage.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
  const good = pair('server.pem', 'server.key')
  const cases: [string[], RegExp][] = [
    [pair('none.pem', 'server.key'), /^--cert-file .*none\.pem cannot be read \(ENOENT\)\.$/],
    [pair('server.pem', 'none.key'), /^--key-file .*none\.key cannot be read \(ENOENT\)\.$/],
    [pair('server.key', 'server.key'), /^--cert-file .* holds no certificate in PEM\.$/],
    [pair('garbage.pem', 'server.key'), /^--cert-file .* holds a certificate that cannot be read\.$/],
    [pair('server.pem', 'server.pem'), /^--key-file .* holds no private key in PEM/],
    [
      pair('server.pem', 'client.key'),
      /^The key in --key-file .* does not belong to the certificate in --cert-file/,
    ],
    [
      [...good, `--trusted-ca-file=${files.path('server.key')}`],
      /^--trusted-ca-file .* holds no certificate/,
    ],
    [
      [...good, `--trusted-ca-file=${files.path('ca.pem')}`, `--client-crl-file=${files.path('ca.pem')}`],
      /^--client-crl-file .* holds no certificate revocation list/,
    ],
  ]
  for (const [flags, message] of cases) await t.rejects(start(...flags), { name: StartError.name, message })
})

t.test('a revocation list in DER is taken, too', async t => {
  const pem = await files.authority.revoke([revoked.serial])
  const { writeFileSync } = await import('node:fs')
  writeFileSync(files.path('crl.der'), Buffer.from(pem.replace(/-----.*-----|\s/g, ''), 'base64'))
  const flags = MUTUAL.map(flag => flag.replace(files.path('crl.pem'), files.path('crl.der')))
  const source = await CertificateSource.open(configOf(...flags).clientTls!, files.directory, SILENT)
  if (!source.ok) throw new Error(source.reason)
  source.value.close()
  t.equal(source.value.material.crl.length, 1)
})
