import {
  META_GROUP,
  type Entry,
  type GroupId,
  type KeyRange,
  type Revision,
  type RevisionEvents,
} from '@kvorum/model'
import { Truth } from '../check/kvView.js'
import type { EntryMark } from '../invariants/observation.js'
import { createOutcomes } from '../invariants/transactionEnds.js'
import { Failure } from './failure.js'
import { GroundTruth } from './groundTruth.js'

/** The committed logs of all groups and what they say, those included that splits have made. */
export class Truths {
  /** What all groups wrote, as far as any replica has applied it, where there is one order over them. */
  readonly whole: Truth | null
  readonly #born = new Map<GroupId, GroundTruth>()
  /** Also of groups that are born in this very moment. */
  readonly #entries = new Map<GroupId, Map<string, Entry>>()

  constructor(
    shards: readonly { readonly group: GroupId; readonly range: KeyRange }[],
    options: { readonly oneOrder: boolean; readonly oracle: boolean },
  ) {
    this.whole = options.oneOrder ? new Truth() : null
    const outcomes = createOutcomes()
    this.#born.set(META_GROUP, new GroundTruth(META_GROUP, { range: null, outcomes }))
    for (const { group, range } of shards)
      this.#born.set(group, new GroundTruth(group, { range, oracle: options.oracle, outcomes }))
  }

  get all(): readonly GroundTruth[] {
    return [...this.#born.values()]
  }

  get shards(): readonly GroundTruth[] {
    return this.all.filter(({ range }) => range !== null)
  }

  get(group: GroupId): GroundTruth {
    const known = this.#born.get(group)
    if (known === undefined) throw new Failure('a group that no log has made', { group })
    return known
  }

  born(right: GroundTruth): void {
    this.#born.set(right.group, right)
  }

  /** An entry was seen in some replica's log. */
  remember(group: GroupId, entry: Entry): void {
    let entries = this.#entries.get(group)
    if (entries === undefined) this.#entries.set(group, (entries = new Map()))
    entries.set(`${entry.index} ${entry.term}`, entry)
  }

  entryOf(group: GroupId, { index, term }: EntryMark): Entry | undefined {
    return this.#entries.get(group)?.get(`${index} ${term}`)
  }

  wrote(change: RevisionEvents): void {
    this.whole?.add(change)
  }

  /** One group has; the others will, or have long ago. */
  compacted(revision: Revision): void {
    this.whole?.compact(revision)
  }
}
