import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { DEADLINE_MS, holds, until } from './until.js'

const PROGRAM = fileURLToPath(new URL('../../../bin/kvorum.js', import.meta.url))
const REQUEST_MS = 5_000

export interface ServerPlan {
  readonly name: string
  readonly clientUrl: string
  /** Where clients are spoken to with TLS. */
  readonly secureUrl: string | null
  readonly dataDir: string
  readonly logFile: string
  /** Of `kvorum server`. */
  readonly flags: readonly string[]
}

/** How a process ended: its status, or the signal that ended it. */
export type Exit = number | NodeJS.Signals

/** One `kvorum server`, which can be started and ended any number of times. */
export class ServerProcess {
  /** Goes with what is asked of it, once users are asked for. */
  token: string | null = null
  readonly plan: ServerPlan
  /** Ends that nobody asked for. */
  readonly surprises: Exit[] = []
  #child: ChildProcess | null = null
  #ended: Promise<Exit> = Promise.resolve(0)
  #expected = true

  constructor(plan: ServerPlan) {
    this.plan = plan
  }

  get runs(): boolean {
    return this.#child !== null
  }

  /** `endsItself`: a start that is to be refused. */
  start({ endsItself = false, env = process.env, uid }: StartOptions = {}): void {
    if (this.#child !== null) throw new Error(`${this.plan.name} runs already`)
    const log = openSync(this.plan.logFile, 'a')
    // A test runner loads things into every Node process by way of NODE_OPTIONS.
    const argv = ['-u', 'NODE_OPTIONS', process.execPath, PROGRAM, 'server', ...this.plan.flags]
    const child = spawn('/usr/bin/env', argv, {
      stdio: ['ignore', log, log],
      env,
      ...(uid === undefined ? {} : { uid, gid: uid }),
    })
    closeSync(log)
    this.#child = child
    this.#expected = endsItself
    this.#ended = new Promise(resolve => {
      child.once('exit', (code, signal) => {
        this.#child = null
        const exit = signal ?? code ?? 0
        if (!this.#expected) this.surprises.push(exit)
        resolve(exit)
      })
    })
  }

  /** From now on it may end by itself. */
  expectEnd(): void {
    this.#expected = true
  }

  /** Until it has ended by itself. */
  async ended(): Promise<Exit> {
    await holds(`the end of ${this.plan.name}`, () => this.#child === null)
    return this.#ended
  }

  /** Ends it: SIGKILL at once, SIGTERM in good order. */
  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<Exit> {
    const child = this.#child
    if (child === null) return this.#ended
    this.#expected = true
    // A stopped process takes SIGKILL, but hears of SIGTERM only when it goes on.
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS)
    const exit = await this.#ended
    clearTimeout(late)
    return exit
  }

  /** The kernel lets it do nothing until `resume`. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Everything it has written, over all its lives. */
  get log(): string {
    return existsSync(this.plan.logFile) ? readFileSync(this.plan.logFile, 'utf8') : ''
  }

  /** Waits for its log, from byte `from` on, to say something. */
  logged(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    return until(`${this.plan.name} to log ${pattern}`, () => pattern.exec(this.log.slice(from)))
  }

  async get(path: string): Promise<{ status: number; body: string }> {
    const response = await fetch(this.plan.clientUrl + path, { signal: AbortSignal.timeout(REQUEST_MS) })
    return { status: response.status, body: await response.text() }
  }

  async #healthy(): Promise<boolean> {
    if (this.#child === null) throw new Error(`${this.plan.name} has ended`)
    try {
      return (await this.get('/health')).status === 200
    } catch {
      return false
    }
  }

  /** Until it answers a linearizable read. */
  healthy(): Promise<true> {
    return holds(`${this.plan.name} to be healthy`, () => this.#healthy())
  }

  /** Null where it gives no answer. */
  async status(): Promise<ServerStatus | null> {
    try {
      const response = await fetch(`${this.plan.clientUrl}/v3/maintenance/status`, {
        method: 'POST',
        body: '{}',
        headers: this.token === null ? {} : { Authorization: this.token },
        signal: AbortSignal.timeout(REQUEST_MS),
      })
      if (!response.ok) return null
      const body = (await response.json()) as StatusBody
      return {
        member: body.header.member_id,
        leader: body.leader ?? '0',
        revision: Number(body.header.revision ?? 0),
        term: Number(body.raftTerm ?? 0),
      }
    } catch {
      return null
    }
  }
}

export interface StartOptions {
  readonly endsItself?: boolean
  readonly env?: NodeJS.ProcessEnv
  readonly uid?: number
}

export interface ServerStatus {
  readonly member: string
  /** '0': none known. */
  readonly leader: string
  readonly revision: number
  readonly term: number
}

/** In JSON, 64-bit numbers are strings and zeros are left out. */
interface StatusBody {
  readonly header: { readonly member_id: string; readonly revision?: string }
  readonly leader?: string
  readonly raftTerm?: string
}
