import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { accepted, rejected, type Parsed } from '../parsed.js'
import type { Shape } from './plan.js'

const OWNER_ONLY = 0o700
const LOCK = 'dev.lock'
const SHAPE = 'cluster.json'
/** What a development cluster leaves behind; --fresh deletes these and nothing else. */
const OURS = /^(node-[0-9]+(\.log)?|cluster\.json)$/

/** Creates the directory where it is missing and takes it for this process. */
export function claimDirectory(path: string, self: number): Parsed<null> {
  try {
    if (mkdirSync(path, { recursive: true, mode: OWNER_ONLY }) !== undefined) chmodSync(path, OWNER_ONLY)
    return takeLock(path, self)
  } catch (error) {
    return rejected(`${path} cannot be used as a directory (${(error as NodeJS.ErrnoException).code})`)
  }
}

function takeLock(path: string, self: number): Parsed<null> {
  const lock = join(path, LOCK)
  for (;;) {
    try {
      writeFileSync(lock, `${self}\n`, { flag: 'wx', mode: 0o600 })
      return accepted(null)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = Number(readFileSync(lock, 'utf8'))
    if (isRunning(owner))
      return rejected(
        `another "kvorum dev" (process ${owner}) uses ${path}; stop it or choose another --data-dir`,
      )
    // Its process is gone without having cleaned up.
    rmSync(lock, { force: true })
  }
}

/** Whether the process lives and, where that can be seen, is one of ours: process ids are used again. */
function isRunning(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  try {
    return /kvorum|node/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  } catch {
    return true
  }
}

export function releaseDirectory(path: string): void {
  rmSync(join(path, LOCK), { force: true })
}

export function deleteCluster(path: string): void {
  for (const name of readdirSync(path)) {
    if (OURS.test(name)) rmSync(join(path, name), { recursive: true, force: true })
  }
}

export function readShape(path: string): Parsed<Shape | null> {
  const file = join(path, SHAPE)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return accepted(null)
  }
  try {
    const { nodes, portBase, replicas, splitKeys } = JSON.parse(text) as Partial<Shape>
    const isWhole = Number.isSafeInteger(nodes) && Number.isSafeInteger(portBase)
    if (isWhole && isAbsentOr('number', replicas) && isAbsentOr('string', splitKeys))
      return accepted({
        nodes: nodes!,
        portBase: portBase!,
        ...(replicas === undefined ? {} : { replicas }),
        ...(splitKeys === undefined ? {} : { splitKeys }),
      })
  } catch {
    // Not JSON: the same sentence.
  }
  return rejected(`${file} is damaged; delete the cluster with --fresh`)
}

const isAbsentOr = (type: 'number' | 'string', value: unknown): boolean =>
  value === undefined || typeof value === type

export function writeShape(path: string, shape: Shape): void {
  writeFileSync(join(path, SHAPE), `${JSON.stringify(shape)}\n`, { mode: 0o600 })
}
