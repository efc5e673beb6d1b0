import { assert } from '@kvorum/model'
import type { Random } from './random.js'
import { Trace } from './trace.js'

/** Virtual time since the start of the run: an integer count of microseconds. */
export type Micros = number

export const MILLISECOND: Micros = 1000
export const SECOND: Micros = 1_000_000
export const MINUTE: Micros = 60 * SECOND

/** A scheduled event; give it to `cancel`. */
export interface Timer {
  readonly time: Micros
  readonly label: string
}

interface Slot extends Timer {
  readonly tie: number
  readonly sequence: number
  run: (() => void) | null
}

/** More events than this waiting is a runaway feedback loop, not a run. */
const EVENTS_MAX = 2_000_000

/**
 * The one queue of everything that will happen. Events at one instant run in random order (drawn when they
 * are scheduled), because no real system promises any; whoever needs an order asks for later instants.
 */
export class Schedule {
  readonly trace = new Trace()
  readonly #random: Random
  readonly #heap: Slot[] = []
  #now: Micros = 0
  #sequence = 0
  #cancelled = 0

  constructor(random: Random) {
    this.#random = random
  }

  get now(): Micros {
    return this.#now
  }

  /** Events that will still run. */
  get pending(): number {
    return this.#heap.length - this.#cancelled
  }

  /** `label` names the kind of event in the trace; it comes from a small fixed vocabulary. */
  after(delay: Micros, label: string, run: () => void): Timer {
    return this.at(this.#now + Math.max(0, Math.round(delay)), label, run)
  }

  at(time: Micros, label: string, run: () => void): Timer {
    assert(Number.isSafeInteger(time) && time >= this.#now, () => `${label} at ${time}, now ${this.#now}`)
    assert(this.#heap.length < EVENTS_MAX, () => `${EVENTS_MAX} events are waiting`)
    const slot: Slot = { time, label, tie: this.#random.uint32(), sequence: this.#sequence++, run }
    push(this.#heap, slot)
    return slot
  }

  /** Nothing happens if the event has run or was cancelled before. */
  cancel(timer: Timer): void {
    const slot = timer as Slot
    if (slot.run === null) return
    slot.run = null
    this.#cancelled++
  }

  /** When the next event runs; null if none is left. */
  get nextTime(): Micros | null {
    this.#dropCancelled()
    return this.#heap[0]?.time ?? null
  }

  /** Runs one event and says whether there was one. */
  step(): boolean {
    this.#dropCancelled()
    const slot = pop(this.#heap)
    if (slot === null) return false
    this.#now = slot.time
    this.trace.number(slot.time).label(slot.label)
    const run = slot.run!
    slot.run = null
    run()
    return true
  }

  /** Runs everything up to and including `time`, which then is now. */
  runUntil(time: Micros): void {
    for (let next = this.nextTime; next !== null && next <= time; next = this.nextTime) this.step()
    this.#now = Math.max(this.#now, time)
  }

  /** Steps until the condition holds; false if it did not by `deadline` or nothing was left to run. */
  runWhile(waiting: () => boolean, deadline: Micros): boolean {
    while (waiting()) {
      const next = this.nextTime
      if (next === null || next > deadline) return false
      this.step()
    }
    return true
  }

  #dropCancelled(): void {
    while (this.#heap.length > 0 && this.#heap[0]!.run === null) {
      pop(this.#heap)
      this.#cancelled--
    }
  }
}

const before = (a: Slot, b: Slot): boolean =>
  a.time !== b.time ? a.time < b.time : a.tie !== b.tie ? a.tie < b.tie : a.sequence < b.sequence

function push(heap: Slot[], slot: Slot): void {
  let at = heap.length
  heap.push(slot)
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!before(slot, heap[parent]!)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = slot
}

function pop(heap: Slot[]): Slot | null {
  const top = heap[0]
  const last = heap.pop()
  if (top === undefined || last === undefined) return null
  if (heap.length === 0) return top
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
    if (!before(heap[child]!, last)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
  return top
}
