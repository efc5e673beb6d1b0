import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { freePorts } from './cluster.js'
import { ETCD_ENVIRONMENT, etcdctlVersion, etcdVersion, hasEtcdutl } from './etcdPrograms.js'
import { holds } from './until.js'

const installed = etcdVersion() !== null && etcdctlVersion() !== null
/** Reads and restores snapshot files. */
const FILE_PROGRAM = hasEtcdutl() ? 'etcdutl' : 'etcdctl'

/** Why tests against a real etcd are left out; where CI runs them they are not. */
export const skipWithoutEtcd = installed || process.env['CI'] === 'true' ? false : 'etcd is not installed'

export function temporaryDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-etcd-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

function runProgram(program: string, argv: readonly string[]): Promise<Ran> {
  return new Promise(resolve => {
    execFile(
      program,
      [...argv],
      { env: ETCD_ENVIRONMENT, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
      },
    )
  })
}

export const etcdctl = (endpoint: string, ...argv: string[]): Promise<Ran> =>
  runProgram('etcdctl', [`--endpoints=${endpoint}`, ...argv])

/** What etcd's own tool for files says of one. */
export const snapshotStatus = (file: string): Promise<Ran> =>
  runProgram(FILE_PROGRAM, ['snapshot', 'status', file])

const PROGRAM = fileURLToPath(new URL('../../../bin/kvorum.js', import.meta.url))

export const kvorum = (...argv: string[]): Promise<Ran> => runProgram(process.execPath, [PROGRAM, ...argv])

/** What a command that must succeed printed. */
export async function succeeds(t: Test, ran: Promise<Ran>, what: string): Promise<string> {
  const { status, stdout, stderr } = await ran
  t.equal(status, 0, `${what} ${status === 0 ? '' : stderr}`)
  return stdout
}

/** A real etcd of one member, which does not outlive the test. */
export class RealEtcd {
  readonly clientPort: number
  readonly peerUrl: string
  readonly dataDir: string
  #child: ChildProcess | null = null

  private constructor(dataDir: string, clientPort: number, peerPort: number) {
    this.dataDir = dataDir
    this.clientPort = clientPort
    this.peerUrl = `http://127.0.0.1:${peerPort}`
  }

  /** Not started yet: its directory may be restored first. */
  static async create(t: Test, dataDir: string): Promise<RealEtcd> {
    const [clientPort, peerPort] = await freePorts(2)
    const etcd = new RealEtcd(dataDir, clientPort!, peerPort!)
    t.teardown(() => etcd.stop())
    return etcd
  }

  get endpoint(): string {
    return `127.0.0.1:${this.clientPort}`
  }

  async start(): Promise<this> {
    const url = `http://${this.endpoint}`
    const argv = [
      ...['--name=m1', `--data-dir=${this.dataDir}`, `--initial-cluster=m1=${this.peerUrl}`],
      ...[`--listen-client-urls=${url}`, `--advertise-client-urls=${url}`],
      ...[`--listen-peer-urls=${this.peerUrl}`, `--initial-advertise-peer-urls=${this.peerUrl}`],
    ]
    const child = spawn('etcd', argv, { stdio: 'ignore', env: { PATH: ETCD_ENVIRONMENT['PATH'] } })
    this.#child = child
    await holds('a healthy etcd', async () => {
      if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode}`)
      try {
        return (await fetch(`${url}/health`)).status === 200
      } catch {
        return false
      }
    })
    return this
  }

  etcdctl(...argv: string[]): Promise<Ran> {
    return etcdctl(this.endpoint, ...argv)
  }

  /** Fills the directory from a snapshot file; before the start. */
  restore(file: string): Promise<Ran> {
    return runProgram(FILE_PROGRAM, [
      ...['snapshot', 'restore', file, `--data-dir=${this.dataDir}`, '--name=m1'],
      `--initial-cluster=m1=${this.peerUrl}`,
      `--initial-advertise-peer-urls=${this.peerUrl}`,
    ])
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
}
