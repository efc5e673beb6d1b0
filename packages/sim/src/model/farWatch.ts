import {
  isSameRange,
  rangeCovers,
  type GroupId,
  type Index,
  type KeyRange,
  type Revision,
} from '@kvorum/model'
import { askLeaders } from './clientSteps.js'
import { beginFarWatch, type FarPage, type FarWatch } from './farWorld.js'
import { keysIn } from './keys.js'
import type { Emit } from './oracleSteps.js'
import { must, tell, upTo } from './properties.js'
import type { Replica } from './replica.js'
import type { Context } from './rules.js'
import { nameOf } from './shardSteps.js'
import type { World } from './world.js'

/** Numbers that its resolves go by, from here on one for each map: an answer is for the question that named the range. */
const FAR_RESOLVE = 200
export const isFarResolve = (id: number): boolean => id >= FAR_RESOLVE

export function farSteps(context: Context, world: World, emit: Emit): void {
  const { far } = world
  if (far === null) return
  const { rules } = context
  const isCurrent =
    far.shards.length === world.shards.length &&
    far.shards.every(({ range }, s) => isSameRange(range, world.shards[s]!.end.range))
  if (!isCurrent)
    emit('the far watcher learns of the map and begins anew', () => ({
      ...world,
      far: beginFarWatch(rules, world.shards, far.told, far.delivered),
    }))
  for (const [s, { group, range, promised }] of far.shards.entries())
    for (const [i, { replica, applied, leader }] of world.shards[s]!.agents.entries()) {
      if (!leader.open || !mayAnswer(context, replica, range)) continue
      const revision = rules.resolvedByLog(replica.transactions, replica.highest)
      if (revision <= (promised?.revision ?? 0)) continue
      emit(`${nameOf(world, s, i)} says how far it is`, () =>
        heard(context, world, group, { revision, index: applied }),
      )
    }
  const seen = Math.max(0, ...far.shards.map(({ promised }) => promised?.revision ?? 0))
  const id = FAR_RESOLVE + far.shards.length
  for (const { group, revision } of rules.watchWants(far.watch, seen)) {
    const s = far.shards.findIndex(shard => shard.group === group)
    askLeaders(context, world, s, { id, revision, ranges: [far.shards[s]!.range] }, 'the far watcher', emit)
  }
  if (far.page !== null) pageSteps(context, world, far, far.page, emit)
}

/** Who does not have all of the range refuses. */
const mayAnswer = ({ plan }: Context, { range: own }: Replica, range: KeyRange): boolean =>
  plan.breach === 'farRangeNotChecked' || rangeCovers(own, range)

export function farPromised(
  context: Context,
  world: World,
  s: number,
  i: number,
  id: number,
  promised: { readonly revision: Revision; readonly index: Index },
): World {
  const { far } = world
  const record = far?.shards[s]
  if (far === null || record === undefined || id !== FAR_RESOLVE + far.shards.length) return world
  const { replica } = world.shards[s]!.agents[i]!
  return mayAnswer(context, replica, record.range) ? heard(context, world, record.group, promised) : world
}

function heard(
  context: Context,
  world: World,
  group: GroupId,
  promised: { readonly revision: Revision; readonly index: Index },
): World {
  const far = world.far!
  const { rules } = context
  const stream = far.watch.streams.find(other => other.group === group)!.stream
  const known = far.shards.find(other => other.group === group)!.promised
  if (promised.revision < (known?.revision ?? 0)) return world
  const shards = far.shards.map(other => (other.group === group ? { ...other, promised } : other))
  const index = Math.max(stream.applied, promised.index)
  const advance = { index, events: [], promised: [{ ...promised, epoch: stream.epoch }] }
  const advanced =
    promised.revision > stream.resolved
      ? rules.watchAdvanced(far.watch, new Map([[group, advance]]))
      : far.watch
  return readOn({ ...world, far: { ...far, shards, watch: rules.emitMerged(advanced).watch } })
}

/** The next page is asked for as soon as there is something to read, and none is under way. */
function readOn(world: World): World {
  const far = world.far!
  const { emitted: to } = far.watch
  if (far.page !== null || to <= far.told) return world
  const left = far.shards.map(({ group, range, promised }) => ({ group, range, index: promised?.index ?? 0 }))
  return { ...world, far: { ...far, page: { to, count: 0, left } } }
}

/** Whoever has applied what was promised gives its part, an old leader too. */
function pageSteps(context: Context, world: World, far: FarWatch, page: FarPage, emit: Emit): void {
  for (const part of page.left) {
    const s = world.shards.findIndex(({ group }) => group === part.group)
    for (const [i, { replica, applied, leader }] of world.shards[s]!.agents.entries()) {
      const isThere = applied >= part.index || context.plan.breach === 'farIndexNotAwaited'
      if (!leader.open || !isThere || !mayAnswer(context, replica, part.range)) continue
      emit(`${nameOf(world, s, i)} gives the far watcher its history up to ${page.to}`, () => {
        const keys = keysIn(part.range)
        const count = keys.reduce(
          (sum, key) => sum + upTo(replica, key, page.to) - upTo(replica, key, far.told),
          page.count,
        )
        const left = page.left.filter(other => other !== part)
        const known = tell(world, keys, page.to, () => replica)
        return left.length > 0
          ? { ...known, far: { ...far, page: { ...page, count, left } } }
          : pageEnds(known, far, page.to, far.delivered + count)
      })
    }
  }
}

function pageEnds(world: World, far: FarWatch, to: Revision, delivered: number): World {
  const there = world.shards.reduce(
    (sum, { end }) => keysIn(end.range).reduce((all, key) => all + upTo(end, key, to), sum),
    0,
  )
  must(
    delivered === there,
    () => `Watch: ${delivered} events up to ${to} came from elsewhere, there are ${there}`,
  )
  return readOn({ ...world, far: { ...far, told: to, delivered, page: null } })
}
