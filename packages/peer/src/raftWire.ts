import {
  MalformedError,
  nodeId,
  replicaId,
  unreachable,
  type Entry,
  type EntryKind,
  type GroupConfig,
} from '@kvorum/model'
import type { Message } from '@kvorum/raft'
import { bool, bytes, list, number, unsigned, type Wire } from './wire.js'

/** Raft's messages as lists: kind, from, to, term, then the fields of the kind. Numbers are never used twice. */
const RAFT = {
  preVote: 1,
  preVoteReply: 2,
  vote: 3,
  voteReply: 4,
  append: 5,
  appendReply: 6,
  heartbeat: 7,
  heartbeatReply: 8,
  snapshot: 9,
  readIndex: 10,
  readIndexReply: 11,
  timeoutNow: 12,
} as const

export function messageToWire(message: Message): Wire {
  const head = [RAFT[message.kind], message.from, message.to, message.term]
  switch (message.kind) {
    case 'preVote':
      return [...head, message.lastIndex, message.lastTerm]
    case 'preVoteReply':
    case 'voteReply':
      return [...head, message.granted]
    case 'vote':
      return [...head, message.lastIndex, message.lastTerm, message.transfer]
    case 'append':
      return [...head, message.prevIndex, message.prevTerm, message.commit, entriesToWire(message.entries)]
    case 'appendReply':
      return message.rejected
        ? [...head, message.prevIndex, true, message.hintIndex, message.hintTerm, message.needSnapshot]
        : [...head, message.prevIndex, false, message.match]
    case 'heartbeat':
      return [...head, message.commit, message.round]
    case 'heartbeatReply':
      return [...head, message.round, message.needSnapshot]
    case 'snapshot':
      return [...head, message.index, message.snapshotTerm, configToWire(message.config)]
    case 'readIndex':
      return [...head, message.context]
    case 'readIndexReply':
      return [...head, message.context, message.index]
    case 'timeoutNow':
      return head
    default:
      return unreachable(message)
  }
}

export function messageFromWire(wire: Wire): Message {
  const [kind, from, to, term, ...rest] = wire
  const head = { from: replicaId(number(from)), to: replicaId(number(to)), term: number(term) }
  switch (kind) {
    case RAFT.preVote:
      return { ...head, kind: 'preVote', lastIndex: number(rest[0]), lastTerm: number(rest[1]) }
    case RAFT.preVoteReply:
      return { ...head, kind: 'preVoteReply', granted: bool(rest[0]) }
    case RAFT.vote:
      return {
        ...head,
        kind: 'vote',
        lastIndex: number(rest[0]),
        lastTerm: number(rest[1]),
        transfer: bool(rest[2]),
      }
    case RAFT.voteReply:
      return { ...head, kind: 'voteReply', granted: bool(rest[0]) }
    case RAFT.append: {
      const prevIndex = number(rest[0])
      const entries = entriesFromWire(prevIndex, list(rest[3]))
      return {
        ...head,
        kind: 'append',
        prevIndex,
        prevTerm: number(rest[1]),
        commit: number(rest[2]),
        entries,
      }
    }
    case RAFT.appendReply:
      return bool(rest[1])
        ? {
            ...head,
            kind: 'appendReply',
            prevIndex: number(rest[0]),
            rejected: true,
            hintIndex: number(rest[2]),
            hintTerm: number(rest[3]),
            needSnapshot: bool(rest[4]),
          }
        : {
            ...head,
            kind: 'appendReply',
            prevIndex: number(rest[0]),
            rejected: false,
            match: number(rest[2]),
          }
    case RAFT.heartbeat:
      return { ...head, kind: 'heartbeat', commit: number(rest[0]), round: number(rest[1]) }
    case RAFT.heartbeatReply:
      return { ...head, kind: 'heartbeatReply', round: number(rest[0]), needSnapshot: bool(rest[1]) }
    case RAFT.snapshot:
      return {
        ...head,
        kind: 'snapshot',
        index: number(rest[0]),
        snapshotTerm: number(rest[1]),
        config: configFromWire(list(rest[2])),
      }
    case RAFT.readIndex:
      return { ...head, kind: 'readIndex', context: number(rest[0]) }
    case RAFT.readIndexReply:
      return {
        ...head,
        kind: 'readIndexReply',
        context: number(rest[0]),
        index: rest[1] === null ? null : number(rest[1]),
      }
    case RAFT.timeoutNow:
      return { ...head, kind: 'timeoutNow' }
    default:
      throw new MalformedError(`raft message kind ${String(kind)} is not known`)
  }
}

const ENTRY_KINDS: readonly EntryKind[] = ['normal', 'noop', 'config']

/** Flat, four items an entry; the index follows from the position. */
function entriesToWire(entries: readonly Entry[]): Wire {
  const wire: unknown[] = []
  for (const entry of entries) wire.push(entry.term, ENTRY_KINDS.indexOf(entry.kind), entry.time, entry.data)
  return wire
}

function entriesFromWire(prevIndex: number, wire: Wire): Entry[] {
  if (wire.length % 4 !== 0) throw new MalformedError('entries come in fours')
  const entries: Entry[] = []
  for (let at = 0; at < wire.length; at += 4) {
    const kind = ENTRY_KINDS[number(wire[at + 1])]
    if (kind === undefined) throw new MalformedError(`entry kind ${String(wire[at + 1])} is not known`)
    entries.push({
      index: number(prevIndex + entries.length + 1),
      term: number(wire[at]),
      kind,
      time: number(wire[at + 2]),
      data: bytes(wire[at + 3]),
    })
  }
  return entries
}

export const configToWire = (config: GroupConfig): Wire => [
  config.voters,
  config.outgoing,
  config.learners,
  config.learnersNext,
  config.replicas.map(replica => [replica.id, replica.node]),
]

export function configFromWire(wire: Wire): GroupConfig {
  const ids = (value: unknown) => list(value).map(id => replicaId(number(id)))
  return {
    voters: ids(wire[0]),
    outgoing: ids(wire[1]),
    learners: ids(wire[2]),
    learnersNext: ids(wire[3]),
    replicas: list(wire[4]).map(replica => ({
      id: replicaId(number(list(replica)[0])),
      node: nodeId(unsigned(list(replica)[1])),
    })),
  }
}
