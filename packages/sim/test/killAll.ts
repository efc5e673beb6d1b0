import t from 'tap'
import { BuiltCopy } from '#src/mutants/builtCopy.js'
import { hunt } from '#src/mutants/hunt.js'
import type { Mutant } from '#src/mutants/mutant.js'

/** A mutant that survives this many seeds shows that the simulator is blind there. */
const SEEDS_MAX = 200

/** One test for each: the simulator finds it. */
export function killAll(mutants: readonly Mutant[]): void {
  t.setTimeout(600_000)
  const copy = new BuiltCopy()
  t.teardown(() => copy.remove())
  for (const mutant of mutants) {
    t.test(`${mutant.id}: ${mutant.title}`, async t => {
      const { seedsToKill, verdict } = hunt(copy, mutant, SEEDS_MAX)
      t.not(seedsToKill, null, `killed after ${seedsToKill} seeds: ${verdict}`)
    })
  }
}
