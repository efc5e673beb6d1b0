import {
  decodeReply,
  encodeReply,
  LIMITS,
  META_GROUP,
  ok,
  pointRange,
  type ClientRequest,
  type ClientResult,
  type Compare,
  type GroupId,
  type Index,
  type KeyRange,
  type OpReply,
  type RangeOp,
  type RangeReply,
  type Result,
  type Revision,
  type Term,
  type TxnOp,
  type TxnReply,
} from '@kvorum/model'
import { mergeRanges, partOfRange } from '@kvorum/machine'
import { routeRanges } from '@kvorum/placement'
import { answerCall, failCall, finishCall, type Call } from './calls.js'
import { rangesOf } from './commands.js'
import { askPart } from './gather.js'
import { noteOracleTerm } from './membership.js'
import { learnRoute } from './routing.js'
import type { Turn } from './state.js'

/**
 * A linearizable read where the oracle gives revisions, of one shard or of many:
 *
 *     current() -> G   --> every touched shard's leader: nothing at or below G can come any more, as of its index
 *                      --> a replica that has applied that index reads at G --> one answer, whose header says G
 */
interface ReadAt {
  readonly call: Call
  /** What the header says, and what is read where no revision is asked for. */
  readonly revision: Revision
  readonly term: Term
  /** Where each touched shard has applied everything that can be read. */
  readonly indices: Map<GroupId, Index>
  /** It was given up for another attempt. */
  anew: boolean
}

type ReadRequest = Extract<ClientRequest, { kind: 'read' }>

/**
 * A serializable read asks like any other: of what this node holds nobody knows up to which revision it is complete.
 */
export function readAtOneRevision(turn: Turn, call: Call): void {
  askPart(turn, call, { kind: 'oracle', ask: { kind: 'current' } }, META_GROUP, (later, result) => {
    if (!result.ok) {
      finishCall(later, call, result)
      return
    }
    const { revision, term } = result.value.header
    noteOracleTerm(later.state, term)
    resolve(later, { call, revision, term, indices: new Map(), anew: false })
  })
}

const requestOf = ({ call }: ReadAt): ReadRequest => call.request as ReadRequest

function resolve(turn: Turn, read: ReadAt): void {
  const { call, indices } = read
  const { op } = requestOf(read)
  const parts = routeRanges(turn.state.shards, rangesOf(op))
  const [first] = turn.state.shards.shards
  // An empty range touches no shard; one of them says whether the revision can be read.
  const asked =
    parts.length > 0 || first === undefined
      ? parts
      : [{ shard: first, ranges: [pointRange(first.range.start)] }]
  for (const { shard, ranges } of asked) {
    const { group } = shard
    const request = { kind: 'resolve', group, revision: read.revision, ranges } as const
    askPart(turn, call, request, group, (later, result) => {
      const reply = result.ok ? decodeReply(result.value.body) : null
      if (isMoved(result)) begunAnew(later, read, result)
      else if (!result.ok) finishCall(later, call, result)
      else if (reply?.kind !== 'resolved') failCall(later, call, 'internal')
      else {
        indices.set(group, reply.index)
        if (indices.size === asked.length) begin(later, read)
      }
    })
  }
}

function begin(turn: Turn, read: ReadAt): void {
  const { pageBytes, op } = requestOf(read)
  const done = (later: Turn, reply: Result<OpReply>): void => {
    if (!reply.ok) finishCall(later, read.call, reply)
    else {
      const header = { revision: read.revision, term: read.term }
      answerCall(later, read.call, header, encodeReply({ kind: 'op', op: reply.value }))
    }
  }
  if (op.kind === 'range' && pageBytes !== undefined) readPage(turn, read, op, pageBytes, done)
  else readOp(turn, read, op, done)
}

type Done<Reply> = (turn: Turn, reply: Result<Reply>) => void

/** What lies in one shard is read there as a whole; the rest is taken apart further. */
function readOp(turn: Turn, read: ReadAt, op: RangeOp | TxnOp, done: Done<OpReply>): void {
  const groups = groupsOf(turn, read, rangesOf(op))
  if (groups.length === 1) readPart(turn, read, groups[0]!, op, undefined, done)
  else if (op.kind === 'range') readRange(turn, read, op, done)
  else readTxn(turn, read, op, done)
}

function groupsOf(turn: Turn, read: ReadAt, ranges: readonly KeyRange[]): GroupId[] {
  const groups = routeRanges(turn.state.shards, ranges).map(({ shard }) => shard.group)
  // Of an empty range any shard can tell.
  return groups.length > 0 ? groups : [...read.indices.keys()].slice(0, 1)
}

/** One shard's part, read by a replica that has applied the index it was resolved at. */
function readPart(
  turn: Turn,
  read: ReadAt,
  group: GroupId,
  op: RangeOp | TxnOp,
  pageBytes: number | undefined,
  done: Done<OpReply>,
): void {
  const index = read.indices.get(group)
  if (index === undefined) {
    // The map has changed since the shards were asked.
    begunAnew(turn, read, null)
    return
  }
  const at = { revision: read.revision, index }
  const plain = { kind: 'read', op, serializable: false, at } as const
  const request = pageBytes === undefined ? plain : { ...plain, pageBytes }
  askPart(turn, read.call, request, group, (later, result) => {
    if (isMoved(result)) begunAnew(later, read, result)
    else if (wasCompactedMeanwhile(read, result)) readAtOneRevision(later, read.call)
    else done(later, opIn(result))
  })
}

const isMoved = (result: ClientResult): boolean => !result.ok && result.error.code === 'staleRoute'

/** A shard was split: what it was asked is asked again, by a newer map, of both halves. Once for all that fails. */
function begunAnew(turn: Turn, read: ReadAt, refused: ClientResult | null): void {
  if (refused !== null && !refused.ok) learnRoute(turn.state, refused.error)
  if (read.anew) return
  read.anew = true
  readAtOneRevision(turn, read.call)
}

/** The read's revision is gone, and so is every other that is as old; a newer one is not. */
const wasCompactedMeanwhile = (read: ReadAt, result: ClientResult): boolean =>
  !result.ok && result.error.code === 'compacted' && (result.error.compactRevision ?? 0) > read.revision

function opIn(result: ClientResult): Result<OpReply> {
  if (!result.ok) return result
  const reply = decodeReply(result.value.body)
  return reply.kind === 'op'
    ? ok(reply.op)
    : { ok: false, error: { code: 'internal', outcome: 'notApplied' } }
}

function readRange(turn: Turn, read: ReadAt, op: RangeOp, done: Done<RangeReply>): void {
  const parts = routeRanges(turn.state.shards, [op.range])
  const part = partOfRange(op)
  const reads = parts.map(({ shard, ranges }) => (later: Turn, one: Done<OpReply>): void => {
    readPart(later, read, shard.group, { ...part, range: ranges[0]! }, undefined, one)
  })
  collect(turn, reads, (later, replies) => {
    if (replies.ok) done(later, mergeRanges(op, replies.value as RangeReply[], LIMITS.responseBytesMax))
    else done(later, replies)
  })
}

/** The first shard that has something fills the page; if it ends there, the next ones may have more. */
function readPage(
  turn: Turn,
  read: ReadAt,
  op: RangeOp,
  pageBytes: number,
  done: Done<RangeReply>,
  parts = routeRanges(turn.state.shards, [op.range]),
): void {
  const [part, ...rest] = parts
  if (part === undefined) {
    done(turn, ok({ kind: 'range', kvs: [], more: false, count: 0 }))
    return
  }
  readPart(turn, read, part.shard.group, { ...op, range: part.ranges[0]! }, pageBytes, (later, reply) => {
    if (!reply.ok) done(later, reply)
    else {
      const page = reply.value as RangeReply
      if (page.kvs.length === 0 && rest.length > 0) readPage(later, read, op, pageBytes, done, rest)
      else done(later, ok({ ...page, more: page.more || rest.length > 0 }))
    }
  })
}

/** All of it sees one revision, so the order in which its parts are read makes no difference. */
function readTxn(turn: Turn, read: ReadAt, op: TxnOp, done: Done<TxnReply>): void {
  const compares = op.compares.map(compare => (later: Turn, one: Done<boolean>): void => {
    holds(later, read, compare, one)
  })
  collect(turn, compares, (later, held) => {
    if (!held.ok) {
      done(later, held)
      return
    }
    const succeeded = held.value.every(one => one)
    const branch = succeeded ? op.success : op.failure
    const reads = branch.map(nested => (now: Turn, one: Done<OpReply>): void => {
      readOp(now, read, nested as RangeOp | TxnOp, one)
    })
    collect(later, reads, (now, responses) => {
      const { revision } = read
      if (!responses.ok) done(now, responses)
      else done(now, ok({ kind: 'txn', succeeded, revision, before: revision, responses: responses.value }))
    })
  })
}

/**
 * A compare holds if it does for every key of its range; where there is none, as for a key that does not exist. So a
 * shard without keys of the range has a say only if all are.
 */
function holds(turn: Turn, read: ReadAt, compare: Compare, done: Done<boolean>): void {
  const parts = routeRanges(turn.state.shards, [compare.range])
  const whole =
    parts.length > 0 ? parts : [{ shard: { group: groupsOf(turn, read, [])[0]! }, ranges: [compare.range] }]
  const reads = whole.map(({ shard, ranges }) => (later: Turn, one: Done<OpReply>): void => {
    const count = countOf(ranges[0]!)
    const asked: TxnOp = {
      kind: 'txn',
      compares: [{ ...compare, range: ranges[0]! }],
      success: [count],
      failure: [count],
    }
    readPart(later, read, shard.group, asked, undefined, one)
  })
  collect(turn, reads, (later, replies) => {
    if (!replies.ok) {
      done(later, replies)
      return
    }
    const judged = replies.value as TxnReply[]
    const voiced = judged.filter(({ responses }) => (responses[0] as RangeReply).count > 0)
    done(later, ok((voiced.length > 0 ? voiced : judged).every(({ succeeded }) => succeeded)))
  })
}

const countOf = (range: KeyRange): RangeOp => ({
  kind: 'range',
  range,
  limit: 0,
  revision: 0,
  order: 'none',
  target: 'key',
  keysOnly: false,
  countOnly: true,
  minMod: 0,
  maxMod: 0,
  minCreate: 0,
  maxCreate: 0,
})

/** All of them at once; the first refusal is the answer. */
function collect<Reply>(
  turn: Turn,
  begins: readonly ((turn: Turn, done: Done<Reply>) => void)[],
  done: Done<Reply[]>,
): void {
  const replies: Reply[] = []
  let left = begins.length
  let over = false
  if (left === 0) done(turn, ok([]))
  begins.forEach((begin, i) => {
    begin(turn, (later, reply) => {
      if (over) return
      if (!reply.ok) {
        over = true
        done(later, reply)
        return
      }
      replies[i] = reply.value
      left--
      if (left === 0) done(later, ok(replies))
    })
  })
}
