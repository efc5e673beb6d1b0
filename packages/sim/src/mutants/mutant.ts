import type { ProfileName } from '../cluster/profiles.js'
import type { Draw } from '../swarm.js'

export interface Patch {
  /** Below packages/. */
  readonly file: string
  readonly text: string
  readonly replacement: string
}

/** What the verdict says where the code finds out itself that it cannot go on. */
export const BY_ITSELF = 'a promise of the code to itself'

/**
 * A mistake as a patch of one built file. `text` must be there exactly once, so that a mutant that no longer
 * means anything is noticed.
 */
export interface Mutant extends Patch {
  readonly id: `M${number}`
  readonly title: string
  /** Where the mistake has to be made in more than one place, because one guard stands behind another. */
  readonly also?: readonly Patch[]
  /** Under which faults it is looked for. */
  readonly profile: ProfileName
  /** What can be drawn where it is looked for; absent: everything. */
  readonly draw?: Draw
  /** Length of the phase with faults, where a part of what is drawn is enough. */
  readonly virtualSeconds?: number
  /** Seeds that were seen to kill it; tried first. */
  readonly seeds: readonly number[]
  /** What those seeds find broken; another verdict may be the seed's own, and is compared with a run without the mistake. */
  readonly breaks?: `I${number}` | typeof BY_ITSELF
}
