import type * as Placement from '@kvorum/placement'
import type { Configuration } from './configuration.js'

/** The production functions, or a copy of them with a mistake laid over it. */
export type Rules = typeof Placement

export interface Context {
  readonly rules: Rules
  readonly plan: Configuration
}
