import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { clusterId, nodeId, type NodeId, type JoinAnswer } from '@kvorum/model'
import { PeerTransport, type TransportEvents } from '@kvorum/peer'
import { createAuthority, SILENT } from '@kvorum/server'
import { setUpTls } from '#src/tls/setup.js'
import { Certificates } from './certificates.js'
import { configOf, dial, until, type Wire } from './harness.js'

const files = await Certificates.create()
t.teardown(() => files.remove())
const other = await createAuthority({ name: 'another authority' })
await files.issue('member')
await files.issue('elsewhere', { hosts: ['10.9.8.7', 'elsewhere.example.org'] })
await files.issue('nowhere', { hosts: [] })
await files.issue('stranger', {}, other)
await files.expired('expired')
const revoked = await files.issue('revoked')
files.write('crl.pem', await files.authority.revoke([revoked.serial]))

const CLUSTER = clusterId(0xc1n)
const [A, B] = [nodeId(1n), nodeId(2n)]

class Recorder implements TransportEvents {
  ups = 0
  readonly strangers: string[] = []
  onParcels(): void {}
  onUp(): void {
    this.ups++
  }
  onDown(): void {}
  onDropped(): void {}
  onRefused(): void {}
  onJoin(): Promise<JoinAnswer> {
    return Promise.resolve({ kind: 'later' })
  }
  onStranger(_remote: string, problem: string): void {
    this.strangers.push(problem)
  }
}

interface Started {
  readonly events: Recorder
  readonly port: number
}

/** One side of a pair; `name` is whose certificate it shows. */
async function start(
  t: Test,
  self: NodeId,
  name: string,
  peerPort: number,
  port: number,
  extra: readonly string[] = [],
): Promise<Started> {
  const argv =
    name === 'auto'
      ? ['--peer-auto-tls', `--data-dir=${files.path(`data-${self}`)}`]
      : [
          `--peer-cert-file=${files.path(`${name}.pem`)}`,
          `--peer-key-file=${files.path(`${name}.key`)}`,
          `--peer-trusted-ca-file=${files.path('ca.pem')}`,
          `--peer-crl-file=${files.path('crl.pem')}`,
          '--peer-client-cert-auth',
        ]
  const config = configOf('--listen-peer-urls=https://127.0.0.1:1', ...argv, ...extra)
  const tls = await setUpTls(config, SILENT)
  if (!tls.ok) throw new Error(tls.reason)
  const events = new Recorder()
  const peer = self === A ? B : A
  const transport = await PeerTransport.start({
    cluster: CLUSTER,
    self,
    listen: [{ host: '127.0.0.1', port, secure: true }],
    peers: new Map([[peer, [{ host: '127.0.0.1', port: peerPort, secure: true }]]]),
    random: () => 0.5,
    events,
    tls: tls.value.peers,
    timing: { reconnectMinMs: 5, reconnectMaxMs: 20 },
  })
  t.teardown(async () => {
    await transport.close()
    tls.value.close()
  })
  return { events, port: transport.addresses()[0]!.port }
}

/** A listens as a member should and dials B's address; B dials A with the certificate in question. */
async function pair(t: Test, name: string, extra: readonly string[] = []): Promise<[Started, Started]> {
  const hole = await dialless()
  const a = await start(t, A, 'member', hole, 0, extra)
  const b = await start(t, B, name, a.port, 0, extra)
  return [a, b]
}

/** A port on which nothing listens. */
async function dialless(): Promise<number> {
  const { createServer } = await import('node:net')
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

t.test('a member with the right certificate comes up', async t => {
  const [, b] = await pair(t, 'member')
  await until(() => b.events.ups === 1, 'the connection')
  t.strictSame(b.events.strangers, [])
})

const WRONG: readonly (readonly [what: string, name: string, said: RegExp])[] = [
  ['another authority', 'stranger', /./],
  ['expired', 'expired', /expired/],
  ['revoked', 'revoked', /revoked/],
  ['of another host', 'elsewhere', /covers none of the hosts of the member it speaks for \(127\.0\.0\.1\)/],
  ['of no host', 'nowhere', /covers none of the hosts/],
]

for (const [what, name, said] of WRONG)
  t.test(`a certificate that is not right: ${what}`, async t => {
    const [a, b] = await pair(t, name)
    await until(() => a.events.strangers.length > 2, 'the refusal')
    t.match(a.events.strangers.join('\n'), said)
    t.equal(b.events.ups, 0)
  })

t.test('a server certificate that does not cover the dialled host is not talked to', async t => {
  const a = await start(t, A, 'elsewhere', await dialless(), 0)
  const b = await start(t, B, 'member', a.port, 0)
  await until(() => b.events.strangers.length > 0, 'the refusal')
  t.match(b.events.strangers[0], /TLS to it failed: .*127\.0\.0\.1 is not in the cert/)
  t.equal(b.events.strangers.length, 1, 'told once, however often it is dialled')
  t.equal(b.events.ups, 0)
})

t.test('no certificate at all', async t => {
  const a = await start(t, A, 'member', await dialless(), 0)
  const refused = await new Promise(resolve => {
    const socket = connectTls({ port: a.port, host: '127.0.0.1', rejectUnauthorized: false })
    socket.on('error', () => resolve(true))
    socket.on('close', () => resolve(true))
    socket.on('data', () => resolve(false))
  })
  t.equal(refused, true)
  t.match(a.events.strangers, [/certificate/])
})

t.test('no TLS at all', async t => {
  const a = await start(t, A, 'member', await dialless(), 0)
  const wire = await dial(a.port)
  wire.socket.write(Buffer.alloc(64))
  await until(wire.closed, 'the end')
  t.equal(a.events.strangers.length, 1)
})

t.test('allowed common names and hosts rule instead of the hosts of the member', async t => {
  const named = await pair(t, 'elsewhere', ['--peer-cert-allowed-cn=elsewhere'])
  await until(() => named[1].events.ups === 1, 'the connection')
  const hosted = await pair(t, 'elsewhere', ['--peer-cert-allowed-hostname=elsewhere.example.org'])
  await until(() => hosted[1].events.ups === 1, 'the connection')
  const [a, b] = await pair(t, 'member', ['--peer-cert-allowed-cn=elsewhere'])
  await until(() => a.events.strangers.length > 0, 'the refusal')
  t.match(a.events.strangers[0], /common name of its certificate is not an allowed one/)
  t.equal(b.events.ups, 0)
})

t.test('any certificate of the authority, where that is asked for', async t => {
  const [, b] = await pair(t, 'nowhere', ['--experimental-peer-skip-client-san-verification'])
  await until(() => b.events.ups === 1, 'the connection')
  t.strictSame(b.events.strangers, [])
})

t.test('--peer-auto-tls: encrypted, and nothing proven', async t => {
  const a = await start(t, A, 'auto', await dialless(), 0)
  const b = await start(t, B, 'auto', a.port, 0)
  await until(() => b.events.ups === 1, 'the connection')
  t.strictSame([...a.events.strangers, ...b.events.strangers], [])
})

t.test('stalled handshakes do not keep a member out', async t => {
  const a = await start(t, A, 'member', await dialless(), 0)
  const wires: Wire[] = []
  for (let i = 0; i < 1000; i++) wires.push(await dial(a.port))
  const b = await start(t, B, 'member', a.port, 0)
  await until(() => b.events.ups === 1, 'the connection')
  await until(() => wires.filter(wire => !wire.closed()).length <= 256, 'the oldest gave way')
  t.equal(b.events.ups, 1)
  for (const { socket } of wires) socket.destroy()
})
