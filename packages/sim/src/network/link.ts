import type { Random } from '../random.js'
import type { Micros } from '../schedule.js'
import { CALM_LINK, type LinkFaults } from './faults.js'

/** One direction between two stations. */
export interface Link {
  faults: LinkFaults
  /** Carries nothing. */
  blocked: boolean
  /** Nothing arrives before this instant. */
  cloggedUntil: Micros
  /** When the last byte handed in so far has left (bandwidth). */
  busyUntil: Micros
}

export const createLink = (): Link => ({
  faults: CALM_LINK,
  blocked: false,
  cloggedUntil: 0,
  busyUntil: 0,
})

/** When a frame of `bytes` handed in now would arrive. Charges the link's bandwidth. */
export function arrival(link: Link, now: Micros, bytes: number, random: Random): Micros {
  const { faults } = link
  const start = Math.max(now, link.busyUntil)
  if (faults.bytesPerSecond > 0) {
    link.busyUntil = start + Math.ceil((bytes * 1_000_000) / faults.bytesPerSecond)
  } else {
    link.busyUntil = start
  }
  let delay = random.exponential(faults.delayMean)
  if (random.chance(faults.spikeChance)) delay += random.between(0, faults.spikeMax)
  return Math.max(Math.ceil(link.busyUntil + delay), link.cloggedUntil, now + 1)
}
