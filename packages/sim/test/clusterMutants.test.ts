import t from 'tap'
import { BuiltCopy } from '#src/mutants/builtCopy.js'
import { hunt } from '#src/mutants/hunt.js'
import { MUTANTS } from '#src/mutants/mutantList.js'

/** A mutant that survives this many seeds shows that the simulator is blind there. */
const SEEDS_MAX = 200

t.setTimeout(600_000)

const copy = new BuiltCopy()
t.teardown(() => copy.remove())

for (const mutant of MUTANTS) {
  t.test(`${mutant.id}: ${mutant.title}`, async t => {
    const { seedsToKill, verdict } = hunt(copy, mutant, SEEDS_MAX)
    t.not(seedsToKill, null, `killed after ${seedsToKill} seeds: ${verdict}`)
  })
}

t.test('a mutant whose text has gone is noticed', async t => {
  const gone = { ...MUTANTS[0]!, text: 'what nobody ever wrote' }
  t.throws(() => hunt(copy, gone, 1), /0 times, not once/)
})
