import type { pb } from '@kvorum/protocol'
import type { Connection } from '../connection.js'
import { accepted, rejected, type Parsed } from '../parsed.js'

/** How shards and members are written, and read. */
export const hex = (id: bigint): string => BigInt.asUintN(64, id).toString(16)

export function parseShard(given: string): Parsed<number> {
  const shard = /^[0-9]{1,15}$/.test(given) ? Number(given) : 0
  return shard > 0 ? accepted(shard) : rejected(`"${given}" is not the number of a shard`)
}

export const listShards = (connection: Connection): Promise<pb.ListShardsResponse> =>
  connection.call('kvorum.v1.Shard/List', {})

/** By name, or by id in hexadecimal. Rejects where it is neither. */
export function memberNamed({ nodes }: pb.ListShardsResponse, given: string): bigint {
  const known = nodes.find(({ name, node_id }) => name === given || hex(node_id) === given.toLowerCase())
  if (known === undefined) throw new Error(`there is no member "${given}"; kvorum node list shows them`)
  return known.node_id
}

/** Names are for people; a member that has not started has none. */
export const nameOf = ({ nodes }: Pick<pb.ListShardsResponse, 'nodes'>, id: bigint): string => {
  const name = nodes.find(({ node_id }) => node_id === id)?.name ?? ''
  return name === '' ? hex(id) : name
}
