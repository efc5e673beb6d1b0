import { execFileSync } from 'node:child_process'
import { mkdirSync, openSync, closeSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Cluster } from './cluster.js'
import { Load } from './load.js'
import type { ServerProcess } from './serverProcess.js'
import { holds } from './until.js'
import { judge } from './verdict.js'

t.setTimeout(600_000)

const DISK_BYTES = 96 * 1024 * 1024

/** Each server gets a small file system of its own, in memory. Only root may mount one. */
class SmallDisks {
  readonly #mounted: string[] = []

  mount(path: string): string {
    mkdirSync(path, { mode: 0o700 })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES},mode=0700`, 'tmpfs', path], {
      stdio: 'pipe',
    })
    this.#mounted.push(path)
    return path
  }

  unmount(): void {
    for (const path of this.#mounted) execFileSync('umount', ['-l', path])
  }
}

function startOnSmallDisks(t: Test): Promise<Cluster> {
  const disks = new SmallDisks()
  return Cluster.start(t, {
    dataDir: (directory, name) => disks.mount(join(directory, name)),
    ended: () => disks.unmount(),
  })
}

const fillerOf = (node: ServerProcess): string => join(node.plan.dataDir, 'filler')

/** Takes what room is left. */
function fill(node: ServerProcess): void {
  const file = openSync(fillerOf(node), 'a')
  try {
    for (let bytes = 1 << 20; bytes >= 1;) {
      try {
        if (writeSync(file, Buffer.alloc(bytes, 1)) < bytes) bytes >>= 1
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        bytes >>= 1
      }
    }
  } finally {
    closeSync(file)
  }
}

const free = (node: ServerProcess): void => rmSync(fillerOf(node))

function whyNot(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root can mount a small disk'
  const probe = join(process.cwd(), `.kvorum-mount-${process.pid}`)
  mkdirSync(probe)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe], { stdio: 'pipe' })
    execFileSync('umount', [probe])
    return false
  } catch {
    return 'this root may not mount a small disk'
  } finally {
    rmSync(probe, { recursive: true })
  }
}

const missing = whyNot()
const skip = process.env['CI'] === 'true' ? false : missing

t.test('one full disk: the others serve; with room it catches up', { skip }, async t => {
  const cluster = await startOnSmallDisks(t)
  const load = await Load.start(cluster)
  await load.progress(20, cluster.nodes)
  const leader = await cluster.leader()
  fill(leader)
  await load.progress(100, cluster.others(leader))
  t.ok(leader.runs, 'it stays up')
  free(leader)
  await load.progress(50, cluster.nodes)
  await judge(t, cluster, load)
})

t.test('all disks full: writes are refused or unknown; with room everything goes on', { skip }, async t => {
  const cluster = await startOnSmallDisks(t)
  const load = await Load.start(cluster)
  await load.progress(20, cluster.nodes)
  await holds('a write that fails', () => {
    // The log gives up its reserve once, and somebody has to take that room as well.
    for (const node of cluster.nodes) fill(node)
    return load.failures > 0
  })
  for (const node of cluster.nodes) t.ok(node.runs, `${node.plan.name} stays up`)
  for (const node of cluster.nodes) free(node)
  await load.progress(50, cluster.nodes)
  await judge(t, cluster, load)
})
