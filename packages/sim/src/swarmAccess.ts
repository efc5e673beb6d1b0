import type { Random } from './random.js'
import { SECOND, type Micros } from './schedule.js'

/** Users with a role each, whose rights change while they write. */
export interface UserOptions {
  readonly count: number
  /** The administrator changes something about this often. */
  readonly changeEvery: Micros
  /** Authentication is also switched off and on again. */
  readonly switches: boolean
}

/** A quota that the workload uses up, and an operator who makes room. */
export interface QuotaOptions {
  readonly bytes: number
  /** Room takes the alarm back without the operator. */
  readonly autoDisarm: boolean
  /** The operator also raises the alarm by hand, about this often; 0 is never. */
  readonly raiseEvery: Micros
}

export function drawUsers(random: Random): UserOptions | null {
  const drawn = {
    count: random.int(1, 4),
    changeEvery: random.int(SECOND / 5, 3 * SECOND),
    switches: random.chance(0.3),
  }
  return random.chance(0.3) ? drawn : null
}

export function drawQuota(random: Random): QuotaOptions | null {
  const drawn = {
    bytes: random.pick([8_000, 20_000, 60_000]),
    autoDisarm: random.chance(0.3),
    raiseEvery: random.chance(0.5) ? random.int(2 * SECOND, 20 * SECOND) : 0,
  }
  return random.chance(0.5) ? drawn : null
}
