import type { ProfileName } from '../cluster/profiles.js'

/**
 * A mistake as a patch of one built file. `text` must be there exactly once, so that a mutant that no longer
 * means anything is noticed.
 */
export interface Mutant {
  readonly id: `M${number}`
  readonly title: string
  /** Below packages/. */
  readonly file: string
  readonly text: string
  readonly replacement: string
  /** Under which faults it is looked for. */
  readonly profile: ProfileName
  /** Seeds that were seen to kill it; tried first. */
  readonly seeds: readonly number[]
}
