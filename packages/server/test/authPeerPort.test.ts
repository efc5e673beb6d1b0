import { connect as connectHttp2 } from 'node:http2'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createClusterNode, SILENT, startServer } from '@kvorum/server'
import { RPCS } from '@kvorum/protocol'
import { bytes, Caller } from './caller.js'
import { configOf, dial, until, type Running } from './harness.js'

t.setTimeout(300_000)

const AUTH = 'etcdserverpb.Auth'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** Whether anything at all comes back on a call of its own connection. */
function isAnswered(port: number, path: string, token: string): Promise<boolean> {
  return new Promise(resolve => {
    const session = connectHttp2(`http://127.0.0.1:${port}`)
    const done = (answered: boolean): void => {
      session.destroy()
      resolve(answered)
    }
    session.on('error', () => done(false))
    session.on('close', () => done(false))
    const headers = {
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      token,
    }
    const call = session.request(headers)
    call.on('error', () => {})
    call.on('response', () => done(true))
    call.end(Buffer.alloc(5))
  })
}

t.test('the peer port answers no call, whoever makes it', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-peer-port-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const peerPort = await freePort()
  const config = configOf(
    '--listen-client-urls=http://127.0.0.1:0',
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
    `--data-dir=${join(directory, 'data')}`,
  )
  const fatal = (reason: string): never => {
    throw new Error(reason)
  }
  const parts = { createNode: createClusterNode, logger: SILENT, fatal, graceMs: 50 }
  const server = await startServer(config, parts)
  t.teardown(() => server.stop())
  const { port } = server.addresses[0]!
  const caller = new Caller({ port } as Running)
  t.teardown(() => caller.client.close())
  await until(() => server.node.status().ready, 'the node is ready')
  await caller.call(`${AUTH}/UserAdd`, { name: 'root', password: 'pw' })
  await caller.call(`${AUTH}/UserGrantRole`, { user: 'root', role: 'root' })
  await caller.call(`${AUTH}/AuthEnable`, {})
  const { token } = await caller.call(`${AUTH}/Authenticate`, { name: 'root', password: 'pw' })
  const before = server.node.status()

  const health = '/grpc.health.v1.Health/Check'
  t.equal(await isAnswered(port, health, token), true, 'this is how an answer looks')
  for (const { name, path, gateway } of RPCS) {
    t.equal(await isAnswered(peerPort, path, token), false, `${name}, even with a token of root`)
    for (const below of gateway) {
      const sent = fetch(`http://127.0.0.1:${peerPort}${below}`, {
        method: 'POST',
        headers: { authorization: token },
        body: '{}',
      })
      await t.rejects(sent, `${below} over HTTP`)
    }
  }
  const wire = await dial(peerPort)
  wire.socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => wire.closed(), 'it is closed')
  t.equal(wire.heard(), '', 'not a byte')

  // Who speaks the members' protocol and is none gets one byte, and what comes behind is not read.
  const stranger = await dial(peerPort)
  const preface = Buffer.alloc(5 + 3 * 8 + 1)
  preface.write('KVPR1')
  preface.writeBigUInt64BE(server.node.cluster, 5)
  preface.writeBigUInt64BE(4711n, 13)
  preface.writeBigUInt64BE(server.node.self, 21)
  stranger.socket.write(Buffer.concat([preface, bytes('and then anything')]))
  await until(() => stranger.heard().length > 0, 'the refusal')
  stranger.socket.end()
  await until(() => stranger.closed(), 'it is closed')
  t.equal(stranger.heard().length, 1)
  t.not(stranger.heard(), '\0', 'refused')
  const after = server.node.status()
  t.equal(after.applied, before.applied, 'nothing came into the log')
  t.equal(server.node.auth()?.enabled, true)
})
