import { spawnSync } from 'node:child_process'
import type { BuiltCopy } from './builtCopy.js'
import { NEWEST_DRAW } from '../swarm.js'
import type { Mutant } from './mutant.js'

export interface Hunted {
  readonly mutant: Mutant
  /** Seeds until one failed, that one included; null when none did. */
  readonly seedsToKill: number | null
  readonly seed: number | null
  /** What the simulator said. */
  readonly verdict: string
}

/**
 * Runs seeds under the mutant until one fails that the code without it passes. First the known ones, then from
 * 1 on up to `seedsMax` altogether.
 */
export function hunt(copy: BuiltCopy, mutant: Mutant, seedsMax: number): Hunted {
  const known = mutant.seeds.slice(0, seedsMax)
  for (const [at, seed] of known.entries()) {
    const found = attempt(copy, mutant, seed, 1)
    if (found !== null) return { mutant, seedsToKill: at + 1, ...found }
  }
  for (let from = 1; from <= seedsMax - known.length;) {
    const found = attempt(copy, mutant, from, seedsMax - known.length - from + 1)
    if (found === null) break
    if (found.seed !== null) return { mutant, seedsToKill: known.length + found.seed, ...found }
    from = found.next
  }
  return { mutant, seedsToKill: null, seed: null, verdict: 'survived' }
}

interface Attempt {
  readonly seed: number | null
  readonly next: number
  readonly verdict: string
}

function attempt(copy: BuiltCopy, mutant: Mutant, from: number, count: number): Attempt | null {
  const output = copy.with(mutant, () => simulate(copy, mutant, from, count))
  const line = /^seed (\d+) failed at .*$/m.exec(output)
  if (line === null) return null
  const seed = Number(line[1])
  const counts = isExpected(mutant, seed, line[0]) || !failsByItself(copy, mutant, seed)
  return { seed: counts ? seed : null, next: seed + 1, verdict: line[0] }
}

const isExpected = ({ seeds, breaks }: Mutant, seed: number, verdict: string): boolean =>
  breaks !== undefined &&
  seeds.includes(seed) &&
  [':', ' '].some(end => verdict.includes(`: ${breaks}${end}`))

/** Then it shows nothing about the mutant. */
const failsByItself = (copy: BuiltCopy, mutant: Mutant, seed: number): boolean =>
  simulate(copy, mutant, seed, 1).includes(' failed at ')

function simulate(copy: BuiltCopy, mutant: Mutant, from: number, count: number): string {
  const { profile, draw = NEWEST_DRAW, virtualSeconds } = mutant
  const length = virtualSeconds === undefined ? [] : ['--virtual-seconds', `${virtualSeconds}`]
  const what = ['--profile', profile, '--draw', `${draw}`, ...length]
  const options = ['--from', `${from}`, '--seeds', `${count}`, ...what, '--until-failure']
  const { stdout, stderr, status } = spawnSync(process.execPath, [copy.simulator, ...options], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    // Whoever counts coverage of the hunt does not slow the simulator down.
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  if (status !== 0 && status !== 1) throw new Error(`the simulator ended with ${status}: ${stderr}`)
  return stdout
}
