import { LIMITS } from '@kvorum/model'

/** A turn this long is on its way to the bound of 20 ms: the next ones take half as much. */
const LONG_MICROSECONDS = 8_000
/** A full turn that ends within this leaves room for a little more. */
const SHORT_MICROSECONDS = 4_000
/** Of `turnInputsMax` and `turnApplyBytesMax`. A process begins with code that is compiled while it runs. */
const SHARE_AT_START = 1 / 8
const SHARE_MIN = 1 / 16
const SHARE_STEP = 1 / 16

/** What the next turn may take up. */
export interface TurnBounds {
  readonly inputs: number
  /** Of committed entries to apply, each with what it costs at least. */
  readonly applyBytes: number
}

/**
 * How much a turn takes up. What an input costs differs by more than ten times between a machine that is idle and
 * code that is warm, and one that is busy and code that has never run; how many fit a turn is learned from those
 * before.
 */
export class TurnPace {
  #share = SHARE_AT_START

  bounds(): TurnBounds {
    return {
      inputs: Math.ceil(LIMITS.turnInputsMax * this.#share),
      applyBytes: Math.ceil(LIMITS.turnApplyBytesMax * this.#share),
    }
  }

  /** `full`: the turn left something for the next one because of its bounds. */
  took(microseconds: number, full: boolean): void {
    if (microseconds > LONG_MICROSECONDS) this.#share = Math.max(SHARE_MIN, this.#share / 2)
    else if (full && microseconds < SHORT_MICROSECONDS) this.#share = Math.min(1, this.#share + SHARE_STEP)
  }
}
