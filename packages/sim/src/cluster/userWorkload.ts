import { prefixRange, utf8, type ErrorCode, type GroupId } from '@kvorum/model'
import { encodeMetaCommand, type AuthCommand } from '@kvorum/placement'
import type { KvRequest } from '../check/models/kv.js'
import { roleOfUser } from '../invariants/access.js'
import type { Switch } from '../invariants/switch.js'
import { Violation } from '../invariants/violation.js'
import { MILLISECOND, SECOND } from '../schedule.js'
import type { UserOptions } from '../swarmAccess.js'
import { Client, type Outcome } from './client.js'
import type { Cluster } from './cluster.js'
import { keyPrefix } from './plan.js'
import { get, put } from './requests.js'

/** Stands for the hash of a password. It must be nowhere but in the log: no note may hold it. */
const SECRET = 'hash of a secret'

/**
 * Users who write without end, each with a role of its own, and an administrator who takes their rights away and
 * gives them back. What they see is held against what the administrator was told (invariants/access.ts).
 */
export class UserWorkload {
  readonly #cluster: Cluster
  readonly #options: UserOptions
  readonly #users: readonly string[]
  readonly #admin: Client
  readonly #writers: readonly Client[]
  #stopped = false
  #serial = 0
  /** Clients with a request under way. */
  busy = 0

  constructor(cluster: Cluster, options: UserOptions) {
    this.#cluster = cluster
    this.#options = options
    const random = cluster.random.stream('users')
    this.#users = Array.from({ length: options.count }, (_, i) => `u${i + 1}`)
    this.#admin = new Client(cluster, random.stream('administrator'))
    this.#writers = this.#users.map(user => {
      const client = new Client(cluster, random.stream(user))
      client.user = user
      return client
    })
  }

  start(): void {
    const { schedule } = this.#cluster
    this.#inOrder(this.#foundation(), () => this.#change())
    for (const writer of this.#writers)
      schedule.after(writer.random.int(0, SECOND), 'user', () => this.#write(writer))
  }

  stop(): void {
    this.#stopped = true
  }

  /** After the faults: everybody is given every right, and has to be able to use it. `done` when all have. */
  prove(done: () => void): void {
    const { areas } = this.#cluster
    const grants = this.#users.flatMap(user => [
      () => this.#roleOf(user, true),
      ...areas.map(group => () => this.#permission(user, group, true)),
    ])
    let left = this.#writers.length * areas.length
    this.#inOrder([() => this.#enabled(true), ...grants], () => {
      for (const writer of this.#writers) {
        for (const group of areas) this.#untilWritten(writer.user, group, () => --left === 0 && done())
      }
    })
  }

  /** That no log of any node tells a secret. */
  findSecret(): string | null {
    const notes = this.#cluster.nodes.flatMap(node => node.notes)
    return notes.find(note => note.includes(SECRET)) ?? null
  }

  #foundation(): Step[] {
    const root: Step[] = [
      () => ({ command: { kind: 'userAdd', name: 'root', password: utf8(SECRET) } }),
      () => ({ command: { kind: 'userGrantRole', name: 'root', role: 'root' } }),
    ]
    const users = this.#users.flatMap((user): Step[] => [
      () => ({ command: { kind: 'userAdd', name: user, password: utf8(SECRET) } }),
      () => ({ command: { kind: 'roleAdd', role: roleOfUser(user) } }),
    ])
    return [...root, ...users, () => this.#enabled(true)]
  }

  /** One thing about one user, whatever it is now; what fails is left as it is. */
  #change(): void {
    const { random } = this.#admin
    const pause = random.exponential(this.#options.changeEvery)
    this.#cluster.schedule.after(pause, 'administrator', () => {
      if (this.#stopped) return
      this.busy++
      this.#ask(this.#draw(), () => {
        this.busy--
        this.#change()
      })
    })
  }

  #draw(): Change {
    const { random } = this.#admin
    const { access } = this.#cluster.observer
    if (this.#options.switches && (access.auth.settled === false || random.chance(0.05))) {
      return this.#enabled(access.auth.settled === false)
    }
    const user = random.pick(this.#users)
    // More often given than taken, so that both of what it takes are there half of the time.
    const on = random.chance(0.65)
    return random.chance(0.4)
      ? this.#roleOf(user, on)
      : this.#permission(user, random.pick(this.#cluster.areas), on)
  }

  #enabled(on: boolean): Change {
    return { command: { kind: on ? 'enable' : 'disable' }, turns: [this.#cluster.observer.access.auth, on] }
  }

  #roleOf(user: string, on: boolean): Change {
    const kind = on ? 'userGrantRole' : 'userRevokeRole'
    const { access } = this.#cluster.observer
    return { command: { kind, name: user, role: roleOfUser(user) }, turns: [access.role(user), on] }
  }

  #permission(user: string, group: GroupId, on: boolean): Change {
    const prefix = keyPrefix(group)
    const { end } = prefixRange(utf8(prefix))
    const range = { key: utf8(prefix), rangeEnd: end! }
    const role = roleOfUser(user)
    return {
      command: on
        ? { kind: 'roleGrant', role, permission: { type: 'readwrite', ...range } }
        : { kind: 'roleRevoke', role, ...range },
      turns: [this.#cluster.observer.access.permission(user, prefix), on],
    }
  }

  #ask({ command, turns }: Change, done: (outcome: Outcome) => void): void {
    const asked = turns?.[0].asked(turns[1])
    const request = { kind: 'meta' as const, command: encodeMetaCommand({ kind: 'auth', command }) }
    this.#cluster.coverage.mark(`auth ${command.kind}`)
    this.#admin.ask(request, outcome => {
      if (outcome.kind === 'ok' && asked !== undefined) turns![0].acknowledged(asked)
      done(outcome)
    })
  }

  /** Each until it is done, or was done already. */
  #inOrder(steps: readonly Step[], done: () => void): void {
    const [first, ...others] = steps
    if (first === undefined) {
      done()
      return
    }
    this.busy++
    this.#ask(first(), outcome => {
      this.busy--
      const isDone = outcome.kind === 'ok' || (outcome.kind === 'fail' && THERE.has(outcome.code))
      const again = 50 * MILLISECOND
      if (isDone) this.#inOrder(others, done)
      else this.#cluster.schedule.after(again, 'administrator', () => this.#inOrder(steps, done))
    })
  }

  #write(writer: Client): void {
    const { random } = writer
    if (this.#stopped) return
    this.busy++
    this.#judged(writer, random.pick(this.#cluster.areas), random.chance(0.3), () => {
      this.busy--
      const pause = random.exponential(200 * MILLISECOND)
      this.#cluster.schedule.after(pause, 'user', () => this.#write(writer))
    })
  }

  #untilWritten(user: string, group: GroupId, done: () => void): void {
    const client = new Client(this.#cluster, this.#cluster.random.stream(`proof ${user} ${group}`))
    client.user = user
    const again = (): void => {
      this.#judged(client, group, false, outcome => {
        if (outcome.kind === 'ok') done()
        else this.#cluster.schedule.after(100 * MILLISECOND, 'user', again)
      })
    }
    again()
  }

  /** A read or a write in the user's name, and I49 by its answer. */
  #judged(client: Client, group: GroupId, reads: boolean, done: (outcome: Outcome) => void): void {
    const { access } = this.#cluster.observer
    const { user, random } = client
    const key = `${keyPrefix(group)}${random.int(0, 3)}`
    const value = `${user}.${++this.#serial}`
    access.owns(value, user, group)
    const request: KvRequest = reads
      ? { kind: 'read', op: get(key), serializable: false }
      : { kind: 'write', op: put(key, value) }
    const before = access.verdict(user, keyPrefix(group))
    client.askKv(group, this.#cluster.histories.get(group)!, request, outcome => {
      const { verdict, version } = access.verdict(user, keyPrefix(group))
      const held = version === before.version
      const denied = outcome.kind === 'fail' && outcome.code === 'permissionDenied'
      const wrong = (verdict === 'shut' && outcome.kind === 'ok') || (verdict === 'open' && denied)
      if (held && wrong) throw new Violation('I49', { user, group, verdict, answered: outcome.kind })
      if (held) this.#cluster.coverage.mark(`user ${verdict} ${denied ? 'denied' : outcome.kind}`)
      done(outcome)
    })
  }
}

interface Change {
  readonly command: AuthCommand
  /** What it turns on or off. */
  readonly turns?: readonly [Switch, boolean]
}

type Step = () => Change

/** Refusals which say that an earlier sending, whose answer was lost, did it. */
const THERE: ReadonlySet<ErrorCode | 'refused'> = new Set<ErrorCode>(['userExists', 'roleExists'])
