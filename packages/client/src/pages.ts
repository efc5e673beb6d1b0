import { successor } from '@kvorum/model'
import type { Entry } from './entry.js'
import { requestKeys, type Keys } from './keys.js'
import type { RangeOptions, RangeResult, ReadOptions } from './operations.js'
import { positive, type CallOptions } from './options.js'

export interface PagesOptions extends ReadOptions {
  /** Entries of one request. 1000. */
  readonly pageSize?: number
  readonly keysOnly?: boolean
}

type Fetch = (keys: Keys, options: RangeOptions & CallOptions) => Promise<RangeResult>

/** The first page's revision binds all the others; where it is compacted meanwhile, the iterator rejects. */
export async function* pagesOf(
  fetch: Fetch,
  keys: Keys,
  options: PagesOptions & CallOptions,
): AsyncGenerator<Entry, void, undefined> {
  const limit = positive('pageSize', options.pageSize ?? 1_000)
  const { range_end: end } = requestKeys(keys)
  const openEnded = end.length === 1 && end[0] === 0
  let revision = options.revision ?? 0
  let from: Keys = keys
  for (;;) {
    const page = await fetch(from, { ...options, limit, ...(revision === 0 ? {} : { revision }) })
    yield* page.entries
    const last = page.entries.at(-1)
    if (!page.more || last === undefined || end.length === 0) return
    if (revision === 0) revision = page.revision
    from = openEnded ? { start: successor(last.key) } : { start: successor(last.key), end }
  }
}
