import { InvariantError } from '@kvorum/model'
import { applySteps } from './applySteps.js'
import { answerSteps, readSteps, writeSteps } from './clientSteps.js'
import { compactSteps } from './compactSteps.js'
import type { Configuration } from './configuration.js'
import { Violated, type Model, type Step } from './explore.js'
import { farSteps } from './farWatch.js'
import { oracleSteps, type Emit } from './oracleSteps.js'
import { PropertyError } from './properties.js'
import type { Context, Rules } from './rules.js'
import { shardSteps } from './shardSteps.js'
import { switchSteps } from './switchSteps.js'
import { transactionSteps } from './transactionSteps.js'
import { settleSteps, watchSteps } from './watchSteps.js'
import { initialWorld, type World } from './world.js'

/**
 * The revision protocol of several shards, as everything that may happen next in one small world. The steps call the
 * functions that the node calls; what is modelled here is only what is around them: logs that commit, leaders that are
 * deposed and do not know it, messages that are late, doubled or lost, and a state machine of four keys.
 *
 * A lost message is one that is never delivered; a message to a deposed leader that could only be lost is not explored.
 */
export function revisionModel(rules: Rules, plan: Configuration): Model<World> {
  const context: Context = { rules, plan }
  return {
    initial: initialWorld(rules, plan),
    next: world => stepsOf(context, world),
    atEnd: world => judgeEnd(plan, world),
  }
}

const STEPS = [
  oracleSteps,
  answerSteps,
  writeSteps,
  readSteps,
  shardSteps,
  applySteps,
  settleSteps,
  transactionSteps,
  watchSteps,
  farSteps,
  switchSteps,
  compactSteps,
] as const

function stepsOf(context: Context, world: World): Step<World>[] {
  const steps: Step<World>[] = []
  const emit: Emit = (label, act) => {
    const to = attempt(act)
    if (to !== null) steps.push({ label, to })
  }
  for (const add of STEPS) {
    const broken = attempt(() => {
      add(context, world, emit)
      return null
    })
    if (broken !== null) steps.push({ label: 'a leader looks at what it has', to: broken })
  }
  return steps
}

function attempt(act: () => World | null): World | Violated | null {
  try {
    return act()
  } catch (error) {
    if (error instanceof PropertyError) return new Violated(error.message)
    if (error instanceof InvariantError) return new Violated(`Assertion: ${error.message}`)
    throw error
  }
}

function judgeEnd(plan: Configuration, world: World): Violated | null {
  const locked = world.shards.findIndex(({ end }) => end.transactions.prepared.length > 0)
  if (locked >= 0 && (plan.coordinatorCrash || plan.mustFinish))
    return new Violated(`End: shard ${locked + 1} is locked and nothing more happens`)
  if (!plan.mustFinish) return null
  const compacted = world.shards.findIndex(({ end }) => end.compacted < (world.compaction?.at ?? 0))
  if (compacted >= 0) return new Violated(`End: shard ${compacted + 1} is not compacted`)
  const open = [...world.writes, ...world.reads, ...world.transactions].filter(
    ({ stage }) => stage !== 'done' && stage !== 'over',
  )
  return open.length === 0 ? null : new Violated('End: something is not finished, and nothing more happens')
}
