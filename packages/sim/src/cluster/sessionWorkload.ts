import { decodeReply, leaseId, type LeaseId, type SessionId } from '@kvorum/model'
import type { KvRequest } from '../check/models/kv.js'
import type { Random } from '../random.js'
import type { Client, Outcome } from './client.js'
import type { Cluster } from './cluster.js'

/** What a client remembers of its session. */
interface OpenSession {
  readonly id: SessionId
  readonly lease: LeaseId
  sequence: number
}

/**
 * Clients that send a write again and again, through whatever node, until they know how it ended. Each opens a
 * session on a lease of its own and keeps it until it is told that it has gone.
 */
export class SessionWorkload {
  readonly #cluster: Cluster
  readonly #write: (random: Random) => KvRequest & { kind: 'write' }
  readonly #sessions = new Map<Client, OpenSession>()
  #leases = 0

  constructor(cluster: Cluster, write: (random: Random) => KvRequest & { kind: 'write' }) {
    this.#cluster = cluster
    this.#write = write
  }

  next(client: Client, done: (outcome: Outcome) => void): void {
    const session = this.#sessions.get(client)
    if (session === undefined) this.#open(client, done)
    else if (client.random.chance(0.15)) this.#keepAlive(client, session, done)
    else this.#send(client, session, done)
  }

  #send(client: Client, session: OpenSession, done: (outcome: Outcome) => void): void {
    const { areas, histories } = this.#cluster
    const group = areas[0]!
    const sequence = ++session.sequence
    // Some acknowledge late, so that the machine keeps more than one answer.
    const acknowledgedBelow = Math.max(1, sequence - client.random.pick([0, 0, 1, 5]))
    const ended = (outcome: Outcome): void => {
      if (outcome.kind === 'unknown') this.#sessions.delete(client)
      done(outcome)
    }
    client.askKv(group, histories.get(group)!, this.#write(client.random), ended, {
      session: session.id,
      sequence,
      acknowledgedBelow,
    })
  }

  #open(client: Client, done: (outcome: Outcome) => void): void {
    const lease = leaseId(BigInt(500_000 + ++this.#leases))
    const { leases } = this.#cluster.observer
    client.ask({ kind: 'leaseGrant', id: lease, ttl: client.random.int(2, 20) }, (granted, call) => {
      if (granted.kind !== 'ok') {
        done(granted)
        return
      }
      leases.renewed(lease, call - LEASE_SLACK)
      client.ask({ kind: 'sessionOpen', lease }, opened => {
        if (opened.kind === 'ok') {
          const reply = decodeReply(opened.result.value.body)
          if (reply.kind === 'sessionOpened') {
            this.#sessions.set(client, { id: reply.id, lease, sequence: 0 })
          }
        }
        done(opened)
      })
    })
  }

  #keepAlive(client: Client, { lease }: OpenSession, done: (outcome: Outcome) => void): void {
    client.ask({ kind: 'leaseKeepAlive', id: lease }, (outcome, call) => {
      if (outcome.kind === 'ok') {
        const reply = decodeReply(outcome.result.value.body)
        if (reply.kind === 'leaseRenewed' && reply.ttl > 0) {
          this.#cluster.observer.leases.renewed(lease, call - LEASE_SLACK)
        }
      }
      done(outcome)
    })
  }
}

/** As for the leases of other clients: the node counts from when it took the request. */
const LEASE_SLACK = 2_000
