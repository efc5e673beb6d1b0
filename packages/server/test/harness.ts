import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  loadConfig,
  SILENT,
  startServer,
  type RunningServer,
  type ServerConfig,
  type ServerParts,
} from '@kvorum/server'
import { FakeNode } from './fakeNode.js'

/** A configuration as it results from these flags alone. */
export function configOf(...argv: string[]): ServerConfig {
  const outcome = loadConfig({
    argv,
    environment: {},
    readFile: () => {
      throw new Error('no file')
    },
  })
  if (outcome.kind !== 'run') throw new Error(JSON.stringify(outcome))
  return outcome.config
}

export interface Running extends AsyncDisposable {
  readonly server: RunningServer
  readonly node: FakeNode
  readonly port: number
  readonly url: string
}

/** A server over a fake node on a free port of the loopback. */
export async function running(argv: string[] = [], parts: Partial<ServerParts> = {}): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-server-'))
  const node = new FakeNode()
  const config = configOf(
    '--listen-client-urls=http://127.0.0.1:0',
    `--data-dir=${join(directory, 'data')}`,
    ...argv,
  )
  const server = await startServer(config, {
    createNode: () => Promise.resolve(node),
    logger: SILENT,
    fatal: reason => {
      throw new Error(reason)
    },
    graceMs: 50,
    ...parts,
  })
  const { port } = server.addresses[0]!
  return {
    server,
    node,
    port,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      await server.stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

const PATIENCE_MS = 20_000

/** Waits until `condition` holds; fails with `what` if it never does. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await delay(2)
  }
}

/** A bare connection, with what it has heard. */
export interface Wire {
  readonly socket: Socket
  readonly heard: () => string
  readonly closed: () => boolean
}

export async function dial(port: number): Promise<Wire> {
  const chunks: Buffer[] = []
  let closed = false
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('data', chunk => chunks.push(chunk))
  socket.on('error', () => {})
  socket.on('end', () => (closed = true))
  socket.on('close', () => (closed = true))
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return { socket, heard: () => Buffer.concat(chunks).toString('latin1'), closed: () => closed }
}
