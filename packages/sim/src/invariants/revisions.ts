import {
  toHex,
  toKeyString,
  type GroupId,
  type KeyValue,
  type Revision,
  type WatchEvent,
} from '@kvorum/model'
import type { Invariant, Observation, ObservationKind } from './observation.js'
import { check, type Facts } from './violation.js'

/**
 * I21: a revision is given to one write and never again; they grow along each group's log, and in dense mode
 * (one data group) each is the one before plus one. Where the oracle gives them, no two groups have the same,
 * except for the parts of one transaction, which come when they come.
 *
 * I22: create, mod, version and the previous value follow from the key's own history; a delete starts it anew.
 */
export class Revisions implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['revision']
  readonly #dense: boolean
  readonly #oracle: boolean
  readonly #used = new Map<Revision, { readonly shared: boolean; readonly groups: ReadonlySet<GroupId> }>()
  readonly #last = new Map<GroupId, Revision>()
  readonly #keys = new Map<string, KeyValue>()

  constructor(options: { readonly dense: boolean; readonly oracle?: boolean }) {
    this.#dense = options.dense
    this.#oracle = options.oracle === true
  }

  observe(observation: Observation): void {
    if (observation.kind !== 'revision') return
    const { group, change, shared = false, stamped = false } = observation
    const { revision, events } = change
    const before = this.#last.get(group) ?? 1
    this.#last.set(group, Math.max(before, revision))
    const owners = this.#used.get(revision)
    const unused = owners === undefined || (shared && owners.shared && !owners.groups.has(group))
    const dense = this.#dense && !stamped
    const fresh = dense
      ? revision === before + 1 && unused
      : (shared || revision > before) && (unused || !this.#oracle)
    check(fresh && events.length > 0, 'I21', () => ({ group, revision, before, dense }))
    this.#used.set(revision, { shared, groups: new Set(owners?.groups).add(group) })
    for (const event of events) this.#checkKey(event, revision)
  }

  #checkKey(event: WatchEvent, revision: Revision): void {
    const { kind, kv, prev } = event
    const name = toKeyString(kv.key)
    const before = this.#keys.get(name)
    const facts = (): Facts => ({
      key: toHex(kv.key),
      revision,
      create: kv.create,
      mod: kv.mod,
      version: kv.version,
      createBefore: before?.create ?? null,
      versionBefore: before?.version ?? null,
    })
    check(kv.mod === revision && sameVersion(prev, before), 'I22', facts)
    if (kind === 'delete') {
      check(before !== undefined, 'I22', facts)
      this.#keys.delete(name)
      return
    }
    const create = before?.create ?? revision
    check(kv.create === create && kv.version === (before?.version ?? 0) + 1, 'I22', facts)
    this.#keys.set(name, kv)
  }
}

const sameVersion = (a: KeyValue | null, b: KeyValue | undefined): boolean =>
  (a?.mod ?? 0) === (b?.mod ?? 0) && (a?.version ?? 0) === (b?.version ?? 0)
