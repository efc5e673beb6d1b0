import {
  ALARM_KINDS,
  alarmKind,
  ByteReader,
  ByteWriter,
  groupId,
  leaseId,
  MalformedError,
  nodeId,
  readOp,
  unreachable,
  writeOp,
  type ClientRequest,
  type ClientResult,
  type KvError,
  type StoreScan,
} from '@kvorum/model'
import { isErrorCode, isOutcome } from './errorNames.js'
import {
  bool,
  bytes,
  list,
  number,
  rangeFromWire,
  rangeToWire,
  signed,
  text,
  unsigned,
  type Wire,
} from './wire.js'

/** Clients' requests and their results, for the node that leads the shard. Numbers are never used twice. */
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
  sessionOpen: 11,
  authFence: 20,
  moveLeader: 16,
  alarm: 30,
  hashKv: 31,
  transaction: 40,
  transactionRead: 41,
  oracle: 32,
  resolve: 33,
  follow: 34,
  history: 35,
  rows: 36,
} as const
/** Around a request that says by what it was allowed. */
const WITH_AUTHORITY = 21

export function requestToWire(request: ClientRequest): Wire {
  const { authority } = request
  if (authority === undefined) return bodyToWire(request)
  const writable = authority.writable === null ? null : authority.writable.map(rangeToWire)
  return [WITH_AUTHORITY, authority.fence, writable, bodyToWire(request)]
}

export function requestFromWire(wire: Wire): ClientRequest {
  if (wire[0] !== WITH_AUTHORITY) return bodyFromWire(wire)
  const writable = wire[2] === null ? null : list(wire[2]).map(rangeFromWire)
  return { ...bodyFromWire(list(wire[3])), authority: { fence: number(wire[1]), writable } }
}

function bodyToWire(request: ClientRequest): Wire {
  const kind = REQUESTS[request.kind]
  switch (request.kind) {
    case 'write':
      return [kind, request.ranges.map(rangeToWire), request.command]
    case 'read': {
      const out = new ByteWriter()
      writeOp(out, request.op)
      const whole = [kind, out.finish(), request.serializable]
      const { pageBytes, at } = request
      if (at !== undefined) return [...whole, pageBytes ?? null, at.revision, at.index]
      return pageBytes === undefined ? whole : [...whole, pageBytes]
    }
    case 'compact':
      if (request.resolved === true) return [kind, request.revision, request.physical, true]
      return [kind, request.revision, request.physical]
    case 'leaseGrant':
      return [kind, request.id, request.ttl]
    case 'leaseRevoke':
    case 'leaseKeepAlive':
      return [kind, request.id]
    case 'sessionOpen':
      return [kind, request.lease]
    case 'leaseTimeToLive': {
      const { id, keys, part } = request
      return part === undefined
        ? [kind, id, keys]
        : [kind, id, keys, part.group, part.ranges.map(rangeToWire)]
    }
    case 'leaseList':
    case 'barrier':
      return [kind]
    case 'meta':
      return [kind, request.command]
    case 'authFence':
      return [kind, request.group, request.fence.revision, request.fence.enabled]
    case 'moveLeader':
      return request.group === undefined ? [kind, request.to] : [kind, request.to, request.group]
    case 'alarm':
      return [kind, request.change === 'raise', request.member, ALARM_KINDS.indexOf(request.alarm)]
    case 'transaction':
      return [kind, request.group, request.command]
    case 'transactionRead':
      return [
        kind,
        request.group,
        request.index,
        request.revision,
        request.branches,
        request.work,
        request.ranges.map(rangeToWire),
      ]
    case 'hashKv':
      return [kind, request.revision]
    case 'oracle':
      return [kind, request.ask.kind === 'alloc' ? request.ask.count : 0]
    case 'resolve':
      return [kind, request.group, request.revision, request.ranges.map(rangeToWire)]
    case 'follow':
      return [kind, request.group, rangeToWire(request.range), request.after]
    case 'history': {
      const { group, range, index, from, to, prev, bytesMax } = request
      return [kind, group, rangeToWire(range), index, from, to, prev, bytesMax]
    }
    case 'rows': {
      const { group, range, index, need } = request
      const scans = need.scans.map(({ gte, lt, values, rowsMax, bytesMax }) => [
        gte,
        lt,
        values,
        rowsMax,
        bytesMax,
      ])
      return [kind, group, rangeToWire(range), index, need.gets, scans]
    }
    default:
      return unreachable(request)
  }
}

function bodyFromWire(wire: Wire): ClientRequest {
  switch (wire[0]) {
    case REQUESTS.write:
      return { kind: 'write', ranges: list(wire[1]).map(rangeFromWire), command: bytes(wire[2]) }
    case REQUESTS.read: {
      const input = new ByteReader(bytes(wire[1]))
      const op = readOp(input, 0)
      input.end()
      if (op.kind !== 'range' && op.kind !== 'txn') throw new MalformedError(`a ${op.kind} is not a read`)
      const plain = { kind: 'read', op, serializable: bool(wire[2]) } as const
      const hasPages = wire[3] !== undefined && wire[3] !== null
      const read = hasPages ? { ...plain, pageBytes: number(wire[3]!) } : plain
      if (wire[4] === undefined) return read
      return { ...read, at: { revision: number(wire[4]), index: number(wire[5]) } }
    }
    case REQUESTS.compact: {
      const compact = { kind: 'compact', revision: number(wire[1]), physical: bool(wire[2]) } as const
      return wire[3] === undefined ? compact : { ...compact, resolved: bool(wire[3]) }
    }
    case REQUESTS.leaseGrant:
      return { kind: 'leaseGrant', id: leaseId(signed(wire[1])), ttl: number(wire[2]) }
    case REQUESTS.leaseRevoke:
      return { kind: 'leaseRevoke', id: leaseId(signed(wire[1])) }
    case REQUESTS.sessionOpen:
      return { kind: 'sessionOpen', lease: leaseId(signed(wire[1])) }
    case REQUESTS.leaseKeepAlive:
      return { kind: 'leaseKeepAlive', id: leaseId(signed(wire[1])) }
    case REQUESTS.leaseTimeToLive: {
      const whole = { kind: 'leaseTimeToLive', id: leaseId(signed(wire[1])), keys: bool(wire[2]) } as const
      if (wire.length < 4) return whole
      return { ...whole, part: { group: groupId(number(wire[3])), ranges: list(wire[4]).map(rangeFromWire) } }
    }
    case REQUESTS.leaseList:
      return { kind: 'leaseList' }
    case REQUESTS.barrier:
      return { kind: 'barrier' }
    case REQUESTS.meta:
      return { kind: 'meta', command: bytes(wire[1]) }
    case REQUESTS.authFence:
      return {
        kind: 'authFence',
        group: groupId(number(wire[1])),
        fence: { revision: number(wire[2]), enabled: bool(wire[3]) },
      }
    case REQUESTS.moveLeader:
      return {
        kind: 'moveLeader',
        to: nodeId(unsigned(wire[1])),
        ...(wire.length > 2 ? { group: groupId(number(wire[2])) } : {}),
      }
    case REQUESTS.alarm:
      return {
        kind: 'alarm',
        change: bool(wire[1]) ? 'raise' : 'clear',
        member: nodeId(unsigned(wire[2])),
        alarm: alarmKind(number(wire[3])),
      }
    case REQUESTS.transaction:
      return { kind: 'transaction', group: groupId(number(wire[1])), command: bytes(wire[2]) }
    case REQUESTS.transactionRead:
      return {
        kind: 'transactionRead',
        group: groupId(number(wire[1])),
        index: number(wire[2]),
        revision: number(wire[3]),
        branches: list(wire[4]).map(bool),
        work: bytes(wire[5]),
        ranges: list(wire[6]).map(rangeFromWire),
      }
    case REQUESTS.hashKv:
      return { kind: 'hashKv', revision: number(wire[1]) }
    case REQUESTS.oracle: {
      const count = number(wire[1])
      return { kind: 'oracle', ask: count === 0 ? { kind: 'current' } : { kind: 'alloc', count } }
    }
    case REQUESTS.resolve:
      return {
        kind: 'resolve',
        group: groupId(number(wire[1])),
        revision: number(wire[2]),
        ranges: list(wire[3]).map(rangeFromWire),
      }
    case REQUESTS.follow:
      return {
        kind: 'follow',
        group: groupId(number(wire[1])),
        range: rangeFromWire(wire[2]),
        after: number(wire[3]),
      }
    case REQUESTS.history:
      return {
        kind: 'history',
        group: groupId(number(wire[1])),
        range: rangeFromWire(wire[2]),
        index: number(wire[3]),
        from: number(wire[4]),
        to: number(wire[5]),
        prev: bool(wire[6]),
        bytesMax: number(wire[7]),
      }
    case REQUESTS.rows:
      return {
        kind: 'rows',
        group: groupId(number(wire[1])),
        range: rangeFromWire(wire[2]),
        index: number(wire[3]),
        need: { gets: list(wire[4]).map(bytes), scans: list(wire[5]).map(scanFromWire) },
      }
    default:
      throw new MalformedError(`request kind ${String(wire[0])} is not known`)
  }
}

function scanFromWire(wire: unknown): StoreScan {
  const [gte, lt, values, rowsMax, bytesMax] = list(wire)
  return {
    gte: bytes(gte),
    lt: bytes(lt),
    reverse: false,
    values: bool(values),
    rowsMax: number(rowsMax),
    bytesMax: number(bytesMax),
  }
}

export function resultToWire(result: ClientResult): Wire {
  if (result.ok) return [true, result.value.header.revision, result.value.header.term, result.value.body]
  const { code, outcome, detail, compactRevision, route } = result.error
  return [
    false,
    code,
    outcome,
    detail ?? null,
    compactRevision ?? null,
    route === undefined ? null : [route.group, rangeToWire(route.range), route.epoch],
  ]
}

export function resultFromWire(wire: Wire): ClientResult {
  if (bool(wire[0])) {
    return {
      ok: true,
      value: { header: { revision: number(wire[1]), term: number(wire[2]) }, body: bytes(wire[3]) },
    }
  }
  return { ok: false, error: errorFromWire(wire) }
}

/**
 * A later version may refuse for a reason that has no name here. What the caller must not lose is the outcome,
 * so such a refusal arrives as internal, and an outcome without a name as unknown.
 */
function errorFromWire(wire: Wire): KvError {
  const code = text(wire[1])
  const outcome = text(wire[2])
  const detail = wire[3] === null ? (isErrorCode(code) ? undefined : code) : text(wire[3])
  const compactRevision = wire[4] === null ? undefined : number(wire[4])
  const route = wire[5] === null ? undefined : list(wire[5])
  return {
    code: isErrorCode(code) ? code : 'internal',
    outcome: isOutcome(outcome) ? outcome : 'unknown',
    ...(detail === undefined ? {} : { detail }),
    ...(compactRevision === undefined ? {} : { compactRevision }),
    ...(route === undefined
      ? {}
      : {
          route: {
            group: groupId(number(route[0])),
            range: rangeFromWire(route[1]),
            epoch: number(route[2]),
          },
        }),
  }
}
