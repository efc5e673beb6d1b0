import type { Revision } from '@kvorum/model'
import type { Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

interface Write {
  sent: number
  refused: number
  session: boolean
  readonly applied: Revision[]
}

/**
 * I40: on one connection serializable reads do not go back. I41: a write is applied at most as often as it was
 * sent, and once if it belongs to a session. I42: what was refused as "definitely not applied" never shows,
 * whichever comes first.
 *
 * (I39, linearizability, is a property of whole histories: see the checkers.)
 */
export class ClientEffects implements Invariant {
  readonly kinds: readonly ObservationKind[] = [
    'writeSent',
    'writeRefused',
    'writeAnswered',
    'writeApplied',
    'localRead',
  ]
  readonly #writes = new Map<string, Write>()
  readonly #reads = new Map<number, { connection: number; revision: Revision }>()

  readonly #answered = new Map<string, Revision>()
  readonly #oracle: boolean

  /** `oracle`: writes may be of several groups. */
  constructor(options: { readonly oracle?: boolean } = {}) {
    this.#oracle = options.oracle === true
  }

  observe(observation: Observation): void {
    switch (observation.kind) {
      case 'writeSent': {
        const write = this.#write(observation.value)
        write.sent++
        write.session = observation.session
        return
      }
      case 'writeRefused':
        this.#write(observation.value).refused++
        this.#check(observation.value)
        return
      case 'writeApplied':
        this.#write(observation.value).applied.push(observation.revision)
        this.#check(observation.value)
        return
      case 'writeAnswered': {
        const { value, revision } = observation
        // Of a transaction over several groups the decision is applied; the other groups' parts come later.
        if (this.#oracle) this.#answered.set(value, revision)
        else this.#checkAnswered(value, revision)
        return
      }
      case 'localRead':
        this.#checkRead(observation)
        return
      default:
    }
  }

  #write(value: string): Write {
    let write = this.#writes.get(value)
    if (write === undefined) {
      write = { sent: 0, refused: 0, session: false, applied: [] }
      this.#writes.set(value, write)
    }
    return write
  }

  finish(): void {
    for (const [value, revision] of this.#answered) this.#checkAnswered(value, revision)
  }

  #checkAnswered(value: string, revision: Revision): void {
    const { applied } = this.#write(value)
    check(applied.includes(revision), 'I41', () => ({
      value,
      answered: revision,
      applied: applied.join(' '),
    }))
  }

  #check(value: string): void {
    const { sent, refused, session, applied } = this.#write(value)
    const most = session ? Math.min(1, sent) : sent
    check(applied.length <= most, 'I41', () => ({ value, sent, session, applied: applied.join(' ') }))
    // Each refusal speaks of one sending; as many others may have had their effect. A session's are one write.
    const possible = session ? sent : sent - refused
    check(applied.length <= possible, 'I42', () => ({ value, sent, refused, applied: applied.join(' ') }))
  }

  #checkRead({ client, connection, revision }: Extract<Observation, { kind: 'localRead' }>): void {
    const before = this.#reads.get(client)
    this.#reads.set(client, { connection, revision })
    if (before?.connection !== connection) return
    check(revision >= before.revision, 'I40', () => ({
      client,
      connection,
      revision,
      before: before.revision,
    }))
  }
}
