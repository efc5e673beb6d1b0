import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Http2Connection } from './http2/connection.js'
import { freePorts, HOST, httpGet } from './loopback.js'
import { METHOD, readStatus } from './messages.js'

export type System = 'ours' | 'etcd'

export const ETCD_PATH = '/usr/bin/etcd'
const OUR_PATH = fileURLToPath(new URL('../../packages/cli/bin/kvorum.js', import.meta.url))
const SHARDED_PATH = fileURLToPath(new URL('./shardedServer.js', import.meta.url))

/** A million keys and their history must fit; etcd's default is a quarter of this. */
const QUOTA = 8 * 1024 ** 3

export const isInstalled = (system: System): boolean => existsSync(system === 'etcd' ? ETCD_PATH : OUR_PATH)

interface Member {
  readonly name: string
  readonly clientPort: number
  readonly peerPort: number
  process: ChildProcess | null
  /** How the last process ended. */
  exit: string
}

export interface ClusterOptions {
  readonly system: System
  readonly nodes: number
  /** Of ours: what the cluster begins with; by default one. */
  readonly shards?: number
  /** Where the data directories are made; their disk is part of what is measured. */
  readonly directory?: string
}

/** The processes of one cluster on free ports of the loopback, and their data directories. Close it always. */
export class Cluster {
  readonly system: System
  readonly #shards: number
  readonly #directory: string
  readonly #members: Member[]

  private constructor({ system, shards = 1 }: ClusterOptions, directory: string, members: Member[]) {
    this.system = system
    this.#shards = shards
    this.#directory = directory
    this.#members = members
  }

  static async create(options: ClusterOptions): Promise<Cluster> {
    const ports = await freePorts(options.nodes * 2)
    const directory = mkdtempSync(join(options.directory ?? tmpdir(), `kvorum-bench-${options.system}-`))
    const members = Array.from({ length: options.nodes }, (_, i) => ({
      name: `n${i + 1}`,
      clientPort: ports[2 * i]!,
      peerPort: ports[2 * i + 1]!,
      process: null,
      exit: '',
    }))
    return new Cluster(options, directory, members)
  }

  /** Spawns every member and waits until each is healthy. */
  async start(timeoutMs = 30_000): Promise<void> {
    for (let i = 0; i < this.size; i++) this.spawn(i)
    for (let i = 0; i < this.size; i++) await this.healthy(i, timeoutMs)
  }

  get size(): number {
    return this.#members.length
  }

  #member(index: number): Member {
    const member = this.#members[index]
    if (member === undefined) throw new RangeError(`no member ${index}`)
    return member
  }

  port(index: number): number {
    return this.#member(index).clientPort
  }

  /** Of the members that run. */
  get pids(): number[] {
    return this.#members.flatMap(({ process: child }) => (child?.pid === undefined ? [] : [child.pid]))
  }

  pid(index: number): number {
    const pid = this.#member(index).process?.pid
    if (pid === undefined) throw new Error(`member ${index} does not run`)
    return pid
  }

  spawn(index: number): void {
    const member = this.#member(index)
    const log = openSync(this.#logPath(member), 'a')
    const [command, ...args] = this.#command(member)
    // Test runners load things into every Node process by way of NODE_OPTIONS; servers are measured without.
    const child = spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', command!, ...args], {
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    member.process = child
    child.once('exit', (code, signal) => {
      if (member.process !== child) return
      member.process = null
      member.exit = signal ?? `code ${code}`
    })
  }

  #command(member: Member): string[] {
    const flags = [
      `--name=${member.name}`,
      `--data-dir=${join(this.#directory, member.name)}`,
      `--listen-client-urls=http://${HOST}:${member.clientPort}`,
      `--advertise-client-urls=http://${HOST}:${member.clientPort}`,
      `--listen-peer-urls=http://${HOST}:${member.peerPort}`,
      `--initial-advertise-peer-urls=http://${HOST}:${member.peerPort}`,
      `--initial-cluster=${this.#members.map(({ name, peerPort }) => `${name}=http://${HOST}:${peerPort}`).join()}`,
      '--initial-cluster-state=new',
      '--initial-cluster-token=bench',
      '--log-level=warn',
    ]
    if (this.system === 'etcd') return [ETCD_PATH, ...flags, '--logger=zap', `--quota-backend-bytes=${QUOTA}`]
    if (this.#shards === 1) return [OUR_PATH, 'server', ...flags]
    // As the command starts itself.
    return [
      'UV_THREADPOOL_SIZE=16',
      process.execPath,
      '--heap-growing-percent=100',
      SHARDED_PATH,
      String(this.#shards),
      ...flags,
    ]
  }

  #logPath = (member: Member): string => join(this.#directory, `${member.name}.log`)

  /** Until the member itself says that it serves. */
  healthy(index: number, timeoutMs: number): Promise<void> {
    return this.#until(index, timeoutMs, 'healthy', async () => {
      const answer = await httpGet(this.port(index), '/health')
      return answer.status === 200 && answer.body.includes('"true"')
    })
  }

  /** Until it has everything it needs to serve: of all its shards. */
  ready(index: number, timeoutMs: number): Promise<void> {
    return this.#until(index, timeoutMs, 'ready', async () => {
      return (await httpGet(this.port(index), '/readyz')).status === 200
    })
  }

  /** Until its port answers anything at all. */
  answers(index: number, timeoutMs: number): Promise<void> {
    return this.#until(index, timeoutMs, 'up', async () => {
      return (await httpGet(this.port(index), '/version')).status === 200
    })
  }

  async #until(index: number, timeoutMs: number, what: string, check: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      if (await check().catch(() => false)) return
      const member = this.#member(index)
      if (member.process === null || performance.now() > deadline) {
        const why = member.process === null ? `ended with ${member.exit}` : `not within ${timeoutMs} ms`
        const log = readFileSync(this.#logPath(member), 'utf8').trimEnd().slice(-2_000)
        throw new Error(`${this.system} ${member.name} is not ${what}: ${why}; ${log || 'its log is empty'}`)
      }
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }

  connect(index: number): Promise<Http2Connection> {
    return Http2Connection.connect(HOST, this.port(index))
  }

  /** Index of the member that leads; asks until one says so. */
  async leader(timeoutMs = 10_000): Promise<number> {
    const deadline = performance.now() + timeoutMs
    while (performance.now() < deadline) {
      for (const [index, member] of this.#members.entries()) {
        if (member.process === null) continue
        const status = await this.status(index).catch(() => null)
        if (status !== null && status.leader !== 0n && status.leader === status.memberId) return index
      }
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    throw new Error(`${this.system}: no leader`)
  }

  async status(index: number): Promise<ReturnType<typeof readStatus>> {
    const connection = await this.connect(index)
    try {
      return readStatus(await connection.call(METHOD.status, Buffer.alloc(0), 2_000))
    } finally {
      connection.close()
    }
  }

  /** The text of one member's metrics. */
  async metrics(index: number): Promise<string> {
    return (await httpGet(this.port(index), '/metrics')).body
  }

  /** Resolves when the process has ended. SIGTERM is followed by SIGKILL after a while. */
  async stop(index: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#member(index).process
    if (child === null) return
    const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
    await ended
    clearTimeout(timer)
  }

  async close(): Promise<void> {
    await Promise.all(this.#members.map((_, index) => this.stop(index, 'SIGKILL')))
    rmSync(this.#directory, { recursive: true, force: true })
  }

  /** For the process's last moments, when nothing may wait. */
  destroy(): void {
    for (const member of this.#members) member.process?.kill('SIGKILL')
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }
}
