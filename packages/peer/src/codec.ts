import { Packr } from 'msgpackr'
import {
  clusterId,
  groupId,
  incarnation,
  leaseId,
  LIMITS,
  MalformedError,
  nodeId,
  position,
  readRange,
  replicaId,
  unreachable,
  writeOp,
  writeRange,
  ByteReader,
  ByteWriter,
  readOp,
  type BootIdentity,
  type ClientRequest,
  type ClientResult,
  type Entry,
  type EntryKind,
  type GroupConfig,
  type KvError,
  type SnapshotMeta,
  type PeerRefusal,
} from '@kvorum/model'
import type { Message } from '@kvorum/raft'
import type { Parcel } from './types.js'

/**
 * Messages as msgpack lists: a number for the kind, then its fields in a fixed order. Plain msgpack (no
 * records, no shared structures), so that every frame can be read alone. Byte strings are copied out of the
 * network buffer, because entries outlive it.
 */
const packr = new Packr({ useRecords: false, copyBuffers: true })

type Wire = readonly unknown[]

const KINDS = {
  raft: 1,
  hello: 2,
  welcome: 3,
  refused: 4,
  request: 5,
  reply: 6,
  snapshotPull: 7,
  snapshotChunk: 8,
} as const

export function encodeParcels(parcels: readonly Parcel[]): Uint8Array {
  return packr.pack(parcels.map(parcelToWire))
}

export function decodeParcels(payload: Uint8Array): Parcel[] {
  let wire: unknown
  try {
    wire = packr.unpack(payload)
  } catch (cause) {
    throw new MalformedError(`a frame is not msgpack: ${(cause as Error).message}`)
  }
  return list(wire).map(item => parcelFromWire(list(item)))
}

function parcelToWire(parcel: Parcel): Wire {
  const kind = KINDS[parcel.kind]
  switch (parcel.kind) {
    case 'raft':
      return [kind, parcel.group, messageToWire(parcel.message)]
    case 'hello':
      return [kind, parcel.cluster, parcel.node, identityToWire(parcel.identity)]
    case 'welcome':
      return [kind, identityToWire(parcel.identity)]
    case 'refused':
      return [kind, parcel.reason]
    case 'request':
      return [kind, parcel.id, parcel.group, requestToWire(parcel.request)]
    case 'reply':
      return [kind, parcel.id, resultToWire(parcel.result)]
    case 'snapshotPull':
      return [kind, parcel.group, parcel.pull, parcel.stream, parcel.chunk]
    case 'snapshotChunk':
      return [
        kind,
        parcel.pull,
        parcel.stream,
        parcel.chunk,
        parcel.meta === null ? null : snapshotMetaToWire(parcel.meta),
        parcel.rows.map(row => [row.key, row.value]),
        parcel.done,
      ]
    default:
      return unreachable(parcel)
  }
}

function parcelFromWire(wire: Wire): Parcel {
  switch (wire[0]) {
    case KINDS.raft:
      return { kind: 'raft', group: groupId(number(wire[1])), message: messageFromWire(list(wire[2])) }
    case KINDS.hello:
      return {
        kind: 'hello',
        cluster: clusterId(big(wire[1])),
        node: nodeId(big(wire[2])),
        identity: identityFromWire(list(wire[3])),
      }
    case KINDS.welcome:
      return { kind: 'welcome', identity: identityFromWire(list(wire[1])) }
    case KINDS.refused:
      return { kind: 'refused', reason: text(wire[1]) as PeerRefusal }
    case KINDS.request:
      return {
        kind: 'request',
        id: number(wire[1]),
        group: groupId(number(wire[2])),
        request: requestFromWire(list(wire[3])),
      }
    case KINDS.reply:
      return { kind: 'reply', id: number(wire[1]), result: resultFromWire(list(wire[2])) }
    case KINDS.snapshotPull:
      return {
        kind: 'snapshotPull',
        group: groupId(number(wire[1])),
        pull: number(wire[2]),
        stream: number(wire[3]),
        chunk: number(wire[4]),
      }
    case KINDS.snapshotChunk:
      return {
        kind: 'snapshotChunk',
        pull: number(wire[1]),
        stream: number(wire[2]),
        chunk: number(wire[3]),
        meta: wire[4] === null ? null : snapshotMetaFromWire(list(wire[4])),
        rows: list(wire[5]).map(row => ({ key: bytes(list(row)[0]), value: bytes(list(row)[1]) })),
        done: bool(wire[6]),
      }
    default:
      throw new MalformedError(`message kind ${String(wire[0])} is not known`)
  }
}

const identityToWire = (identity: BootIdentity): Wire => [identity.incarnation, identity.boot, identity.nonce]
const identityFromWire = (wire: Wire): BootIdentity => ({
  incarnation: incarnation(big(wire[0])),
  boot: number(wire[1]),
  nonce: big(wire[2]),
})

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

function messageToWire(message: Message): Wire {
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

function messageFromWire(wire: Wire): Message {
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
      return { ...head, kind: 'append', prevIndex, prevTerm: number(rest[1]), commit: number(rest[2]), entries }
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
        : { ...head, kind: 'appendReply', prevIndex: number(rest[0]), rejected: false, match: number(rest[2]) }
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
      index: prevIndex + entries.length + 1,
      term: number(wire[at]),
      kind,
      time: number(wire[at + 2]),
      data: bytes(wire[at + 3]),
    })
  }
  return entries
}

const configToWire = (config: GroupConfig): Wire => [
  config.voters,
  config.outgoing,
  config.learners,
  config.learnersNext,
  config.replicas.map(replica => [replica.id, replica.node]),
]

function configFromWire(wire: Wire): GroupConfig {
  const ids = (value: unknown) => list(value).map(id => replicaId(number(id)))
  return {
    voters: ids(wire[0]),
    outgoing: ids(wire[1]),
    learners: ids(wire[2]),
    learnersNext: ids(wire[3]),
    replicas: list(wire[4]).map(replica => ({
      id: replicaId(number(list(replica)[0])),
      node: nodeId(big(list(replica)[1])),
    })),
  }
}

const snapshotMetaToWire = (meta: SnapshotMeta): Wire => [
  meta.group,
  meta.index,
  meta.term,
  configToWire(meta.config),
]
const snapshotMetaFromWire = (wire: Wire): SnapshotMeta => ({
  group: groupId(number(wire[0])),
  index: number(wire[1]),
  term: number(wire[2]),
  config: configFromWire(list(wire[3])),
})

const REQUESTS = {
  write: 1,
  read: 2,
  compact: 3,
  leaseGrant: 4,
  leaseRevoke: 5,
  leaseKeepAlive: 6,
  leaseTimeToLive: 7,
  leaseList: 8,
  barrier: 9,
  meta: 10,
} as const

function requestToWire(request: ClientRequest): Wire {
  const kind = REQUESTS[request.kind]
  switch (request.kind) {
    case 'write': {
      const ranges = request.ranges.map(range => {
        const out = new ByteWriter()
        writeRange(out, range)
        return out.finish()
      })
      return [kind, ranges, request.command]
    }
    case 'read': {
      const out = new ByteWriter()
      writeOp(out, request.op)
      return [kind, out.finish(), request.serializable]
    }
    case 'compact':
      return [kind, request.revision, request.physical]
    case 'leaseGrant':
      return [kind, request.id, request.ttl]
    case 'leaseRevoke':
    case 'leaseKeepAlive':
      return [kind, request.id]
    case 'leaseTimeToLive':
      return [kind, request.id, request.keys]
    case 'leaseList':
    case 'barrier':
      return [kind]
    case 'meta':
      return [kind, request.command]
    default:
      return unreachable(request)
  }
}

function requestFromWire(wire: Wire): ClientRequest {
  switch (wire[0]) {
    case REQUESTS.write: {
      const ranges = list(wire[1]).map(range => readRange(new ByteReader(bytes(range))))
      return { kind: 'write', ranges, command: bytes(wire[2]) }
    }
    case REQUESTS.read: {
      const op = readOp(new ByteReader(bytes(wire[1])), 0)
      if (op.kind !== 'range' && op.kind !== 'txn') throw new MalformedError(`a ${op.kind} is not a read`)
      return { kind: 'read', op, serializable: bool(wire[2]) }
    }
    case REQUESTS.compact:
      return { kind: 'compact', revision: number(wire[1]), physical: bool(wire[2]) }
    case REQUESTS.leaseGrant:
      return { kind: 'leaseGrant', id: leaseId(big(wire[1])), ttl: number(wire[2]) }
    case REQUESTS.leaseRevoke:
      return { kind: 'leaseRevoke', id: leaseId(big(wire[1])) }
    case REQUESTS.leaseKeepAlive:
      return { kind: 'leaseKeepAlive', id: leaseId(big(wire[1])) }
    case REQUESTS.leaseTimeToLive:
      return { kind: 'leaseTimeToLive', id: leaseId(big(wire[1])), keys: bool(wire[2]) }
    case REQUESTS.leaseList:
      return { kind: 'leaseList' }
    case REQUESTS.barrier:
      return { kind: 'barrier' }
    case REQUESTS.meta:
      return { kind: 'meta', command: bytes(wire[1]) }
    default:
      throw new MalformedError(`request kind ${String(wire[0])} is not known`)
  }
}

function resultToWire(result: ClientResult): Wire {
  if (result.ok) return [true, result.value.header.revision, result.value.header.term, result.value.body]
  const { code, outcome, detail, compactRevision } = result.error
  return [false, code, outcome, detail ?? null, compactRevision ?? null]
}

function resultFromWire(wire: Wire): ClientResult {
  if (bool(wire[0])) {
    return {
      ok: true,
      value: { header: { revision: number(wire[1]), term: number(wire[2]) }, body: bytes(wire[3]) },
    }
  }
  const error: KvError = {
    code: text(wire[1]) as KvError['code'],
    outcome: text(wire[2]) as KvError['outcome'],
    ...(wire[3] === null ? {} : { detail: text(wire[3]) }),
    ...(wire[4] === null ? {} : { compactRevision: number(wire[4]) }),
  }
  return { ok: false, error }
}

function list(value: unknown): Wire {
  if (!Array.isArray(value)) throw new MalformedError('a list was expected')
  return value as Wire
}

function number(value: unknown): number {
  if (typeof value !== 'number') throw new MalformedError('a number was expected')
  try {
    return position(value, 'number')
  } catch (cause) {
    throw new MalformedError((cause as Error).message)
  }
}

function big(value: unknown): bigint {
  if (typeof value === 'bigint') return value
  return BigInt(number(value))
}

function bool(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new MalformedError('a boolean was expected')
  return value
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new MalformedError('a text was expected')
  return value
}

function bytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new MalformedError('bytes were expected')
  if (value.length > LIMITS.frameBytesMax) throw new MalformedError('bytes beyond a frame')
  return value
}
