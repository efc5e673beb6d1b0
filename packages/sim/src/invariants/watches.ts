import {
  compareBytes,
  equalBytes,
  rangeContains,
  toHex,
  type KeyValue,
  type Revision,
  type WatchCreate,
  type WatchEvent,
  type WatchResponse,
} from '@kvorum/model'
import type { Truth } from '../check/kvView.js'
import { eventText } from '../check/revisionOrder.js'
import { check, type Facts } from './violation.js'

/**
 * One watch as its client sees it, over as many streams and nodes as it takes: resumed where it broke off. Each
 * response is compared with the truth when it arrives:
 *
 *   I25 ordered          revisions grow
 *   I26 unique           no change twice
 *   I27 reliable         no change missing
 *   I28 atomic           a revision comes whole in one response, or in fragments that were asked for
 *   I29 resumable        from the last revision + 1, nothing is missing or repeated
 *   I30 bookmarkable     after progress r, everything up to r has come and the rest is later
 *   I31 exact            filters, key, value, positions, previous value, kind
 *   I32 future start     nothing before it
 *   I33 compacted start  is cancelled with the compacted revision, and only that
 *
 * I34 is the same over several shards and across their splits and moves: nothing here knows where events come
 * from. Of a transaction over several shards each has its part in order, and nothing is said of the order between them.
 * The truth must have taken a change in before any client can see it.
 */
export class WatchValidator {
  readonly #truth: Truth
  readonly #request: WatchCreate
  readonly #name: string
  readonly #ordered: (events: readonly WatchEvent[]) => readonly WatchEvent[]
  /** The next revision that may come; null until the server said from where. */
  #next: Revision | null
  #state: 'asked' | 'created' | 'ended' = 'asked'
  #pieces: WatchEvent[] = []
  #headerMax: Revision = 0
  #resumed = false

  /** `name` appears in the facts of a violation. `severalShards`: one revision may have parts of several. */
  constructor(truth: Truth, request: WatchCreate, name: string, severalShards = false) {
    this.#ordered = severalShards ? byRevisionAndKey : events => events
    this.#truth = truth
    this.#request = request
    this.#name = name
    this.#next = request.startRevision === 0 ? null : request.startRevision
  }

  /** Where a client that lost its stream asks to go on; 0 while it does not know. */
  get resumeFrom(): Revision {
    return this.#next ?? 0
  }

  /** The stream is gone; a new one asks from `resumeFrom`. What came of an unfinished revision is forgotten. */
  resume(): void {
    this.#state = 'asked'
    this.#pieces = []
    this.#headerMax = 0
    this.#resumed = this.#next !== null
  }

  observe(response: WatchResponse): void {
    switch (response.kind) {
      case 'created':
        this.#created(response.header.revision)
        return
      case 'events':
        this.#events(response.events, response.fragment, response.header.revision)
        return
      case 'progress':
        this.#progress(response.header.revision)
        return
      case 'canceled':
        this.#canceled(response.compactRevision)
        return
      case 'refused':
        this.#state = 'ended'
    }
  }

  /** A progress of the whole stream (watch id -1) speaks for each of its watches. */
  observeStreamProgress(revision: Revision): void {
    if (this.#state === 'created') this.#complete(revision)
  }

  /** The client has drained everything and the run has settled: nothing up to `revision` may be missing. */
  finish(revision: Revision = this.#truth.revision): void {
    if (this.#state === 'created' && this.#next !== null) this.#complete(revision, 'I27')
  }

  #created(revision: Revision): void {
    check(this.#state === 'asked', 'I25', () => this.#facts({ created: 'twice' }))
    this.#state = 'created'
    this.#next ??= revision + 1
  }

  #events(events: readonly WatchEvent[], fragment: boolean, header: Revision): void {
    check(this.#state === 'created', 'I25', () => this.#facts({ state: this.#state }))
    check(!fragment || this.#request.fragment, 'I28', () => this.#facts({ fragment: 'not asked for' }))
    this.#pieces.push(...events)
    this.#header(header, events.at(-1)?.kv.mod ?? 0)
    if (fragment) return
    const whole = this.#pieces
    this.#pieces = []
    check(whole.length > 0, 'I25', () => this.#facts({ events: 0 }))
    this.#compare(whole)
  }

  #compare(whole: readonly WatchEvent[]): void {
    const next = this.#next!
    const last = whole.at(-1)!.kv.mod
    const events = this.#ordered(whole)
    let at = 0
    for (const change of this.#truth.between(next, last)) {
      for (const expected of this.#ordered(change.events)) {
        if (!this.#wants(expected)) continue
        const got = events[at++]
        if (got === undefined || !this.#same(got, expected)) this.#explain(events, at - 1, expected)
      }
    }
    if (at < events.length) this.#explain(events, at, null)
    this.#next = last + 1
  }

  /** Says which promise an event broke that is not the expected one. */
  #explain(events: readonly WatchEvent[], at: number, expected: WatchEvent | null): never {
    const got = events[at]
    const revision = got?.kv.mod ?? null
    const next = this.#next!
    const facts = (): Facts =>
      this.#facts({
        got: got === undefined ? null : eventText(got),
        expected: expected === null ? null : eventText(expected),
        next,
      })
    const before = events[at - 1]?.kv.mod ?? 0
    check(revision === null || revision >= this.#request.startRevision, 'I32', facts)
    check(revision === null || revision >= next, this.#resumed ? 'I29' : 'I26', facts)
    const repeated =
      got !== undefined &&
      events.slice(0, at).some(one => one.kv.mod === revision && equalBytes(one.kv.key, got.kv.key))
    check(!repeated, 'I26', facts)
    const ordered = events.every((event, i) => i === 0 || event.kv.mod >= events[i - 1]!.kv.mod)
    check(ordered, 'I25', facts)
    if (got !== undefined && expected !== null && revision === expected.kv.mod) {
      // The same revision: another event of it, or one that is not like the truth.
      const other = this.#truth
        .events(expected.kv.mod)!
        .events.some(one => this.#wants(one) && this.#same(got, one))
      check(!other, 'I28', facts)
    }
    const missing = expected !== null && (revision === null || revision > expected.kv.mod)
    const split = expected !== null && expected.kv.mod === before
    check(!missing, split ? 'I28' : this.#resumed && at === 0 ? 'I29' : 'I27', facts)
    check(false, 'I31', facts)
    throw new Error('unreachable')
  }

  #progress(revision: Revision): void {
    check(this.#state === 'created' && this.#pieces.length === 0, 'I30', () =>
      this.#facts({ progress: revision }),
    )
    check(revision >= this.#request.startRevision - 1, 'I32', () => this.#facts({ progress: revision }))
    this.#header(revision, 0)
    this.#complete(revision)
  }

  #complete(revision: Revision, id: 'I27' | 'I30' = 'I30'): void {
    const next = this.#next!
    for (const change of this.#truth.between(next, revision)) {
      const missing = change.events.find(event => this.#wants(event))
      check(missing === undefined, id, () =>
        this.#facts({ upTo: revision, missing: missing === undefined ? null : eventText(missing) }),
      )
    }
    // Whatever comes from now on is later.
    this.#next = Math.max(next, revision + 1)
  }

  #canceled(compactRevision: Revision): void {
    check(this.#state === 'created', 'I33', () => this.#facts({ canceled: this.#state }))
    this.#state = 'ended'
    if (compactRevision === 0) return
    const next = this.#next!
    const right = next < compactRevision && compactRevision <= this.#truth.compacted
    check(right, 'I33', () => this.#facts({ compactRevision, next, compacted: this.#truth.compacted }))
  }

  /** Headers of one stream never go back, and are never behind the events they come with. */
  #header(revision: Revision, events: Revision): void {
    check(revision >= events && revision >= this.#headerMax, 'I25', () =>
      this.#facts({ header: revision, headerBefore: this.#headerMax, events }),
    )
    this.#headerMax = revision
  }

  #wants({ kind, kv }: WatchEvent): boolean {
    const { range, noPut, noDelete } = this.#request
    return !(kind === 'put' ? noPut : noDelete) && rangeContains(range, kv.key)
  }

  #same(got: WatchEvent, expected: WatchEvent): boolean {
    return eventText(got) === eventText(expected) && this.#samePrev(got, expected)
  }

  /** The previous value is left out where nobody asked, nothing was there, or it may be compacted already. */
  #samePrev({ prev }: WatchEvent, expected: WatchEvent): boolean {
    if (!this.#request.prevKv) return prev === null
    if (prev === null) return expected.prev === null || this.#truth.compacted >= expected.kv.mod
    return expected.prev !== null && keyValueText(prev) === keyValueText(expected.prev)
  }

  #facts(facts: Facts): Facts {
    return { watch: this.#name, start: this.#request.startRevision, ...facts }
  }
}

/** Revisions stay in the order in which they came. */
function byRevisionAndKey(events: readonly WatchEvent[]): readonly WatchEvent[] {
  const ordered: WatchEvent[] = []
  for (let from = 0; from < events.length;) {
    let to = from + 1
    while (events[to]?.kv.mod === events[from]!.kv.mod) to++
    ordered.push(...events.slice(from, to).sort((a, b) => compareBytes(a.kv.key, b.kv.key)))
    from = to
  }
  return ordered
}

const keyValueText = (kv: KeyValue): string =>
  `${toHex(kv.key)} ${kv.create} ${kv.mod} ${kv.version} ${kv.lease} ${toHex(kv.value)}`
