import { readFileSync } from 'node:fs'

/** Linux only: what the kernel says about a process. */

/** USER_HZ, a constant of the kernel's interface on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** User and system time of all threads, in seconds. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The command in parentheses may hold anything; the fields are counted from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Resident set in bytes; 0 for a process that has ended. */
export function residentBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

/** Remembers the largest resident set of any of the processes, looking ten times a second. */
export class ResidentPeak {
  #peak = 0
  readonly #timer: NodeJS.Timeout
  readonly #pids: () => readonly number[]

  constructor(pids: () => readonly number[]) {
    this.#pids = pids
    this.#timer = setInterval(() => this.#look(), 100)
    this.#look()
  }

  #look(): void {
    for (const pid of this.#pids()) this.#peak = Math.max(this.#peak, residentBytes(pid))
  }

  stop(): number {
    this.#look()
    clearInterval(this.#timer)
    return this.#peak
  }
}
