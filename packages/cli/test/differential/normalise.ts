import type { Answer, Message } from './target.js'

/** What may differ between two servers that behave alike, and why. Everything else must be equal. */
export interface Rule {
  readonly what: string
  readonly why: string
}

export const RULES: readonly Rule[] = [
  {
    what: 'header.cluster_id, header.member_id, header.raft_term',
    why: 'each cluster has its own; only whether they are there is compared',
  },
  { what: 'lease ids that the server chose', why: 'chosen by chance; compared by the grant they come from' },
  { what: 'LeaseTimeToLive.TTL', why: 'the time that is left, equal within a second' },
  {
    what: 'LeaseTimeToLive.keys, LeaseLeases.leases',
    why: 'in no order in etcd (a map; the time of expiry); compared in ours',
  },
  {
    what: 'how events are spread over watch responses, and header.revision of those',
    why: 'up to the server; compared are the events of each watch in order, and checked: no revision is split, none comes before its header',
  },
  { what: 'tokens', why: 'secrets' },
  {
    what: 'names, addresses and ids of members',
    why: 'each cluster has its own; compared: which fields are there, and that all members have the same',
  },
  { what: 'Status: sizes, indexes, term, leader, version', why: 'its own; compared: whether they are there' },
  {
    what: 'fields newer than 3.4: storageVersion, dbSizeQuota, downgradeInfo, hash_revision',
    why: 'ours are of 3.6',
  },
  {
    what: 'Hash.hash, HashKV.hash',
    why: 'over the rows of the store, which are not alike; compared: our own members',
  },
  {
    what: 'the text about a body that is not the JSON it should be',
    why: 'that of a library, another one in each version; compared: that it is refused, and how',
  },
  { what: 'HTTP status 412', why: '3.4 has it for FailedPrecondition, later versions and ours have 400' },
]

/** Lease ids a server chose, by the grant that asked: its name for the comparison. */
export type LeaseNames = ReadonlyMap<bigint, string>

const OF_CLUSTER: ReadonlySet<string> = new Set(['cluster_id', 'member_id', 'raft_term'])
/** Of members and of Status: whether there is one. */
const OWN: ReadonlySet<string> = new Set([
  ...['name', 'peerURLs', 'clientURLs', 'hash', 'version', 'leader'],
  ...['raftIndex', 'raftAppliedIndex', 'raftTerm'],
])
const LEFT_OUT: ReadonlySet<string> = new Set([
  // Ours are zero while there is nothing.
  'dbSize',
  'dbSizeInUse',
  'storageVersion',
  'dbSizeQuota',
  'downgradeInfo',
  'hash_revision',
])
const IDS: ReadonlySet<string> = new Set(['ID', 'lease'])
const UNORDERED: ReadonlySet<string> = new Set(['keys', 'leases'])

/** A copy in which only what must be equal is left, as plain JSON. */
export function normalise(value: unknown, names: LeaseNames, field = ''): unknown {
  if (OF_CLUSTER.has(field)) return isZero(value) ? 'none' : 'some'
  if (field === 'members') return shapesOf(value as Message[])
  if (field === 'member') return shapesOf([value as Message])
  if (field === 'token') return typeof value === 'string' && value !== '' ? 'some' : 'none'
  if (IDS.has(field)) return names.get(BigInt(value as bigint | string)) ?? `${value as bigint}`
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (typeof value === 'bigint') return `${value}`
  if (Array.isArray(value)) {
    const items = value.map(item => normalise(item, names))
    return UNORDERED.has(field) ? items.sort(byText) : items
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !LEFT_OUT.has(name))
      .map(([name, inner]) => [name, normalise(inner, names, name)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
}

/** Of every member the fields that it has, once. */
function shapesOf(members: readonly Message[]): unknown[] {
  const shapes = members.map(({ ID, ...rest }) => ({ ID: isZero(ID) ? 'none' : 'some', ...own(rest) }))
  return [...new Set(shapes.map(shape => JSON.stringify(shape)))].sort()
}

const own = (message: Message): Message =>
  Object.fromEntries(
    Object.entries(message).map(([name, value]) => [name, OWN.has(name) ? isThere(value) : value]),
  )

const isThere = (value: unknown): string =>
  isZero(value) || value === '' || (Array.isArray(value) && value.length === 0) ? 'none' : 'some'

const byText = (a: unknown, b: unknown): number => {
  const [x, y] = [JSON.stringify(a), JSON.stringify(b)]
  return x < y ? -1 : x > y ? 1 : 0
}

const isZero = (value: unknown): boolean => value === 0n || value === 0 || value === '0' || value === null

export const normaliseAnswer = (answer: Answer, names: LeaseNames): unknown =>
  answer.kind === 'ok'
    ? { kind: 'ok', message: normalise(own(answer.message), names) }
    : { kind: 'refused', code: answer.code, text: answer.text, http: answer.http === 412 ? 400 : answer.http }

/** Whether and how it was refused. */
export const withoutText = (answer: Answer): unknown =>
  answer.kind === 'ok' ? 'ok' : { code: answer.code, http: answer.http }

/** Where two normalised values differ first; null: nowhere. */
export function difference(etcd: unknown, kvorum: unknown, path = ''): string | null {
  if (Object.is(etcd, kvorum)) return null
  if (isRecord(etcd) && isRecord(kvorum)) {
    for (const name of new Set([...Object.keys(etcd), ...Object.keys(kvorum)])) {
      const inner = difference(etcd[name], kvorum[name], path === '' ? name : `${path}.${name}`)
      if (inner !== null) return inner
    }
    return null
  }
  if (/(^|\.)TTL$/.test(path) && withinSecond(etcd, kvorum)) return null
  return `${path}: etcd ${JSON.stringify(etcd)}, kvorum ${JSON.stringify(kvorum)}`
}

const isRecord = (value: unknown): value is Message => typeof value === 'object' && value !== null

/** Of a long lease: a short TTL is either given or not. */
function withinSecond(a: unknown, b: unknown): boolean {
  const [x, y] = [Number(a), Number(b)]
  return x > 100 && y > 100 && Math.abs(x - y) <= 1
}
