import type { Op } from '@kvorum/model'
import { checkBank } from '../check/bank.js'
import type { Anomaly } from '../check/anomaly.js'
import { Recorder } from '../check/history.js'
import type { KvRequest } from '../check/models/kv.js'
import type { Client, Outcome } from './client.js'
import type { Cluster } from './cluster.js'
import { get, modIs, put } from './requests.js'

/** What an account that nobody has written yet holds. */
const OPENING = 100
const ACCOUNTS = 6

/**
 * Transfers between accounts, which lie in all areas; and reads of all accounts at one revision, whose sum never
 * changes. No account is ever overdrawn.
 */
export class BankWorkload {
  readonly #cluster: Cluster
  readonly #accounts: readonly string[]
  #serial = 0
  readonly #reads: Recorder<null, readonly number[] | null>

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    const { areas, schedule } = cluster
    this.#accounts = Array.from({ length: ACCOUNTS }, (_, i) => `g${areas[i % areas.length]!}b/${i}`)
    this.#reads = new Recorder(() => schedule.now)
  }

  next(client: Client, done: (outcome: Outcome) => void): void {
    if (client.random.chance(0.4)) this.#sum(client, done)
    else this.#transfer(client, done)
  }

  /** By the sums that were read. */
  judge(): Anomaly[] {
    return checkBank(this.#reads.history(), { total: ACCOUNTS * OPENING, overdraft: false })
  }

  #sum(client: Client, done: (outcome: Outcome) => void): void {
    const id = this.#reads.call(client.number, null)
    this.#look(client, this.#accounts, (outcome, found) => {
      if (found === null) this.#reads.fail(id)
      else {
        this.#cluster.coverage.mark('bank sum')
        this.#reads.ok(
          id,
          found.map(({ balance }) => balance),
        )
      }
      done(outcome)
    })
  }

  #transfer(client: Client, done: (outcome: Outcome) => void): void {
    const { random } = client
    const pair = random.shuffle(this.#accounts).slice(0, 2)
    this.#look(client, pair, (outcome, found) => {
      const [from, to] = found ?? []
      if (from === undefined || to === undefined || from.balance === 0) {
        done(outcome)
        return
      }
      const amount = random.int(1, from.balance)
      const op: Op = {
        kind: 'txn',
        compares: [modIs(pair[0]!, from.mod), modIs(pair[1]!, to.mod)],
        success: [
          put(pair[0]!, this.#value(from.balance - amount)),
          put(pair[1]!, this.#value(to.balance + amount)),
        ],
        failure: [],
      }
      this.#ask(client, { kind: 'write', op }, (end, reply) => {
        if (reply?.kind === 'txn' && reply.succeeded) this.#cluster.coverage.mark('bank transfer')
        done(end)
      })
    })
  }

  /** Unique in the run, as all values are that tell who wrote them. */
  #value(balance: number): string {
    return `${balance} of transfer ${++this.#serial}`
  }

  #look(
    client: Client,
    accounts: readonly string[],
    done: (outcome: Outcome, found: readonly { balance: number; mod: number }[] | null) => void,
  ): void {
    const op = { kind: 'txn', compares: [], success: accounts.map(get), failure: [] } as const
    this.#ask(client, { kind: 'read', op, serializable: false }, (outcome, reply) => {
      if (reply?.kind !== 'txn') {
        done(outcome, null)
        return
      }
      const found = reply.responses.map(response => (response.kind === 'range' ? response.kvs[0] : undefined))
      done(
        outcome,
        found.map(kv => ({
          balance: kv === undefined ? OPENING : Number.parseInt(Buffer.from(kv.value).toString()),
          mod: kv?.mod ?? 0,
        })),
      )
    })
  }

  #ask(client: Client, request: KvRequest, done: (outcome: Outcome, reply: Reply) => void): void {
    const [area] = this.#cluster.areas
    client.askKv(area!, this.#cluster.histories.get(area!)!, request, (outcome, result) => {
      done(outcome, result?.reply)
    })
  }
}

type Reply = NonNullable<Parameters<Parameters<Client['askKv']>[3]>[1]>['reply'] | undefined
