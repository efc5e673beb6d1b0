import { mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Ports that a test has chosen and its servers do not listen on yet, or not at this moment: another suite on the
 * same machine must not take them meanwhile. One file per port, with the process that holds it.
 */
const FOLDER = join(tmpdir(), 'kvorum-test-ports')
const held: string[] = []

process.once('exit', () => {
  for (const path of held) unlinkSync(path)
})

/** Whether the port is this process' from now on, until it ends. */
export function reservePort(port: number): boolean {
  mkdirSync(FOLDER, { recursive: true })
  const path = join(FOLDER, String(port))
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' })
  } catch {
    forgetDead(path)
    return false
  }
  held.push(path)
  return true
}

/** A test that was killed leaves its files behind; whoever looks next may have the port. */
function forgetDead(path: string): void {
  try {
    const holder = Number(readFileSync(path, 'utf8'))
    if (holder > 0 && !isAlive(holder)) unlinkSync(path)
  } catch {
    // Somebody else was faster.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
