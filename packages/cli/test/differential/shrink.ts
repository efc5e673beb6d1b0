import type { Difference, Outcome } from './run.js'
import type { Sequence, Step } from './steps.js'
import { isSymbolic, type MessageTemplate, type Template } from './symbols.js'

export interface Shrunk {
  readonly sequence: Sequence
  readonly difference: Difference
}

/**
 * Leaves out what the difference does not need: first steps, half of them at a time, then parts of requests.
 * `run` tells whether a sequence still differs. Ends after `budget` runs.
 */
export async function shrink(
  found: Shrunk,
  run: (sequence: Sequence) => Promise<Outcome>,
  budget: number,
): Promise<Shrunk> {
  let best = found
  let left = budget
  const attempt = async (steps: readonly Step[]): Promise<boolean> => {
    if (left-- <= 0) return false
    const sequence = { ...best.sequence, steps }
    const outcome = await run(sequence)
    if (outcome.kind !== 'differs' || !isLike(outcome.difference, found.difference)) return false
    best = { sequence, difference: outcome.difference }
    return true
  }
  await attempt(best.sequence.steps.slice(0, best.difference.step + 1))
  for (let size = Math.ceil(best.sequence.steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.sequence.steps.length && left > 0;) {
      const { steps } = best.sequence
      if (!(await attempt([...steps.slice(0, at), ...steps.slice(at + size)]))) at += size
    }
  }
  while (left > 0 && (await shrinkOneRequest(best.sequence.steps, attempt)));
  return best
}

/** The same field differs, so that one difference does not turn into another while it shrinks. */
const isLike = (a: Difference, b: Difference): boolean => fieldOf(a) === fieldOf(b)

const fieldOf = ({ text }: Difference): string => text.slice(0, text.indexOf(':')).replace(/\d+/g, 'N')

async function shrinkOneRequest(
  steps: readonly Step[],
  attempt: (steps: readonly Step[]) => Promise<boolean>,
): Promise<boolean> {
  for (let at = 0; at < steps.length; at++) {
    const step = steps[at]!
    if (!('request' in step)) continue
    for (const smaller of smallerMessages(step.request)) {
      const changed = { ...step, request: smaller }
      if (await attempt([...steps.slice(0, at), changed, ...steps.slice(at + 1)])) return true
    }
  }
  return false
}

/** A grant without an id has an answer that cannot be compared; without root's password nobody gets in; etcd
 * ends at a permission that is missing; and a member that is to vote and does not come stops the others. */
const NEEDED: ReadonlySet<string> = new Set(['ID', 'password', 'perm', 'isLearner', 'peerURLs'])

function* smallerMessages(message: MessageTemplate): Generator<MessageTemplate> {
  for (const [name, value] of Object.entries(message)) {
    const { [name]: _, ...rest } = message

    if (!NEEDED.has(name)) yield rest
    for (const smaller of smallerValues(value)) yield { ...message, [name]: smaller }
  }
}

function* smallerValues(value: Template): Generator<Template> {
  if (typeof value !== 'object' || value instanceof Uint8Array) return
  if (Array.isArray(value)) {
    const items = value as readonly Template[]
    for (let i = 0; i < items.length; i++) {
      yield [...items.slice(0, i), ...items.slice(i + 1)]
      for (const smaller of smallerValues(items[i]!))
        yield [...items.slice(0, i), smaller, ...items.slice(i + 1)]
    }
  } else if (!isSymbolic(value)) yield* smallerMessages(value as MessageTemplate)
}
