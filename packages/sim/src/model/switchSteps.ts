import type { Emit } from './oracleSteps.js'
import type { Context } from './rules.js'
import type { World } from './world.js'

/** The meta group learns that dense mode is over, and from which revision on the oracle may count. */
export function switchSteps(context: Context, world: World, emit: Emit): void {
  const { oracle } = world
  if (!context.plan.dense || oracle.committed !== null) return
  for (const { replica, leader } of world.shards[0]!.agents) {
    const { mode } = replica
    if (!leader.open || mode.kind === 'dense') continue
    emit(`the meta group is told that dense mode ended at ${mode.denseUpTo}`, () => ({
      ...world,
      oracle: { ...oracle, committed: mode.denseUpTo },
    }))
    return
  }
}
