import { ALL_KEYS } from '@kvorum/model'
import { askLeaders, COMPACT_RESOLVE } from './clientSteps.js'
import type { Emit } from './oracleSteps.js'
import type { Context } from './rules.js'
import { append, nameOf, openLeaderOf } from './shardSteps.js'
import type { World } from './world.js'

/**
 * A compaction goes through the meta group's log, and then to every shard that there is by then or comes later: its leader
 * resolves the revision, and whoever leads after that proposes the entry.
 */
export function compactSteps(context: Context, world: World, emit: Emit): void {
  const { plan } = context
  const { compaction } = world
  if (!plan.compact) return
  if (compaction === null) {
    // Any revision that was handed out may be asked for; the newest one is the hardest.
    const at = Math.floor(Math.log2(world.oracle.handed))
    if (at < 1) return
    const ready = plan.breach === 'compactedUnresolved' ? world.shards.map(({ group }) => group) : []
    emit(`the meta group compacts ${at}`, () => ({ ...world, compaction: { at, ready } }))
    return
  }
  const { at, ready } = compaction
  for (const [s, { group, agents }] of world.shards.entries()) {
    const i = openLeaderOf(world, s)
    if (ready.includes(group)) {
      if (i < 0) continue
      emit(`${nameOf(world, s, i)} proposes the compaction`, () => {
        const taken = { ...world, compaction: { at, ready: ready.filter(other => other !== group) } }
        return append(context, taken, s, { kind: 'compact', term: agents[i]!.term, revision: at })
      })
    } else if (i >= 0 && agents[i]!.replica.compacted < at && !isUnderWay(world, s))
      askLeaders(
        context,
        world,
        s,
        { id: COMPACT_RESOLVE, revision: at, ranges: [ALL_KEYS] },
        'the compaction',
        emit,
      )
  }
}

const isUnderWay = ({ shards }: World, s: number): boolean =>
  shards[s]!.log.some(({ kind }) => kind === 'compact')

/** A leader has promised the revision: the entry may be proposed. */
export function compactionResolved(world: World, s: number): World {
  const compaction = world.compaction!
  const { group } = world.shards[s]!
  const ready = [...compaction.ready.filter(other => other !== group), group].sort((p, q) => p - q)
  return { ...world, compaction: { ...compaction, ready } }
}
