/**
 * The replica's own random stream: 32 bits of state, advanced by an odd constant and mixed (the splitmix
 * construction). It spreads election timeouts; nothing secret is drawn from it.
 */
export interface RandomState {
  word: number
}

/** Mixes several numbers into a start state, so that two lives of a replica draw different streams. */
export function seedRandom(...parts: readonly number[]): RandomState {
  const state: RandomState = { word: 0x2545f491 }
  for (const part of parts) {
    state.word = (state.word ^ Math.floor(part % 0x1_0000_0000)) >>> 0
    state.word = nextWord(state)
    state.word = (state.word ^ Math.floor(part / 0x1_0000_0000)) >>> 0
    state.word = nextWord(state)
  }
  return state
}

/** The next 32 random bits, as an unsigned number. */
export function nextWord(state: RandomState): number {
  state.word = (state.word + 0x9e3779b9) >>> 0
  let mixed = state.word
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

/** A number in [0, bound), for bounds far below 2^32. */
export const nextBelow = (state: RandomState, bound: number): number =>
  Math.floor((nextWord(state) / 0x1_0000_0000) * bound)
