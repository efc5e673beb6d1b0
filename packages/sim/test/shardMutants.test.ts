import { SHARD_MUTANTS } from '#src/mutants/shardMutants.js'
import { killAll } from './killAll.js'

killAll(SHARD_MUTANTS)
