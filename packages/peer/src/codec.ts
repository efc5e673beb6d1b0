import { Packr } from 'msgpackr'
import {
  clusterId,
  groupId,
  incarnation,
  LIMITS,
  MalformedError,
  nodeId,
  unreachable,
  type BootIdentity,
  type PeerRefusal,
  type Roster,
  type ShardLoad,
  type SnapshotMeta,
} from '@kvorum/model'
import { isPeerRefusal } from './errorNames.js'
import { heartbeatsFromBytes, heartbeatsToBytes } from './heartbeatWire.js'
import { checkPlainMsgpack } from './plainMsgpack.js'
import { configFromWire, configToWire, messageFromWire, messageToWire } from './raftWire.js'
import { requestFromWire, requestToWire, resultFromWire, resultToWire } from './requestWire.js'
import type { ReplyPiece } from './replyPieces.js'
import type { Parcel } from './types.js'
import { type Wire, bool, bytes, list, number, rangeFromWire, rangeToWire, text, unsigned } from './wire.js'

/**
 * Messages as msgpack lists: a number for the kind, then its fields in a fixed order. Plain msgpack (no
 * records, no shared structures), so that every frame can be read alone. Byte strings are copied out of the
 * network buffer, because entries outlive it.
 */
const packr = new Packr({ useRecords: false, copyBuffers: true })

const KINDS = {
  raft: 1,
  hello: 2,
  welcome: 3,
  refused: 4,
  request: 5,
  reply: 6,
  snapshotPull: 7,
  snapshotChunk: 8,
  roster: 9,
  heartbeats: 10,
  replyPiece: 11,
  loads: 12,
} as const

/** One message, to be put behind others in a frame's list. */
export const encodeParcel = (parcel: Parcel): Uint8Array => packr.pack(parcelToWire(parcel))

export const encodePiece = ({ id, revision, term, total, from, bytes: part }: ReplyPiece): Uint8Array =>
  packr.pack([KINDS.replyPiece, id, revision, term, total, from, part])

/** The messages of one frame. Whatever is wrong with the bytes throws MalformedError. */
export function decodeParcels(payload: Uint8Array): (Parcel | ReplyPiece)[] {
  checkPlainMsgpack(payload)
  let beats = 0
  return list(packr.unpack(payload)).map(item => {
    const parcel = parcelFromWire(list(item))
    if (parcel.kind === 'heartbeats') beats += parcel.beats.length
    if (beats > FRAME_HEARTBEATS_MAX) throw new MalformedError('too many heartbeats in one frame')
    return parcel
  })
}

/** More than fit into a frame as senders make them; each costs many times its bytes in memory. */
export const FRAME_HEARTBEATS_MAX = 256 * 1024

function parcelToWire(parcel: Parcel): Wire {
  const kind = KINDS[parcel.kind]
  switch (parcel.kind) {
    case 'raft':
      return [kind, parcel.group, messageToWire(parcel.message)]
    case 'heartbeats':
      return [kind, heartbeatsToBytes(parcel.beats)]
    case 'hello':
      return [
        kind,
        parcel.cluster,
        parcel.node,
        identityToWire(parcel.identity),
        ...saidToWire(parcel.peerUrls),
      ]
    case 'welcome':
      return [kind, identityToWire(parcel.identity)]
    case 'refused':
      return [kind, parcel.reason, identityToWire(parcel.identity)]
    case 'roster':
      return [kind, ...rosterToWire(parcel.roster)]
    case 'loads':
      return [kind, parcel.loads.map(loadToWire)]
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

function parcelFromWire(wire: Wire): Parcel | ReplyPiece {
  switch (wire[0]) {
    case KINDS.replyPiece:
      return {
        kind: 'replyPiece',
        id: number(wire[1]),
        revision: number(wire[2]),
        term: number(wire[3]),
        total: number(wire[4]),
        from: number(wire[5]),
        bytes: bytes(wire[6]),
      }
    case KINDS.raft:
      return { kind: 'raft', group: groupId(number(wire[1])), message: messageFromWire(list(wire[2])) }
    case KINDS.heartbeats:
      return { kind: 'heartbeats', beats: heartbeatsFromBytes(bytes(wire[1])) }
    case KINDS.hello:
      return {
        kind: 'hello',
        cluster: clusterId(unsigned(wire[1])),
        node: nodeId(unsigned(wire[2])),
        identity: identityFromWire(list(wire[3])),
        peerUrls: saidFromWire(wire[4]),
      }
    case KINDS.welcome:
      return { kind: 'welcome', identity: identityFromWire(list(wire[1])) }
    case KINDS.refused:
      return {
        kind: 'refused',
        reason: refusalFromWire(wire[1]),
        identity: identityFromWire(list(wire[2])),
      }
    case KINDS.roster:
      return { kind: 'roster', roster: rosterFromWire(wire) }
    case KINDS.loads:
      return { kind: 'loads', loads: loadsFromWire(wire[1]) }
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
  incarnation: incarnation(unsigned(wire[0])),
  boot: number(wire[1]),
  nonce: unsigned(wire[2]),
})

/** Where the sender is reached, left out by one that does not say. */
const saidToWire = (peerUrls: readonly string[]): Wire => (peerUrls.length === 0 ? [] : [[...peerUrls]])
function saidFromWire(value: unknown): readonly string[] {
  const peerUrls = value === undefined ? [] : list(value).map(text)
  if (peerUrls.length > LIMITS.peerUrlsSaidMax) throw new MalformedError('a hello with too many peer URLs')
  if (peerUrls.some(({ length }) => length > LIMITS.peerUrlCharactersMax))
    throw new MalformedError('a hello with a peer URL that is too long')
  return peerUrls
}

const rosterToWire = ({ index, members, removed }: Roster): Wire => [
  index,
  members.map(({ node, peerUrls, incarnation, founder }) => [node, [...peerUrls], incarnation, founder]),
  [...removed],
]
const rosterFromWire = (wire: Wire): Roster => ({
  index: number(wire[1]),
  members: list(wire[2]).map(item => {
    const [node, peerUrls, directory, founder] = list(item)
    return {
      node: nodeId(unsigned(node)),
      peerUrls: list(peerUrls).map(text),
      incarnation: incarnation(unsigned(directory)),
      founder: bool(founder),
    }
  }),
  removed: list(wire[3]).map(node => nodeId(unsigned(node))),
})

const loadToWire = (load: ShardLoad): Wire => [
  load.group,
  load.epoch,
  load.bytes,
  load.bytesMiddle,
  load.requests,
  load.requestsMiddle,
]

function loadsFromWire(value: unknown): ShardLoad[] {
  const loads = list(value)
  if (loads.length > LIMITS.shardsMax) throw new MalformedError('reports of more shards than there may be')
  return loads.map(item => {
    const [group, epoch, size, bytesMiddle, requests, requestsMiddle] = list(item)
    return {
      group: groupId(number(group)),
      epoch: number(epoch),
      bytes: number(size),
      bytesMiddle: middleFromWire(bytesMiddle),
      requests: number(requests),
      requestsMiddle: middleFromWire(requestsMiddle),
    }
  })
}

function middleFromWire(value: unknown): Uint8Array | null {
  if (value === null) return null
  const key = bytes(value)
  if (key.length > LIMITS.middleKeyBytesMax) throw new MalformedError('a key to split at is too long')
  return key
}

const snapshotMetaToWire = (meta: SnapshotMeta): Wire => [
  meta.group,
  meta.index,
  meta.term,
  configToWire(meta.config),
  ...(meta.range === undefined ? [] : [rangeToWire(meta.range)]),
]
const snapshotMetaFromWire = (wire: Wire): SnapshotMeta => ({
  group: groupId(number(wire[0])),
  index: number(wire[1]),
  term: number(wire[2]),
  config: configFromWire(list(wire[3])),
  ...(wire[4] === undefined ? {} : { range: rangeFromWire(wire[4]) }),
})

function refusalFromWire(value: unknown): PeerRefusal {
  const reason = text(value)
  if (!isPeerRefusal(reason)) throw new MalformedError('a refusal without a reason known here')
  return reason
}
