import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'
import { ETCD_ENVIRONMENT } from '../process/etcdPrograms.js'
import { until } from '../process/until.js'

/** false: it is there. Without it a test is skipped, but fails where everything must be there. */
export function missing(program: string, args: readonly string[], name = program): string | false {
  const there = spawnSync(program, args, { encoding: 'utf8', env: ETCD_ENVIRONMENT }).status === 0
  return there || process.env['CI'] === 'true' ? false : `${name} is not installed`
}

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export function run(program: string, args: readonly string[], input = ''): Promise<Ran> {
  return new Promise(resolve => {
    const child = execFile(program, args, { env: ETCD_ENVIRONMENT }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
    child.stdin!.on('error', () => {}).end(input)
  })
}

/** A program that goes on, and what it has printed so far. */
export class Follower {
  readonly #child: ChildProcess
  text = ''
  status: number | null = null

  constructor(t: Test, program: string, args: readonly string[]) {
    this.#child = spawn(program, args, { env: ETCD_ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.text += text))
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.text += text))
    this.#child.on('exit', code => (this.status = code))
    t.teardown(() => this.end('SIGKILL'))
  }

  printed(pattern: RegExp): Promise<RegExpExecArray> {
    return until(`${this.#child.spawnfile} to print ${pattern}, not only: ${this.text}`, () =>
      pattern.exec(this.text),
    )
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill(signal)
    await ended
  }

  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
    return this.#child.exitCode
  }
}
