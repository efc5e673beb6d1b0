import {
  decodeReply,
  HeldStateLost,
  type ClientRequest,
  type ClientResult,
  type HeldShard,
  type Revision,
  type ShardRowsRead,
  type StoreAnswer,
  type StoreNeed,
  type StorePage,
  type StoreScan,
} from '@kvorum/model'
import type { PlacedPart } from '../types.js'

/**
 * The rows of one shard for whoever reads a held state: from the view, or asked for page by page from the node that leads
 * the shard. No more than what was asked for is in memory.
 */
export function heldShard(
  { group, range, index, here }: PlacedPart,
  fetchHere: (need: StoreNeed) => Promise<StoreAnswer>,
  request: (request: ClientRequest) => Promise<ClientResult>,
): HeldShard {
  if (here) return { group, range, here, fetch: fetchHere }
  let compacted: Revision | null = null
  const ask = async (need: StoreNeed): Promise<ShardRowsRead | 'tooLarge'> => {
    const result = await request({ kind: 'rows', group, range, index, need })
    if (!result.ok && result.error.code === 'responseTooLarge') return 'tooLarge'
    const reply = result.ok ? decodeReply(result.value.body) : null
    if (reply?.kind !== 'rows')
      throw new HeldStateLost(`shard ${group}: ${result.ok ? '' : result.error.code}`)
    compacted ??= reply.compactRevision
    if (reply.compactRevision !== compacted) throw new HeldStateLost(`shard ${group} was compacted`)
    return reply
  }
  return { group, range, here, fetch: need => fetchElsewhere(ask, need) }
}

type Ask = (need: StoreNeed) => Promise<ShardRowsRead | 'tooLarge'>

/** Rows that are looked up travel together up to here: each may hold a large value. */
const GETS_MAX = 16

async function fetchElsewhere(ask: Ask, { gets, scans }: StoreNeed): Promise<StoreAnswer> {
  const values: (Uint8Array | null)[] = []
  // One after the other, and in order: a version moves from the row that is asked for first to the next.
  for (let at = 0; at < gets.length; at += GETS_MAX)
    values.push(...(await getElsewhere(ask, gets.slice(at, at + GETS_MAX))))
  return { values, pages: scans.length === 0 ? [] : await scanElsewhere(ask, scans) }
}

async function getElsewhere(ask: Ask, gets: readonly Uint8Array[]): Promise<readonly (Uint8Array | null)[]> {
  const read = await ask({ gets, scans: [] })
  if (read !== 'tooLarge') return read.values
  if (gets.length === 1) throw new HeldStateLost('a row is larger than a message between nodes')
  const half = gets.length >> 1
  return [...(await getElsewhere(ask, gets.slice(0, half))), ...(await getElsewhere(ask, gets.slice(half)))]
}

/** Pages of one need are of one moment. A page without rows that goes on is no page: the scan is asked on. */
async function scanElsewhere(ask: Ask, scans: readonly StoreScan[]): Promise<StorePage[]> {
  const read = await ask({ gets: [], scans })
  if (read === 'tooLarge') throw new HeldStateLost('a page is larger than a message between nodes')
  const pages: StorePage[] = []
  for (const [at, first] of read.pages.entries()) {
    let page = first
    while (page.rows.length === 0 && page.next !== null) {
      // Rows of other shards lie only between those of a history, which is asked for alone.
      if (scans.length > 1) throw new HeldStateLost('the pages of one moment came to no row')
      const more = await ask({ gets: [], scans: [{ ...scans[at]!, gte: page.next }] })
      if (more === 'tooLarge') throw new HeldStateLost('a page is larger than a message between nodes')
      page = more.pages[0]!
    }
    pages.push({ rows: page.rows, more: page.next !== null })
  }
  return pages
}
