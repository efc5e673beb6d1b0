import {
  sessionId,
  type GroupId,
  type Index,
  type LeaseId,
  type SessionId,
  type SessionTag,
} from '@kvorum/model'

interface Known {
  readonly lease: LeaseId
  acknowledgedBelow: number
  readonly seen: Set<number>
}

/** Which writes of which sessions a group's log has carried out, or refused for good. */
export class SessionTruth {
  readonly #group: GroupId
  readonly #sessions = new Map<SessionId, Known>()

  constructor(group: GroupId) {
    this.#group = group
  }

  open(lease: LeaseId, index: Index): boolean {
    if ([...this.#sessions.values()].some(session => session.lease === lease)) return false
    // The machine promises an id made of group and index.
    const id = sessionId(BigInt(this.#group) * 2n ** 53n + BigInt(index))
    this.#sessions.set(id, { lease, acknowledgedBelow: 1, seen: new Set() })
    return true
  }

  /** Of the session, if it lives and never had this sequence; else null. */
  leaseOf({ session, sequence }: SessionTag): LeaseId | null {
    const known = this.#sessions.get(session)
    if (known === undefined || known.seen.has(sequence) || sequence < known.acknowledgedBelow) return null
    return known.lease
  }

  answered({ session, sequence, acknowledgedBelow }: SessionTag): void {
    const known = this.#sessions.get(session)
    if (known === undefined) return
    known.acknowledgedBelow = Math.max(known.acknowledgedBelow, acknowledgedBelow)
    known.seen.add(sequence)
  }

  ended(ended: LeaseId): void {
    for (const [id, { lease }] of this.#sessions) if (lease === ended) this.#sessions.delete(id)
  }
}
