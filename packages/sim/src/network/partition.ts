import type { Random } from '../random.js'

/** A participant of the network, counted from 0. The harness says which are nodes and which are clients. */
export type Station = number

/** A directed link that carries nothing. */
export type Cut = readonly [from: Station, to: Station]

export type PartitionKind =
  'isolate' | 'isolateIn' | 'isolateOut' | 'halves' | 'ring' | 'bridge' | 'uniform' | 'oneLink' | 'oneWay'

export const PARTITION_KINDS: readonly PartitionKind[] = [
  'isolate',
  'isolateIn',
  'isolateOut',
  'halves',
  'ring',
  'bridge',
  'uniform',
  'oneLink',
  'oneWay',
]

const pairs = (stations: readonly Station[]): Cut[] =>
  stations.flatMap(from => stations.flatMap((to): Cut[] => (from === to ? [] : [[from, to]])))

/** Every link between stations of different groups; stations in no group keep all their links. */
export function cutsBetween(groups: readonly (readonly Station[])[]): Cut[] {
  const groupOf = new Map(groups.flatMap((group, at) => group.map(station => [station, at] as const)))
  return pairs([...groupOf.keys()]).filter(([from, to]) => groupOf.get(from) !== groupOf.get(to))
}

/**
 * The links cut by one partition of this kind, drawn from `random`. `victim` (say, a leader) is the station
 * that isolate and oneWay single out.
 *
 * ring: everybody sees its two neighbours only. bridge: two halves that share one member. oneLink: one pair
 * loses both directions (the case that deposed leaders for hours in 2020). uniform: each direction with p = 0.5.
 */
export function drawCuts(
  kind: PartitionKind,
  stations: readonly Station[],
  random: Random,
  victim: Station = random.pick(stations),
): Cut[] {
  const order = random.shuffle(stations)
  const all = pairs(stations)
  const half = Math.floor(order.length / 2)
  switch (kind) {
    case 'isolate':
      return all.filter(([from, to]) => from === victim || to === victim)
    case 'isolateIn':
      return all.filter(([, to]) => to === victim)
    case 'isolateOut':
      return all.filter(([from]) => from === victim)
    case 'halves':
      return cutsBetween([order.slice(0, half), order.slice(half)])
    case 'bridge':
      return cutsBetween([order.slice(0, half), order.slice(half + 1)])
    case 'ring': {
      const place = new Map(order.map((station, at) => [station, at]))
      return all.filter(([from, to]) => {
        const apart = Math.abs(place.get(from)! - place.get(to)!)
        return apart !== 1 && apart !== order.length - 1
      })
    }
    case 'uniform':
      return all.filter(() => random.chance(0.5))
    case 'oneLink': {
      const [a, b] = order
      return all.filter(([from, to]) => (from === a && to === b) || (from === b && to === a))
    }
    case 'oneWay': {
      const others = order.filter(station => station !== victim)
      return others.length === 0 ? [] : [[victim, others[0]!]]
    }
  }
}
