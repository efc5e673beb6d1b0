import { catchUp } from './catchUp.js'
import { difference, normalise } from './normalise.js'
import { bindings, type Run, type Side } from './run.js'
import type { Step } from './steps.js'
import { resolve } from './symbols.js'
import { CLIENTS, type Message } from './target.js'
import type { WatchStream } from './watchStream.js'
import { eventsOf, expectedEvents, groupedByRevision, WHOLE_LEDGER, type Watch } from './watchEvents.js'

/** The watches of a sequence at one server, by stream and id. */
export interface Watches {
  readonly streams: Map<number, WatchStream>
  /** Those that were made, ended ones too. */
  readonly watches: Watch[]
}

export const openWatches = (): Watches => ({ streams: new Map(), watches: [] })

export function closeWatches(side: Side): void {
  for (const stream of side.watches.streams.values()) stream.close()
}

type WatchStep = Extract<Step, { kind: 'watch' | 'cancel' | 'progress' }>

/** A stream of its own for one watch over everything, that tells what the others have to wait for. */
const LEDGER = -1
const NEVER_MS = 10_000

/** Before the first watch, or, where that is one of the prologue, with it: users come first. */
export async function openLedgers(run: Run): Promise<string | null> {
  if (run.etcd.watches.watches.length > 0) return null
  const step = { kind: 'watch', stream: LEDGER, request: WHOLE_LEDGER, as: 'root' } as const
  return takeWatchStep(run, step)
}

export async function takeWatchStep(run: Run, step: WatchStep): Promise<string | null> {
  const unlike = step.kind === 'watch' ? null : await settleWatches(run)
  if (unlike !== null) return unlike
  if (step.kind === 'progress' && !run.isOld && !isProgressTold(run, step.stream)) return null
  if (step.kind === 'watch') await catchUp(run, step.as, clientOf(step))
  const [etcd, kvorum] = await Promise.all([take(run, run.etcd, step), take(run, run.kvorum, step)])
  return difference(etcd, kvorum)
}

/**
 * Later versions leave the question unanswered unless every watch of the stream has caught up and begun, those
 * that ended by compaction counted.
 */
function isProgressTold(run: Run, stream: number): boolean {
  const all = run.etcd.watches.watches.filter(watch => watch.stream === stream)
  const open = all.filter(watch => !watch.ended)
  if (all.some(watch => watch.first < watch.compacted)) return false
  return open.length > 0 && open.every(watch => watch.first <= run.marks.now && !isBehind(run.etcd, watch))
}

/** What the server says to it, normalised. */
async function take(run: Run, side: Side, step: WatchStep): Promise<unknown> {
  const stream = streamOf(run, side, step)
  switch (step.kind) {
    case 'watch':
      return create(run, side, step, stream)
    case 'cancel':
      return cancel(side, step.stream, step.watchId, stream)
    case 'progress':
      return askProgress(side, stream)
  }
}

const clientOf = ({ stream }: WatchStep): number => Math.max(0, stream) % CLIENTS

function streamOf(run: Run, side: Side, step: WatchStep): WatchStream {
  const known = side.watches.streams.get(step.stream)
  if (known !== undefined && known.ended === null) return known
  const { target } = side
  const client = clientOf(step)
  const as = step.kind === 'watch' && run.guarded ? step.as : undefined
  const isJson = run.sequence.transport === 'json' && step.stream !== LEDGER
  const opened = isJson ? target.jsonWatch(as, client) : target.watchStream(as, client)
  side.watches.streams.set(step.stream, opened)
  return opened
}

const NO_ANSWER: Message = { answer: 'none' }

const isCreated = (message: Message): boolean => message['created'] === true

async function create(
  run: Run,
  side: Side,
  step: Extract<WatchStep, { kind: 'watch' }>,
  stream: WatchStream,
): Promise<unknown> {
  const before = stream.said.filter(isCreated).length
  const request = resolve(step.request, bindings(run, side)) as Message
  stream.send({ create_request: request })
  await stream.until(() => stream.said.filter(isCreated).length > before)
  const answer = stream.said.filter(isCreated)[before]
  if (answer === undefined) return { ended: stream.ended ?? 'no answer' }
  if (answer['canceled'] !== true) {
    const header = answer['header'] as { revision: number }
    side.watches.watches.push({
      stream: step.stream,
      id: answer['watch_id'] as bigint,
      request,
      first: Number(request['start_revision'] ?? 0) || header.revision + 1,
      past: Number(request['start_revision'] ?? Infinity) <= header.revision,
      compacted: run.marks.compacted,
      from: stream.said.indexOf(answer) + 1,
      ended: false,
      ...(step.as === undefined ? {} : { as: step.as }),
    })
  }
  return normalise(stream.asItCame(answer), side.names)
}

async function cancel(side: Side, number: number, watchId: bigint, stream: WatchStream): Promise<unknown> {
  const watch = side.watches.watches.find(one => one.stream === number && one.id === watchId && !one.ended)
  stream.send({ cancel_request: { watch_id: watchId } })
  if (watch === undefined) return 'not heard of'
  const isEnd = (message: Message): boolean => message['canceled'] === true && message['watch_id'] === watchId
  const last = (): Message | undefined => stream.said.slice(watch.from).find(isEnd)
  await stream.until(() => last() !== undefined)
  watch.ended = true
  return normalise(stream.asItCame(last() ?? NO_ANSWER), side.names)
}

const isProgress = (message: Message): boolean => message['watch_id'] === -1n && !isCreated(message)

async function askProgress(side: Side, stream: WatchStream): Promise<unknown> {
  const before = stream.said.filter(isProgress).length
  stream.send({ progress_request: {} })
  await stream.until(() => stream.said.filter(isProgress).length > before)
  return normalise(stream.said.filter(isProgress)[before] ?? NO_ANSWER, side.names)
}

/** Waits until every watch has seen all there is for it, and compares what they saw. */
export async function settleWatches(run: Run): Promise<string | null> {
  if (run.etcd.watches.watches.length === 0) return null
  const late = [...(await settleSide(run, run.etcd)), ...(await settleSide(run, run.kvorum))]
  const unlike = difference(seen(run.etcd), seen(run.kvorum))
  return unlike ?? late[0] ?? [run.etcd, run.kvorum].flatMap(side => irregular(side))[0] ?? null
}

async function settleSide(run: Run, side: Side): Promise<string[]> {
  const { watches, streams } = side.watches
  const name = side.target.name
  const ledger = watches[0]!
  const ledgerStream = streams.get(LEDGER)!
  const reached = (): boolean =>
    (eventsOf(ledger, ledgerStream).at(-1)?.mod ?? run.marks.start) >= run.marks.now
  if (!(await ledgerStream.until(reached, NEVER_MS))) return [`${name}: a watch over everything stopped`]
  const all = eventsOf(ledger, ledgerStream)
  const late: string[] = []
  for (const watch of watches) {
    if (watch.ended || watch === ledger) continue
    const stream = streams.get(watch.stream)!
    const expected = expectedEvents(watch, all)
    const isComplete = (): boolean => canceled(watch, stream) || eventsOf(watch, stream).length >= expected
    if (watch.first < watch.compacted) await stream.until(() => canceled(watch, stream), NEVER_MS)
    else if (!(await stream.until(isComplete, NEVER_MS)))
      late.push(`${name}: watch ${watch.id} of stream ${watch.stream} did not see all of ${expected} events`)
    if (canceled(watch, stream)) watch.ended = true
  }
  return late
}

export const canceled = (watch: Watch, stream: WatchStream): boolean =>
  stream.said
    .slice(watch.from)
    .some(message => message['canceled'] === true && message['watch_id'] === watch.id)

/** Whether some watch at this server may not have caught up: without an event of its own nothing tells. */
export const mayBeBehind = (side: Side): boolean =>
  side.watches.watches.some(watch => !watch.ended && isBehind(side, watch))

const isBehind = (side: Side, watch: Watch): boolean =>
  watch.past && eventsOf(watch, side.watches.streams.get(watch.stream)!).length === 0

/** Per watch: its events in order, and how it ended. */
function seen(side: Side): unknown {
  return side.watches.watches
    .filter(({ revoked }) => revoked !== true)
    .map(watch => {
      const stream = side.watches.streams.get(watch.stream)!
      const end = stream.said
        .slice(watch.from)
        .find(message => message['canceled'] === true && message['watch_id'] === watch.id)
      return {
        watch: `${watch.stream}/${watch.id}`,
        events: eventsOf(watch, stream).map(({ event }) => normalise(stream.asItCame(event), side.names)),
        end: end === undefined ? null : normalise(stream.asItCame(end), side.names),
      }
    })
}

/** Messages that no watch may be told, alike or not. */
function irregular(side: Side): string[] {
  return side.watches.watches.flatMap(watch => {
    const problem = groupedByRevision(watch, side.watches.streams.get(watch.stream)!)
    return problem === null ? [] : [`${side.target.name}: watch ${watch.id}: ${problem}`]
  })
}

/** In the end: all of it, and nothing after it. */
export async function compareWatches(run: Run): Promise<string | null> {
  const unlike = await settleWatches(run)
  if (unlike !== null) return unlike
  // Over the gateway only the end of the connection ends a watch.
  const left = run.sequence.transport === 'json' ? [] : run.etcd.watches.watches
  for (const watch of left.filter(({ ended }) => !ended)) {
    const step = { kind: 'cancel', stream: watch.stream, watchId: watch.id } as const
    const [etcd, kvorum] = await Promise.all([take(run, run.etcd, step), take(run, run.kvorum, step)])
    const text = difference(etcd, kvorum)
    if (text !== null) return text
  }
  return difference(seen(run.etcd), seen(run.kvorum))
}
