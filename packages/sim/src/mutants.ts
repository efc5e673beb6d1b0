#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { BuiltCopy } from './mutants/builtCopy.js'
import { hunt } from './mutants/hunt.js'
import { MUTANTS } from './mutants/mutantList.js'
import { SHARD_MUTANTS } from './mutants/shardMutants.js'

/**
 * `npm run mutants -- [--id M4] [--seeds N] [--fresh]`: shows that the simulator sees. One line per mutant
 * with the seeds it took; one that survives N seeds is a failure of the simulator. `--fresh` forgets the known seeds.
 */
function main(): number {
  const { values } = parseArgs({
    options: {
      id: { type: 'string', multiple: true },
      seeds: { type: 'string', default: '200' },
      fresh: { type: 'boolean', default: false },
    },
  })
  const all = [...MUTANTS, ...SHARD_MUTANTS]
  const wanted = all.filter(({ id }) => values.id === undefined || values.id.includes(id))
  if (wanted.length === 0) throw new Error(`no such mutant: ${values.id?.join(' ')}`)
  const copy = new BuiltCopy()
  let survivors = 0
  try {
    for (const mutant of wanted) {
      const looked = values.fresh ? { ...mutant, seeds: [] } : mutant
      const { seedsToKill, verdict } = hunt(copy, looked, Number(values.seeds))
      if (seedsToKill === null) survivors++
      const result =
        seedsToKill === null ? 'SURVIVED' : `killed after ${seedsToKill}: ${verdict.slice(0, 200)}`
      console.log(`${mutant.id} ${mutant.title}: ${result}`)
    }
  } finally {
    copy.remove()
  }
  console.log(`mutants: ${wanted.length} tried, ${wanted.length - survivors} killed, ${survivors} survived`)
  return survivors === 0 ? 0 : 1
}

process.exitCode = main()
