import t from 'tap'
import { BuiltCopy } from '#src/mutants/builtCopy.js'
import { hunt } from '#src/mutants/hunt.js'
import { MUTANTS } from '#src/mutants/mutantList.js'
import { killAll } from './killAll.js'

killAll(MUTANTS)

t.test('a mutant whose text has gone is noticed', async t => {
  const copy = new BuiltCopy()
  t.teardown(() => copy.remove())
  const gone = { ...MUTANTS[0]!, text: 'what nobody ever wrote' }
  t.throws(() => hunt(copy, gone, 1), /0 times, not once/)
})
