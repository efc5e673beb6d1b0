import { compare, connect, KvorumError, op, type Entry, type KvorumClient } from '@kvorum/client'
import { DEADLINE_MS, holds, pause } from './until.js'

const ACCOUNT = 'account/'
const RECEIPT = 'receipt/'
const INITIAL = 100
const ATTEMPT_MS = 2_000
const PACE_MS = 5
const BACK_OFF_MS = 40

export interface BankOptions {
  /** One account each: `account/<name>`. */
  readonly names: readonly string[]
  /** Transfers under way at a time; each worker leaves its receipts at `receipt/<worker>`. */
  readonly workers: number
}

/** What is found when everything is over; all but the first four must be empty or 0. */
export interface BankReport {
  readonly transfers: number
  /** Attempts that lost against another transfer, and were made again. */
  readonly conflicts: number
  /** Attempts that had no answer, or an error: made again, or found to have happened. */
  readonly repeated: number
  readonly revision: number
  /** Transfers that were given up. */
  readonly failed: readonly string[]
  /** Reads and revisions at which money was missing, or too much of it. */
  readonly wrongSums: readonly string[]
  /** Watches: what was missed, doubled, or out of order. */
  readonly wrongWatches: readonly string[]
}

/**
 * Money that goes from account to account in transactions: none is ever made or lost, at no revision. Each transfer
 * writes a receipt and is bound to what it has read, so that one that had no answer can be repeated without being
 * carried out twice. A watch at every endpoint and one over all see everything from the first revision on.
 */
export class Bank {
  readonly #options: BankOptions
  readonly #endpoints: readonly string[]
  readonly #clients: KvorumClient[] = []
  readonly #workers: Promise<void>[] = []
  readonly #watches: Watched[] = []
  /** Receipts of the transfers that were acknowledged, with their revisions. */
  readonly #acknowledged = new Map<string, number>()
  readonly #wrongSums: string[] = []
  readonly #failed: string[] = []
  #conflicts = 0
  #repeated = 0
  #stopping = false

  private constructor(endpoints: readonly string[], options: BankOptions) {
    this.#endpoints = endpoints
    this.#options = options
  }

  static async open(endpoints: readonly string[], options: BankOptions): Promise<Bank> {
    const bank = new Bank(endpoints, options)
    const client = await bank.#connect(endpoints)
    await client.txn({ success: options.names.map(name => op.put(ACCOUNT + name, String(INITIAL))) })
    bank.watch('all', endpoints)
    for (let worker = 0; worker < options.workers; worker++)
      bank.#workers.push(bank.#work(await bank.#connect(endpoints), String(worker)))
    return bank
  }

  get transfers(): number {
    return this.#acknowledged.size
  }

  /** One more watch, which knows only these endpoints and has to see all that the others see. */
  watch(name: string, endpoints: readonly string[]): void {
    const watched: Watched = { name, changes: [], failure: null }
    this.#watches.push(watched)
    void this.#follow(watched, endpoints)
  }

  async progress(transfers: number): Promise<void> {
    const wanted = this.transfers + transfers
    await holds(`${transfers} more transfers`, () => this.transfers >= wanted)
  }

  async #connect(endpoints: readonly string[]): Promise<KvorumClient> {
    const client = await connect({ endpoints, timeoutMs: ATTEMPT_MS, attemptTimeoutMs: ATTEMPT_MS })
    this.#clients.push(client)
    return client
  }

  async #work(client: KvorumClient, worker: string): Promise<void> {
    for (let number = 1; !this.#stopping; number++) {
      const receipt = `${worker}-${number}`
      const deadline = performance.now() + DEADLINE_MS
      while (!(await this.#attempt(client, worker, receipt))) {
        if (performance.now() > deadline) {
          this.#failed.push(receipt)
          return
        }
        await pause(BACK_OFF_MS)
      }
      await pause(PACE_MS)
    }
  }

  /** Whether the transfer is known to have happened. */
  async #attempt(client: KvorumClient, worker: string, receipt: string): Promise<boolean> {
    try {
      const { entries, revision } = await client.range({ start: ACCOUNT, end: `${RECEIPT}~` })
      const found = new Map(entries.map(entry => [entry.name, entry]))
      this.#checkSum(found, `read at ${revision}`)
      const before = found.get(RECEIPT + worker)
      if (before?.text() === receipt) {
        this.#acknowledged.set(receipt, before.modRevision)
        return true
      }
      return await this.#transfer(client, { worker, receipt, before, found })
    } catch (error) {
      if (!(error instanceof KvorumError)) throw error
      this.#repeated++
      return false
    }
  }

  async #transfer(client: KvorumClient, { worker, receipt, before, found }: Transfer): Promise<boolean> {
    const [from, to] = this.#anyTwo().map(name => found.get(ACCOUNT + name)!)
    const amount = Math.ceil((Number(from!.text()) * Math.random()) / 2)
    const { succeeded, revision } = await client.txn({
      compares: [
        compare.mod(from!.key, '=', from!.modRevision),
        compare.mod(to!.key, '=', to!.modRevision),
        compare.mod(RECEIPT + worker, '=', before?.modRevision ?? 0),
      ],
      success: [
        op.put(from!.key, String(Number(from!.text()) - amount)),
        op.put(to!.key, String(Number(to!.text()) + amount)),
        op.put(RECEIPT + worker, receipt),
      ],
    })
    if (succeeded) this.#acknowledged.set(receipt, revision)
    else this.#conflicts++
    return succeeded
  }

  #anyTwo(): [string, string] {
    const { names } = this.#options
    const first = Math.floor(Math.random() * names.length)
    const second = (first + 1 + Math.floor(Math.random() * (names.length - 1))) % names.length
    return [names[first]!, names[second]!]
  }

  #checkSum(accounts: ReadonlyMap<string, Entry>, when: string): void {
    const balances = new Map([...accounts].map(([name, entry]) => [name, entry.text()]))
    const wrong = wrongSum(balances, this.#options.names.length * INITIAL)
    if (wrong !== null) this.#wrongSums.push(`${when}: ${wrong}`)
  }

  async #follow(watched: Watched, endpoints: readonly string[]): Promise<void> {
    try {
      const client = await this.#connect(endpoints)
      for await (const { revision, events } of client.watch({ all: true }, { from: 1 }).batches()) {
        const changed = events.map(({ entry }) => [entry.name, entry.text()] as const)
        if (changed.length > 0) watched.changes.push({ revision, changed })
      }
    } catch (error) {
      watched.failure = error instanceof Error ? error.message : 'it ended'
    }
  }

  /** Ends the transfers, waits for the watches to see the last one, and looks at everything. */
  async close(): Promise<BankReport> {
    this.#stopping = true
    await Promise.all(this.#workers)
    const client = await this.#connect(this.#endpoints)
    const last = await client.put(`${RECEIPT}last`, 'last', { timeoutMs: DEADLINE_MS })
    const { entries } = await client.range({ all: true }, { timeoutMs: DEADLINE_MS })
    const end = new Map(entries.map(entry => [entry.name, entry.text()]))
    for (const watched of this.#watches)
      await holds(
        `the watch of ${watched.name} to see the end`,
        () => watched.failure !== null || watched.changes.at(-1)?.revision === last.revision,
      )
    await Promise.all(this.#clients.map(each => each.close()))
    return {
      transfers: this.transfers,
      conflicts: this.#conflicts,
      repeated: this.#repeated,
      revision: last.revision,
      failed: this.#failed,
      wrongSums: [...this.#wrongSums, ...this.#sumsOver(this.#watches[0]!)],
      wrongWatches: this.#watches.flatMap(watched =>
        [...this.#missedBy(watched, end)].map(what => `${watched.name}: ${what}`),
      ),
    }
  }

  /** At every revision there was as much money as at the first. */
  *#sumsOver({ changes }: Watched): Generator<string> {
    const balances = new Map<string, string>()
    for (const { revision, changed } of changes) {
      for (const [name, text] of changed) balances.set(name, text)
      const wrong = wrongSum(balances, this.#options.names.length * INITIAL)
      if (wrong !== null) yield `revision ${revision}: ${wrong}`
    }
  }

  *#missedBy({ changes, failure }: Watched, end: ReadonlyMap<string, string>): Generator<string> {
    if (failure !== null) yield failure
    const receipts = new Map<string, number>()
    const state = new Map<string, string>()
    let newest = 0
    for (const { revision, changed } of changes) {
      if (revision <= newest) yield `revision ${revision} behind ${newest}`
      newest = revision
      for (const [name, text] of changed) {
        state.set(name, text)
        if (!name.startsWith(RECEIPT)) continue
        if (receipts.has(text)) yield `${text} twice`
        receipts.set(text, revision)
      }
    }
    for (const [receipt, revision] of this.#acknowledged)
      if (receipts.get(receipt) !== revision) yield `${receipt} was not seen at ${revision}`
    for (const [name, text] of end) if (state.get(name) !== text) yield `${name} ends as ${state.get(name)}`
  }
}

interface Transfer {
  readonly worker: string
  readonly receipt: string
  readonly before: Entry | undefined
  readonly found: ReadonlyMap<string, Entry>
}

/** What one watch of all keys has seen; one record for each revision. */
interface Watched {
  readonly name: string
  readonly changes: { readonly revision: number; readonly changed: readonly (readonly [string, string])[] }[]
  failure: string | null
}

function wrongSum(found: ReadonlyMap<string, string>, expected: number): string | null {
  let sum = 0
  for (const [name, text] of found) if (name.startsWith(ACCOUNT)) sum += Number(text)
  return sum === expected ? null : `${sum}, not ${expected}`
}
