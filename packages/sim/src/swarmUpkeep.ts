import type { Millis } from '@kvorum/model'
import type { Random } from './random.js'

/** What members do for their data without being asked. Zeros are never. */
export interface UpkeepOptions {
  /** History that is older goes. */
  readonly compactAfterMs: Millis
  /** A member compares its data with the others' before it serves. */
  readonly checkAtStart: boolean
  /** The leader compares all members' about so often, and looks so often whether there was a compaction. */
  readonly checkEveryMs: Millis
  readonly checkAfterCompactionMs: Millis
}

/** Some upkeep, whatever the draw. */
export const drawSomeUpkeep = (random: Random): UpkeepOptions => ({
  compactAfterMs: random.chance(0.7) ? random.int(1_000, 8_000) : 0,
  checkAtStart: random.chance(0.5),
  checkEveryMs: random.chance(0.5) ? random.int(300, 3_000) : 0,
  checkAfterCompactionMs: random.chance(0.5) ? random.int(300, 3_000) : 0,
})

export function drawUpkeep(random: Random): UpkeepOptions | null {
  const drawn = drawSomeUpkeep(random)
  return random.chance(0.4) ? drawn : null
}
