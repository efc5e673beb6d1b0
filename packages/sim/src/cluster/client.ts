import {
  decodeReply,
  isJudged,
  toHex,
  type ClientRequest,
  type ClientResult,
  type ErrorCode,
  type GroupId,
  type OpReply,
  type SessionTag,
} from '@kvorum/model'
import { changed } from '../check/revisionOrder.js'
import type { KvRequest, KvResult } from '../check/models/kv.js'
import type { Recorder } from '../check/history.js'
import type { Random } from '../random.js'
import { MILLISECOND, type Micros, type Timer } from '../schedule.js'
import type { Cluster } from './cluster.js'
import type { Answered } from './nodeConfig.js'
import { valuesOf } from './observer.js'
import { toClientRequest } from './requests.js'
import type { SimNode } from './simNode.js'
import { sendAs } from './userEdge.js'

export type Outcome =
  | { readonly kind: 'ok'; readonly result: ClientResult & { ok: true } }
  | { readonly kind: 'fail'; readonly code: ErrorCode | 'refused'; readonly compactRevision?: number }
  | { readonly kind: 'unknown'; readonly code?: string }

/** One write of a session is given up after this many. */
export const SENDINGS_MAX = 12
export const SEND_AGAIN_AFTER_MAX = 300 * MILLISECOND

/** One virtual client: one request at a time, at one node until that disappoints it. */
export class Client {
  readonly cluster: Cluster
  readonly random: Random
  /** In histories: one that does not know how its request ended goes on under a new number. */
  number: number
  /** Whose name its requests carry, where there are users. */
  user = 'root'
  readonly #nodes: readonly SimNode[]
  #node: SimNode
  #connection = 0

  /** `nodes`: the ones it knows of. */
  constructor(cluster: Cluster, random: Random, nodes: readonly SimNode[] = cluster.nodes) {
    this.cluster = cluster
    this.random = random
    this.number = cluster.nextClient()
    this.#nodes = nodes
    this.#node = random.pick(nodes)
    this.#connect(this.#node)
  }

  get node(): SimNode {
    return this.#node
  }

  /** Sends any request; `done` is called exactly once, in a later event. */
  ask(request: ClientRequest, done: (outcome: Outcome, call: Micros) => void): void {
    const { schedule, plan } = this.cluster
    const node = this.#node
    const call = schedule.now
    const timeout = plan.swarm.workload.requestTimeout
    let ended = false
    let timer: Timer | null = null
    let forget: (() => void) | null = null
    const end = (outcome: Outcome): void => {
      if (ended) return
      ended = true
      if (timer !== null) schedule.cancel(timer)
      if (outcome.kind !== 'ok') this.#disappointed()
      done(outcome, call)
    }
    const back = (outcome: Outcome): void => {
      schedule.after(this.random.int(50, 1_000), 'answer', () => end(outcome))
    }
    schedule.after(this.random.int(50, 1_000), 'ask', () => {
      if (ended) return
      forget = this.#send(node, request, result => back(outcomeOf(result)))
      if (forget === null) back({ kind: 'fail', code: 'refused' })
    })
    timer = schedule.after(timeout + 100 * MILLISECOND, 'clientTimeout', () => {
      timer = null
      forget?.()
      end({ kind: 'unknown' })
    })
  }

  #send(node: SimNode, request: ClientRequest, answered: Answered): (() => void) | null {
    const { swarm } = this.cluster.plan
    const timeoutMs = swarm.workload.requestTimeout / MILLISECOND
    if (swarm.users !== null) return sendAs(node, this.user, request, timeoutMs, answered)
    const id = node.request(request, timeoutMs, answered)
    return id === null ? null : () => node.forget(id)
  }

  /** Sends a write of a session until it has an answer, or its session is gone. */
  askUntilAnswered(request: ClientRequest, done: (outcome: Outcome) => void): void {
    let sendings = 0
    const send = (): void => {
      sendings++
      this.ask(request, outcome => {
        const doubtful =
          outcome.kind === 'fail' && sendings > 1 && (outcome.code === 'refused' || !isJudged(outcome.code))
        if (outcome.kind === 'unknown' && outcome.code === 'sessionNotFound') done({ kind: 'unknown' })
        else if (outcome.kind !== 'unknown' && !doubtful) done(outcome)
        else if (sendings < SENDINGS_MAX) {
          this.cluster.schedule.after(this.random.int(MILLISECOND, SEND_AGAIN_AFTER_MAX), 'sendAgain', send)
        } else done({ kind: 'unknown' })
      })
    }
    send()
  }

  /** A request of keys, recorded in the history of its group. */
  askKv(
    group: GroupId,
    recorder: Recorder<KvRequest, KvResult>,
    request: KvRequest,
    done: (outcome: Outcome, reply: KvResult | null) => void,
    session: SessionTag | null = null,
  ): void {
    const { observer } = this.cluster
    const values = request.kind === 'write' ? valuesOf(request.op) : []
    for (const value of values) {
      observer.invariants.observe({ kind: 'writeSent', value, session: session !== null })
    }
    const operation = recorder.call(this.number, request)
    const connection = this.#connection * 1000 + this.#node.life
    if (request.kind === 'leaseRevoke') observer.revokesAsked.add(request.lease)
    const ended = (outcome: Outcome): void => {
      if (outcome.kind === 'unknown') {
        this.number = this.cluster.nextClient()
        done(outcome, null)
        return
      }
      if (outcome.kind === 'fail') {
        recorder.fail(operation)
        for (const value of values) observer.invariants.observe({ kind: 'writeRefused', value })
        this.#pastRefused(request, outcome)
        done(outcome, null)
        return
      }
      const { header, body } = outcome.result.value
      const decoded = decodeReply(body)
      const reply = decoded.kind === 'op' ? decoded.op : null
      const result: KvResult = { revision: header.revision, reply }
      recorder.ok(operation, result)
      this.#answered(group, request, result, connection)
      done(outcome, result)
    }
    if (session === null) this.ask(toClientRequest(request), ended)
    else this.askUntilAnswered(toClientRequest(request, session), ended)
  }

  #answered(group: GroupId, request: KvRequest, { revision, reply }: KvResult, connection: number): void {
    const { invariants } = this.cluster.observer
    if (reply === null) return
    if (request.kind === 'read') {
      if (request.serializable) {
        invariants.observe({ kind: 'localRead', client: this.number * 100 + group, connection, revision })
      }
      const { op } = request
      if (op.kind === 'range' && op.revision > 0 && reply.kind === 'range') {
        const rows = rowsText(reply)
        invariants.observe({
          kind: 'pastRead',
          revision: op.revision,
          compacted: 0,
          range: rangeText(request),
          rows,
        })
      }
      return
    }
    if (request.kind !== 'write' || !changed(request.op, reply)) return
    for (const value of writtenValues(request.op, reply)) {
      invariants.observe({ kind: 'writeAnswered', value, revision })
    }
  }

  #pastRefused(request: KvRequest, outcome: Outcome & { kind: 'fail' }): void {
    if (request.kind !== 'read' || request.op.kind !== 'range' || outcome.code !== 'compacted') return
    const { invariants, truths } = this.cluster.observer
    const { oracle } = this.cluster.plan.swarm.cluster
    // A compaction of all groups reaches one after the other.
    const asked = oracle ? truths.shards : truths.shards.slice(0, 1)
    const compacted = Math.max(...asked.map(({ truth }) => truth.compacted))
    const revision = request.op.revision
    invariants.observe({ kind: 'pastRead', revision, compacted, range: rangeText(request), rows: null })
  }

  #disappointed(): void {
    if (this.random.chance(0.7)) this.#connect(this.random.pick(this.#nodes))
  }

  #connect(node: SimNode): void {
    this.#node = node
    this.#connection = this.cluster.nextConnection()
  }
}

function outcomeOf(result: ClientResult | 'lost'): Outcome {
  if (result === 'lost') return { kind: 'unknown' }
  if (result.ok) return { kind: 'ok', result }
  const { code, outcome, compactRevision } = result.error
  if (outcome !== 'notApplied') return { kind: 'unknown', code }
  return { kind: 'fail', code, ...(compactRevision === undefined ? {} : { compactRevision }) }
}

function writtenValues(op: (KvRequest & { kind: 'write' })['op'], reply: OpReply): string[] {
  if (op.kind !== 'txn') return valuesOf(op)
  if (reply.kind !== 'txn') return []
  const branch = reply.succeeded ? op.success : op.failure
  return branch.flatMap((nested, i) => {
    const answer = reply.responses[i]
    if (answer === undefined || nested.kind === 'range') return []
    return writtenValues(nested, answer)
  })
}

const rangeText = ({ op }: KvRequest & { kind: 'read' }): string =>
  JSON.stringify({
    ...op,
    range: op.kind === 'range' ? [toHex(op.range.start), op.range.end && toHex(op.range.end)] : 0,
  })

const rowsText = (reply: OpReply & { kind: 'range' }): string =>
  `${reply.count} ${reply.more} ${reply.kvs.map(kv => `${toHex(kv.key)}@${kv.mod}`).join(' ')}`
