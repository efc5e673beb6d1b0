import {
  compareBytes,
  NO_LEASE,
  toKeyString,
  type KeyRange,
  type KeyValue,
  type RangeOp,
  type RangeReply,
  type Revision,
  type RevisionEvents,
} from '@kvorum/model'

/** The keys as they are at one revision. Keys travel as key strings: one character per byte. */
export interface KvView {
  readonly revision: Revision
  get(key: string): KeyValue | null
  /** Ascending by key. */
  scan(range: KeyRange): readonly KeyValue[]
  /** The view of an earlier revision; null where this one cannot tell. */
  at(revision: Revision): KvView | null
}

export interface KvBounds {
  readonly start: string
  readonly end: string | null
}

export const boundsOf = (range: KeyRange): KvBounds => ({
  start: toKeyString(range.start),
  end: range.end === null ? null : toKeyString(range.end),
})

export const inBounds = (bounds: KvBounds, key: string): boolean =>
  bounds.start <= key && (bounds.end === null || key < bounds.end)

export const byKeyBytes = (a: KeyValue, b: KeyValue): number => compareBytes(a.key, b.key)

/** A plain map of keys at one revision. */
export function mapView(keys: ReadonlyMap<string, KeyValue>, revision: Revision): KvView {
  return {
    revision,
    get: key => keys.get(key) ?? null,
    scan(range) {
      const bounds = boundsOf(range)
      return [...keys].flatMap(([key, kv]) => (inBounds(bounds, key) ? [kv] : [])).sort(byKeyBytes)
    },
    at: asked => (asked === revision ? mapView(keys, revision) : null),
  }
}

/** Answers a range from a view, in etcd's order of sorting, filtering, counting and cutting. */
export function rangeReply(view: KvView, op: RangeOp): RangeReply {
  const found = view.scan(op.range)
  const count = found.length
  if (op.countOnly) return { kind: 'range', kvs: [], more: false, count }
  const filtered = found.filter(kv => passes(kv, op))
  const limit = op.limit === 0 ? Infinity : op.limit
  const more = filtered.length > limit
  const cut = sortedFor(filtered, op, limit).slice(0, limit)
  const kvs = op.keysOnly ? cut.map(kv => ({ ...kv, value: new Uint8Array(0) })) : cut
  return { kind: 'range', kvs, more, count }
}

function sortedFor(found: readonly KeyValue[], op: RangeOp, limit: number): readonly KeyValue[] {
  if (op.order !== 'none') return found.toSorted(sorting(op))
  if (op.target === 'key') return found
  // No order but a target: etcd sorts ascending, yet fetches only one key more than the limit in key order
  // before it does, unless a filter made it fetch everything.
  return (isFiltered(op) ? [...found] : found.slice(0, limit + 1)).sort(sorting(op))
}

const isFiltered = (op: RangeOp): boolean =>
  op.minMod !== 0 || op.maxMod !== 0 || op.minCreate !== 0 || op.maxCreate !== 0

function passes(kv: KeyValue, op: RangeOp): boolean {
  if (op.minMod !== 0 && kv.mod < op.minMod) return false
  if (op.maxMod !== 0 && kv.mod > op.maxMod) return false
  if (op.minCreate !== 0 && kv.create < op.minCreate) return false
  return op.maxCreate === 0 || kv.create <= op.maxCreate
}

function sorting(op: RangeOp): (a: KeyValue, b: KeyValue) => number {
  const sign = op.order === 'descend' ? -1 : 1
  const { target } = op
  if (target === 'key') return (a, b) => sign * byKeyBytes(a, b)
  if (target === 'value') return (a, b) => sign * compareBytes(a.value, b.value)
  return (a, b) => sign * (a[target] - b[target])
}

/**
 * The ground truth: all effective writes, by revision, as the replicated logs applied them. Keeps every
 * version of every key, so that any revision can be read again.
 */
export class Truth {
  readonly #revisions: RevisionEvents[] = []
  readonly #versions = new Map<string, { readonly revision: Revision; readonly kv: KeyValue | null }[]>()
  #compacted: Revision = 0
  #first: Revision

  /** `first` is the revision of the empty store; etcd starts at 1. */
  constructor(first: Revision = 1) {
    this.#first = first
  }

  get revision(): Revision {
    return Math.max(this.#first, this.#revisions.at(-1)?.revision ?? 0)
  }

  /** History below it may be gone. */
  get compacted(): Revision {
    return this.#compacted
  }

  compact(revision: Revision): void {
    this.#compacted = Math.max(this.#compacted, revision)
  }

  /** Revisions must come in ascending order. */
  append(change: RevisionEvents): void {
    const at = this.#indexFrom(change.revision)
    if (this.#revisions[at]?.revision === change.revision || change.revision < 1)
      throw new RangeError(`revision ${change.revision} is not new`)
    this.#revisions.splice(at, 0, change)
    for (const { kind, kv } of change.events) {
      const key = toKeyString(kv.key)
      const entry = { revision: change.revision, kv: kind === 'put' ? kv : null }
      const versions = this.#versions.get(key)
      if (versions === undefined) this.#versions.set(key, [entry])
      else if (versions[versions.length - 1]!.revision < entry.revision) versions.push(entry)
      else throw new RangeError(`revision ${change.revision} comes behind a later one of its key`)
    }
  }

  /** As `append`, where several groups write parts of one revision, one after the other. */
  add(change: RevisionEvents): void {
    const at = this.#indexFrom(change.revision)
    const known = this.#revisions[at]
    if (known?.revision !== change.revision) {
      this.append(change)
      return
    }
    this.#revisions.splice(at, 1)
    this.append(change)
    this.#revisions[at] = { revision: change.revision, events: [...known.events, ...change.events] }
  }

  /** Gives all keys from `key` on away, with their whole history. */
  split(key: string): Truth {
    const right = new Truth(this.revision)
    right.#compacted = this.#compacted
    this.#first = this.revision
    for (const [name, versions] of this.#versions) {
      if (name < key) continue
      right.#versions.set(name, versions)
      this.#versions.delete(name)
    }
    const changes = this.#revisions.splice(0)
    for (const { revision, events } of changes) {
      const moved = events.filter(({ kv }) => toKeyString(kv.key) >= key)
      const stayed = events.filter(({ kv }) => toKeyString(kv.key) < key)
      if (moved.length > 0) right.#revisions.push({ revision, events: moved })
      if (stayed.length > 0) this.#revisions.push({ revision, events: stayed })
    }
    return right
  }

  /** The events of one revision; null if nothing was written at it. */
  events(revision: Revision): RevisionEvents | null {
    const found = this.#revisions[this.#indexFrom(revision)]
    return found?.revision === revision ? found : null
  }

  /** Revisions from `from` on, up to and including `to`. */
  *between(from: Revision, to: Revision): Generator<RevisionEvents> {
    for (let i = this.#indexFrom(from); i < this.#revisions.length; i++) {
      const change = this.#revisions[i]!
      if (change.revision > to) return
      yield change
    }
  }

  /** The keys as they were right after `revision`. */
  view(revision: Revision): KvView {
    const get = (key: string): KeyValue | null => latest(this.#versions.get(key), revision)
    return {
      revision,
      get,
      scan: range => {
        const bounds = boundsOf(range)
        const found: KeyValue[] = []
        for (const key of this.#versions.keys()) {
          const kv = inBounds(bounds, key) ? get(key) : null
          if (kv !== null) found.push(kv)
        }
        return found.sort(byKeyBytes)
      },
      at: asked => this.view(asked),
    }
  }

  #indexFrom(revision: Revision): number {
    let low = 0
    let high = this.#revisions.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#revisions[middle]!.revision < revision) low = middle + 1
      else high = middle
    }
    return low
  }
}

function latest(
  versions: readonly { readonly revision: Revision; readonly kv: KeyValue | null }[] | undefined,
  revision: Revision,
): KeyValue | null {
  if (versions === undefined) return null
  let low = 0
  let high = versions.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (versions[middle]!.revision <= revision) low = middle + 1
    else high = middle
  }
  return versions[low - 1]?.kv ?? null
}

/** A key that has only its name and the revision at which it went. */
export const deletedKey = (key: Uint8Array, revision: Revision): KeyValue => ({
  key,
  create: 0,
  mod: revision,
  version: 0,
  value: new Uint8Array(0),
  lease: NO_LEASE,
})
