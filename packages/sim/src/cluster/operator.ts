import { isJudged, META_GROUP, prefixRange, utf8, type MemberAlarm } from '@kvorum/model'
import { Violation } from '../invariants/violation.js'
import { MILLISECOND, SECOND } from '../schedule.js'
import type { QuotaOptions } from '../swarmAccess.js'
import { Client } from './client.js'
import type { Cluster } from './cluster.js'
import { keyPrefix } from './plan.js'
import { del, put } from './requests.js'

const LOOK_EVERY = 300 * MILLISECOND

/**
 * Looks after a quota that the others use up: sees NOSPACE at some node, deletes, compacts, and takes the alarm back.
 * All of that has to go on while nothing else does. At times raises the alarm by hand, to see that nothing is written.
 */
export class Operator {
  readonly #cluster: Cluster
  readonly #options: QuotaOptions
  readonly #client: Client
  #finishing = false
  #filling = false
  #stopped = false
  #serial = 0
  #roomMade = false
  busy = false

  constructor(cluster: Cluster, options: QuotaOptions) {
    this.#cluster = cluster
    this.#options = options
    this.#client = new Client(cluster, cluster.random.stream('operator'))
  }

  start(): void {
    this.#look()
    if (this.#options.raiseEvery > 0) this.#raiseNowAndThen()
  }

  /** No more alarms by hand, and no room for now. */
  pause(): void {
    this.#filling = true
  }

  /**
   * Writes until the quota refuses; then there has to be an alarm, by itself. An earlier alarm refuses as well, and may
   * be taken back because there is room: then it goes on.
   */
  fill(done: () => void): void {
    const { areas, histories, schedule } = this.#cluster
    const group = areas[0]!
    // Less than what is free again before an alarm is taken back by itself.
    const value = `operator ${++this.#serial}`.padEnd(Math.floor(this.#options.bytes / 20), 'x')
    const op = put(`${keyPrefix(group)}full`, value)
    this.#client.askKv(group, histories.get(group)!, { kind: 'write', op }, outcome => {
      if (outcome.kind === 'fail' && outcome.code === 'noSpace')
        schedule.after(2 * SECOND, 'fill', () => (this.isAlarmed ? done() : this.fill(done)))
      else schedule.after(10 * MILLISECOND, 'fill', () => this.fill(done))
    })
  }

  get isAlarmed(): boolean {
    return this.#cluster.nodes.some(node => alarmsAt(node).length > 0)
  }

  /** From here on only room is made, once at least. */
  finish(): void {
    this.#filling = false
    this.#finishing = true
  }

  stop(): void {
    this.#stopped = true
  }

  /** Everything that was kept when `finish` was called has been deleted, and no node knows of an alarm. */
  get hasRoom(): boolean {
    return this.#roomMade && !this.isAlarmed
  }

  #look(): void {
    this.#cluster.schedule.after(LOOK_EVERY, 'operator', () => {
      if (this.#stopped) return
      const alarms = alarmsAt(this.#client.node)
      const isNeeded = alarms.length > 0 || (this.#finishing && !this.#roomMade)
      if (!isNeeded || this.#filling) {
        this.#look()
        return
      }
      this.busy = true
      this.#cluster.coverage.mark('no space')
      this.#makeRoom(alarms, this.#finishing, succeeded => {
        this.busy = false
        if (succeeded) this.#cluster.coverage.mark('room made')
        this.#look()
      })
    })
  }

  /** Whatever fails is tried again with the next look. */
  #makeRoom(alarms: readonly MemberAlarm[], forGood: boolean, done: (succeeded: boolean) => void): void {
    const { areas, histories } = this.#cluster
    const group = areas[0]!
    const { random } = this.#client
    const prefix = forGood || random.chance(0.5) ? '' : random.int(0, 9)
    const keys = prefixRange(utf8(`${keyPrefix(group)}${prefix}`))
    this.#client.askKv(group, histories.get(group)!, { kind: 'write', op: del(keys) }, deleted => {
      const truth = this.#cluster.truthOf(group)
      const revision = truth.revision
      if (deleted.kind !== 'ok') done(false)
      else {
        this.#client.ask({ kind: 'compact', revision, physical: random.chance(0.7) }, compacted => {
          const isCompact = compacted.kind === 'fail' && compacted.code === 'compacted'
          if (compacted.kind !== 'ok' && !isCompact) done(false)
          else {
            if (forGood) this.#roomMade = true
            this.#disarm(alarms, done)
          }
        })
      }
    })
  }

  #disarm(alarms: readonly MemberAlarm[], done: (succeeded: boolean) => void): void {
    const [first, ...others] = alarms
    if (first === undefined) {
      done(true)
      return
    }
    const { noSpace } = this.#cluster.observer.access
    const asked = noSpace.asked(false)
    this.#client.ask({ kind: 'alarm', change: 'clear', ...first }, outcome => {
      if (outcome.kind === 'ok') noSpace.acknowledged(asked)
      if (outcome.kind === 'ok') this.#disarm(others, done)
      else done(false)
    })
  }

  #raiseNowAndThen(): void {
    const { schedule } = this.#cluster
    const client = new Client(this.#cluster, this.#client.random.stream('raise'))
    schedule.after(client.random.exponential(this.#options.raiseEvery), 'raise', () => {
      if (this.#filling || this.#finishing) return
      const { noSpace } = this.#cluster.observer.access
      const asked = noSpace.asked(true)
      client.ask({ kind: 'alarm', change: 'raise', member: client.node.id, alarm: 'noSpace' }, outcome => {
        if (outcome.kind === 'ok') noSpace.acknowledged(asked)
        if (this.#filling || this.#finishing) return
        this.#expectRefusal(client, () => this.#raiseNowAndThen())
      })
    })
  }

  /** I50, by the answer: while the alarm is up a put is refused, and for this reason. */
  #expectRefusal(client: Client, done: () => void): void {
    const { areas, histories, observer } = this.#cluster
    const { noSpace } = observer.access
    const group = areas[0]!
    const { version } = noSpace
    const op = put(`${keyPrefix(group)}operator`, `operator ${++this.#serial}`)
    client.askKv(group, histories.get(group)!, { kind: 'write', op }, outcome => {
      if (noSpace.settled === true && noSpace.version === version) {
        const answered = outcome.kind === 'fail' ? outcome.code : outcome.kind
        const other =
          answered !== 'refused' && answered !== 'ok' && answered !== 'unknown' && isJudged(answered)
        if (answered === 'ok' || (other && answered !== 'noSpace')) throw new Violation('I50', { answered })
        this.#cluster.coverage.mark(`put under alarm ${answered}`)
      }
      done()
    })
  }
}

const alarmsAt = (node: Client['node']): readonly MemberAlarm[] =>
  node.state?.groups.get(META_GROUP)?.machine.meta?.alarms.active ?? []
