import {
  commandHeader,
  decodeShardCommand,
  leasesOf,
  NO_LEASE,
  opFor,
  type ClientRequest,
  type GroupId,
  type KeyRange,
  type Op,
  type TransactionWork,
} from '@kvorum/model'
import { routeRanges, shardOf, type ShardDescriptor, type ShardMap } from '@kvorum/placement'
import type { Call } from '../calls.js'
import { shardOfGroup } from '../groupMachine.js'
import { inOracleMode } from '../membership.js'
import type { NodeState } from '../state.js'
import type { Task } from './state.js'

/** What one shard is asked to prepare. */
export interface Share {
  readonly group: GroupId
  readonly locks: readonly KeyRange[]
  readonly work: TransactionWork
}

/** A client's write that has to be a transaction of shards, by its keys, its leases or its session. */
export function isOfSeveralShards(state: NodeState, { origin, request }: Call): boolean {
  const { shards } = state.shards
  if (shards.length < 2 || request.kind !== 'write' || origin.kind !== 'client') return false
  if (!inOracleMode(state)) return false
  const routed = routeRanges(state.shards, request.ranges)
  if (routed.length > 1) return true
  const isAtHome = routed[0] === undefined || routed[0].shard === shards[0]
  if (isAtHome && !isRestricted(request)) return false
  // The home decides what a session has written (docs/decisions/0022-sessions-over-shards.md).
  if (!isAtHome && commandHeader(request.command).session !== null) return true
  const command = decodeShardCommand(request.command)
  return command.kind === 'write' && leasesOf(command.op).size > 0
}

/** Who attaches to a lease decides over all its keys. Where they are the coordinator does not know: all shards look. */
const isRestricted = ({ authority }: ClientRequest): boolean =>
  authority !== undefined && authority.writable !== null

/** By the newest map; 'later': that one is too old for what the home knows already. The home comes first. */
export function sharesOf(state: NodeState, { request }: Call, task: Task): readonly Share[] | 'later' {
  if (task.kind === 'revoke') return sharesOfRevoke(state, task)
  const written = request.kind === 'write' ? request.ranges : []
  const locks = new Map(routeRanges(state.shards, written).map(part => [part.shard, part.ranges]))
  const leases = [...leasesOf(task.op)]
  const { session: tag } = task
  if (leases.length === 0 && tag === null)
    return [...locks].map(([shard, own]) => ({
      group: shard.group,
      locks: own,
      work: { kind: 'op', op: opFor(task.op, shard.range) },
    }))
  const [home, ...others] = state.shards.shards
  const known = [...placesOf(state.shards, task.op)].filter(shard => shard !== home)
  const askAll = leases.length > 0 && isRestricted(request)
  const asked = askAll ? others : others.filter(shard => locks.has(shard))
  const ranges = known.map(({ range }) => range)
  return [home!, ...asked].map(shard => {
    const op = opFor(task.op, shard.range)
    const work: TransactionWork =
      leases.length === 0 ? { kind: 'op', op } : { kind: 'attach', op, leases, ranges }
    const isWritten = tag !== null && shard === home
    return {
      group: shard.group,
      locks: locks.get(shard) ?? [],
      work: isWritten ? { ...work, session: { tag, lease: NO_LEASE } } : work,
    }
  })
}

/** Which shards get attached keys, in any branch. */
function placesOf(map: ShardMap, op: Op, into = new Set<ShardDescriptor>()): ReadonlySet<ShardDescriptor> {
  if (op.kind === 'put' && op.lease !== NO_LEASE) into.add(shardOf(map, op.key))
  if (op.kind === 'txn') for (const nested of [...op.success, ...op.failure]) placesOf(map, nested, into)
  return into
}

function sharesOfRevoke(
  state: NodeState,
  { lease, home }: Extract<Task, { kind: 'revoke' }>,
): readonly Share[] | 'later' {
  const group = state.groups.get(home)
  const shard = group === undefined ? null : shardOfGroup(group)
  const ranges = shard?.leases.get(lease)?.elsewhere ?? []
  const parts = routeRanges(state.shards, ranges)
  if (parts.length === 0 || parts.some(part => part.shard.group === home)) return 'later'
  const work = { kind: 'revoke', lease, ranges } as const
  return [
    { group: home, locks: [], work },
    ...parts.map(part => ({ group: part.shard.group, locks: part.ranges, work })),
  ]
}
