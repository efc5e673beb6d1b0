import type { Millis } from '@kvorum/model'
import { MILLISECOND, type Micros } from './schedule.js'

/**
 * What one node believes about time. Its monotonic clock runs `rate` times as fast as true virtual time and
 * stands still while frozen (a suspended machine); its wall clock is that plus an offset which may jump.
 */
export class NodeClock {
  readonly #now: () => Micros
  #rate = 1
  #frozen = false
  #anchor: Micros
  #local: Micros
  #offset: Micros

  /** `wall` is what the wall clock shows at the start, in milliseconds. */
  constructor(now: () => Micros, wall: Millis) {
    this.#now = now
    this.#anchor = now()
    this.#local = now()
    this.#offset = wall * MILLISECOND - this.#local
  }

  /** Milliseconds, rounded down; never goes back. */
  monotonic(): Millis {
    return Math.floor(this.#reading() / MILLISECOND)
  }

  wall(): Millis {
    return Math.floor((this.#reading() + this.#offset) / MILLISECOND)
  }

  /** 1 is true time, 1.0005 is 500 ppm fast, 2 is a broken oscillator. */
  setRate(rate: number): void {
    this.#settle()
    this.#rate = rate
  }

  freeze(): void {
    this.#settle()
    this.#frozen = true
  }

  thaw(): void {
    this.#settle()
    this.#frozen = false
  }

  /** Moves the wall clock; the monotonic clock knows nothing of it. */
  jumpWall(by: Millis): void {
    this.#offset += by * MILLISECOND
  }

  /** How long a local duration takes in true time at the present rate. */
  trueDelay(local: Millis): Micros {
    return Math.ceil((local * MILLISECOND) / this.#rate)
  }

  #reading(): Micros {
    return this.#frozen ? this.#local : this.#local + (this.#now() - this.#anchor) * this.#rate
  }

  #settle(): void {
    this.#local = this.#reading()
    this.#anchor = this.#now()
  }
}
