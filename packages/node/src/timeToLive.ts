import {
  compareBytes,
  decodeReply,
  encodeReply,
  refuse,
  type ClientRequest,
  type GroupId,
  type LeaseId,
  type Reply,
  type ReplyHeader,
} from '@kvorum/model'
import { leaseKeys } from '@kvorum/machine'
import { locksOnLease, routeRanges } from '@kvorum/placement'
import { answerCall, finishCall, type Call } from './calls.js'
import { askPart } from './gather.js'
import { shardOfGroup } from './groupMachine.js'
import { termOf } from './membership.js'
import { takeReadView } from './readView.js'
import { awaitLeader } from './stages.js'
import type { Group, Turn } from './state.js'
import { runTask } from './tasks.js'

type Asked = Extract<ClientRequest, { kind: 'leaseTimeToLive' }>
type Answer = Extract<Reply, { kind: 'leaseTimeToLive' }>

/** What the leader of the lease's home says of it; the keys are those of all shards that may have some. */
export function timeToLive(turn: Turn, group: Group, call: Call, request: Asked): void {
  const { id } = request
  const shard = shardOfGroup(group)
  const lease = shard?.leases.get(id)
  const due = group.leases?.deadlines.get(id)
  const header = { revision: shard?.revision ?? 0, term: termOf(turn.state, group) }
  if (request.part !== undefined) {
    // What is acknowledged may still have to arrive here: then it is locked.
    if (locksOnLease(group.machine.revisions.transactions, id).length > 0) awaitLeader(turn, group, call)
    else
      ownKeys(turn, group, call, id, (later, keys) => {
        answer(later, call, header, { ...NO_SUCH_LEASE, id, keys })
      })
    return
  }
  if (shard === null || lease === undefined) {
    answer(turn, call, header, { ...NO_SUCH_LEASE, id })
    return
  }
  const remaining = due === undefined ? lease.ttl : Math.max(0, Math.floor((due - turn.now) / 1000))
  const reply = { ...NO_SUCH_LEASE, id, remaining, granted: lease.ttl }
  if (!request.keys) {
    answer(turn, call, header, reply)
    return
  }
  ownKeys(turn, group, call, id, (later, own) => {
    gatherKeys(later, group, call, id, (last, others) => {
      const keys = [...own, ...others].sort(compareBytes)
      const bytes = keys.reduce((sum, key) => sum + key.length + KEY_BYTES, 0)
      if (bytes > shard.responseBytesMax) finishCall(last, call, refuse('responseTooLarge'))
      else answer(last, call, header, { ...reply, keys })
    })
  })
}

const NO_SUCH_LEASE = { kind: 'leaseTimeToLive', remaining: -1, granted: 0, keys: [] } as const
/** Beside a key's own, as machine counts them. */
const KEY_BYTES = 16

const answer = (turn: Turn, call: Call, header: ReplyHeader, reply: Answer): void => {
  answerCall(turn, call, header, encodeReply(reply))
}

type Keys = readonly Uint8Array[]

function ownKeys(
  turn: Turn,
  group: Group,
  call: Call,
  id: LeaseId,
  done: (turn: Turn, keys: Keys) => void,
): void {
  const shard = shardOfGroup(group)
  if (shard === null) {
    awaitLeader(turn, group, call)
    return
  }
  const { reader, view } = takeReadView(turn, shard)
  runTask(turn, {
    group: group.id,
    view,
    step: leaseKeys(reader, id),
    done: (later, attached) => {
      if (attached.ok) done(later, attached.value)
      else finishCall(later, call, attached)
    },
    failed: later => {
      awaitLeader(later, group, call)
    },
    holdsLayers: false,
  })
}

/** Asks the shards that may have keys of the lease; what they have not is asked again by a newer map. */
function gatherKeys(
  turn: Turn,
  group: Group,
  call: Call,
  id: LeaseId,
  done: (turn: Turn, keys: Keys) => void,
): void {
  const elsewhere = shardOfGroup(group)?.leases.get(id)?.elsewhere ?? []
  const parts = routeRanges(turn.state.shards, elsewhere)
  if (parts.some(({ shard }) => shard.group === group.id)) {
    // The map does not know yet what was split off here.
    awaitLeader(turn, group, call)
    return
  }
  const found = new Map<GroupId, Keys>()
  if (parts.length === 0) done(turn, [])
  for (const { shard, ranges } of parts) {
    const part = { group: shard.group, ranges }
    const request = { kind: 'leaseTimeToLive', id, keys: true, part } as const
    askPart(turn, call, request, shard.group, (later, result) => {
      if (!result.ok && result.error.code === 'staleRoute') {
        beginAgain(later, group, call)
        return
      }
      const reply = result.ok ? decodeReply(result.value.body) : null
      if (!result.ok) finishCall(later, call, result)
      else if (reply?.kind !== 'leaseTimeToLive') finishCall(later, call, refuse('internal'))
      else {
        found.set(shard.group, reply.keys)
        if (found.size === parts.length) done(later, [...found.values()].flat())
      }
    })
  }
}

function beginAgain(turn: Turn, group: Group, call: Call): void {
  if (!group.waiting.includes(call)) awaitLeader(turn, group, call)
}
