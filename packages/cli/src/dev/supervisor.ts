import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { delimiter, dirname } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { NodePlan } from './plan.js'

/** How one server process ended. */
export interface Exit {
  readonly plan: NodePlan
  readonly pid: number
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface SupervisorOptions {
  /** The command that a plan's arguments follow. */
  readonly program: readonly [string, ...string[]]
  readonly env: NodeJS.ProcessEnv
  readonly restartAfterMs: number | null
  readonly onLine: (plan: NodePlan, line: string) => void
  readonly onExit: (exit: Exit) => void
  readonly onStart: (plan: NodePlan, pid: number) => void
}

/** One server process, kept running until it is told to stop. */
export interface Supervisor {
  readonly plan: NodePlan
  readonly pid: number | null
  /** Asks it to stop, kills it after `graceMs`; resolves when it is gone. */
  stop(graceMs: number): Promise<void>
  kill(): void
}

export function supervise(plan: NodePlan, options: SupervisorOptions): Supervisor {
  const log = createWriteStream(plan.logFile, { flags: 'a', mode: 0o600 })
  let child: ChildProcess | null = null
  let restart: NodeJS.Timeout | undefined
  let stopping = false
  let gone: () => void = () => undefined

  const start = (): void => {
    child = spawnServer(plan, options)
    const { pid = 0 } = child
    for (const stream of [child.stdout, child.stderr])
      readLines(stream!, line => {
        log.write(`${line}\n`)
        options.onLine(plan, line)
      })
    child.on('error', error => options.onLine(plan, `could not be started: ${error.message}`))
    child.on('close', (code, signal) => {
      child = null
      gone()
      if (stopping) return
      options.onExit({ plan, pid, code, signal })
      if (options.restartAfterMs !== null) restart = setTimeout(start, options.restartAfterMs)
    })
    options.onStart(plan, pid)
  }

  start()
  return {
    plan,
    get pid() {
      return child?.pid ?? null
    },
    kill: () => void child?.kill('SIGKILL'),
    stop: async graceMs => {
      stopping = true
      clearTimeout(restart)
      if (child !== null) await stopChild(child, graceMs, new Promise<void>(resolve => (gone = resolve)))
      await new Promise<void>(resolve => log.end(resolve))
    },
  }
}

/** In a process group of its own: a Ctrl-C in the terminal is for us, and we stop the servers in order. */
const spawnServer = (plan: NodePlan, { program: [file, ...argv], env }: SupervisorOptions): ChildProcess =>
  spawn(file, [...argv, ...plan.argv], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })

function readLines(stream: Readable, receive: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Infinity }).on('line', receive)
}

async function stopChild(child: ChildProcess, graceMs: number, gone: Promise<void>): Promise<void> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await gone
  clearTimeout(timer)
}

/**
 * What a server sees of our environment: not its own settings (they would override or confuse the plan), not node's
 * options (two processes cannot share an inspector's port), and this node before any other.
 */
export function serverEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(
    ([name]) => !/^(KVORUM|ETCD|ETCDCTL)_/.test(name) && name !== 'NODE_OPTIONS',
  )
  const path = [dirname(process.execPath), env['PATH'] ?? ''].join(delimiter)
  return { ...Object.fromEntries(kept), PATH: path }
}

/** The server's program as a shell starts it (its first line says what for), or node where there is no such shell. */
export const serverProgram = (script: string): readonly [string, ...string[]] =>
  process.platform === 'win32' ? [process.execPath, script] : ['/bin/sh', script]
