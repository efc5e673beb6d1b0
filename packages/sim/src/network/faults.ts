import type { Random } from '../random.js'
import { MILLISECOND, MINUTE, SECOND, type Micros } from '../schedule.js'

/**
 * What a directed link does to frames. Chances are per frame.
 *
 * Connections keep order and lose nothing until they are cut, so drop, duplicate, replay and reorder apply to
 * datagrams only; cut and halfOpen apply to connections only; delay, spikes and bandwidth to both.
 */
export interface LinkFaults {
  /** Exponentially distributed one-way delay. */
  readonly delayMean: Micros
  readonly spikeChance: number
  readonly spikeMax: Micros
  /** 0 is unlimited. */
  readonly bytesPerSecond: number
  readonly dropChance: number
  readonly duplicateChance: number
  /** The frame arrives once more, up to `replayAfterMax` later. */
  readonly replayChance: number
  readonly replayAfterMax: Micros
  readonly reorderChance: number
  readonly cutChance: number
  /** When a connection dies, the chance that a side is not told (it finds out by sending, or late). */
  readonly halfOpenChance: number
}

export const CALM_LINK: LinkFaults = {
  delayMean: 500,
  spikeChance: 0,
  spikeMax: 0,
  bytesPerSecond: 0,
  dropChance: 0,
  duplicateChance: 0,
  replayChance: 0,
  replayAfterMax: 0,
  reorderChance: 0,
  cutChance: 0,
  halfOpenChance: 0,
}

/** Swarm: each class is on with p = 0.5, with an intensity of its own. */
export function drawLinkFaults(random: Random): LinkFaults {
  const on = (draw: () => number): number => {
    const value = draw()
    return random.chance(0.5) ? value : 0
  }
  return {
    delayMean: random.int(100, 100 * MILLISECOND),
    spikeChance: on(() => random.between(0, 0.02)),
    spikeMax: random.int(100 * MILLISECOND, 5 * SECOND),
    bytesPerSecond: on(() => random.int(100_000, 10_000_000)),
    dropChance: on(() => random.between(0, 0.3)),
    duplicateChance: on(() => random.between(0, 0.5)),
    replayChance: on(() => random.between(0, 0.05)),
    replayAfterMax: random.int(SECOND, 3 * MINUTE),
    reorderChance: on(() => random.between(0, 0.3)),
    cutChance: on(() => random.between(0, 0.01)),
    halfOpenChance: on(() => random.between(0, 1)),
  }
}
