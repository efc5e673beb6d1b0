import { Recorder, type Operation, type Random } from '@kvorum/sim'

/** One operation and how it runs on a correct object. */
export interface Step<Op, Result> {
  readonly op: Op
  readonly run: () => Result
}

/** `make` describes an operation and how it runs on the correct object; some outcomes stay unknown. */
export function generate<Op, Result>(
  random: Random,
  operations: number,
  clients: number,
  make: (serial: number) => Step<Op, Result>,
): Operation<Op, Result>[] {
  let now = 0
  const recorder = new Recorder<Op, Result>(() => now)
  const open: { id: number; run: () => Result; result: Result | null; client: number }[] = []
  const idle = Array.from({ length: clients }, (_, i) => i)
  let fresh = clients
  let serial = 0
  while (serial < operations || open.length > 0) {
    now++
    const choice = random.int(0, 2)
    const current = open.length > 0 ? random.pick(open) : null
    if (choice === 0 && idle.length > 0 && serial < operations) {
      const client = idle.splice(random.int(0, idle.length - 1), 1)[0]!
      const { op, run } = make(serial++)
      open.push({ id: recorder.call(client, op), run, result: null, client })
    } else if (choice === 1 && current !== null && current.result === null) {
      current.result = current.run()
    } else if (choice === 2 && current !== null) {
      const unknown = random.chance(0.1)
      if (current.result === null && !unknown) continue
      open.splice(open.indexOf(current), 1)
      if (!unknown) recorder.ok(current.id, current.result!)
      idle.push(unknown ? fresh++ : current.client)
    }
  }
  return [...recorder.history()]
}

/** Breaks something, or perhaps nothing: a definition has to judge the outcome. */
export function mutate<Op, Result>(
  random: Random,
  history: Operation<Op, Result>[],
): Operation<Op, Result>[] {
  const after = [...history]
  const at = random.int(0, after.length - 1)
  const one = after[at]!
  const shown = text(one.result)
  const like = history.filter(
    other => kindOf(other) === kindOf(one) && other.result !== null && text(other.result) !== shown,
  )
  switch (random.int(-5, 4)) {
    default:
      // A stale, early or foreign answer.
      if (one.result !== null && like.length > 0) after[at] = { ...one, result: random.pick(like).result }
      break
    case 1:
      if (one.outcome === 'ok')
        after[at] = { ...one, return: random.int(one.call, Math.min(one.return, one.call + 3)) }
      break
    case 2:
      if (one.outcome === 'ok') after[at] = { ...one, outcome: 'unknown', return: Infinity, result: null }
      break
    case 3:
      after[at] = { ...one, outcome: 'fail', result: null, return: Math.min(one.return, one.call + 100) }
      break
    case 4:
      after[at] = { ...one, call: random.int(one.call, Math.min(one.return, one.call + 20)) }
      break
  }
  return after
}

const text = (result: unknown): string =>
  JSON.stringify(result, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value))

const kindOf = (operation: Operation<unknown, unknown>): string =>
  (operation.op as { readonly kind: string }).kind
