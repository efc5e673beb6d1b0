/** Nothing here measures speed: on a busy machine a condition may take its time, but not this long. */
export const DEADLINE_MS = 60_000
const LOOK_MS = 20

export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** The first answer of `look` that is not null; rejects when none comes in time. */
export async function until<Value>(
  what: string,
  look: () => Value | null | Promise<Value | null>,
  deadlineMs = DEADLINE_MS,
): Promise<Value> {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    const found = await look()
    if (found !== null) return found
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await pause(LOOK_MS)
  }
}

export const holds = (what: string, condition: () => boolean | Promise<boolean>): Promise<true> =>
  until(what, async () => ((await condition()) ? true : null))
