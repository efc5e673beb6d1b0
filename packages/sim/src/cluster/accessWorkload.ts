import { SECOND, type Micros } from '../schedule.js'
import type { Cluster } from './cluster.js'
import { Failure } from './failure.js'
import { Operator } from './operator.js'
import { UserWorkload } from './userWorkload.js'

type Demand = (what: string, time: Micros, holds: () => boolean) => void

/** What runs beside the other clients where the seed drew users or a quota. */
export class AccessWorkload {
  readonly #users: UserWorkload | null
  readonly #operator: Operator | null

  constructor(cluster: Cluster) {
    const { users, quota } = cluster.plan.swarm
    this.#users = users === null ? null : new UserWorkload(cluster, users)
    this.#operator = quota === null ? null : new Operator(cluster, quota)
  }

  start(): void {
    this.#users?.start()
    this.#operator?.start()
  }

  /** The operator goes on until `demandRights`. */
  stop(): void {
    this.#users?.stop()
    this.#operator?.pause()
  }

  get busy(): number {
    return this.#users?.busy ?? 0
  }

  /** After the faults: a quota that is used up says so, and room can be made, whatever was written before. */
  demandRoom(demand: Demand): void {
    const operator = this.#operator
    if (operator === null) return
    demand('the operator has finished', 60 * SECOND, () => !operator.busy)
    let full = false
    operator.fill(() => (full = true))
    demand('the quota is used up', 60 * SECOND, () => full)
    demand('an alarm', 20 * SECOND, () => operator.isAlarmed)
    operator.finish()
    demand('room under the quota', 60 * SECOND, () => operator.hasRoom)
  }

  /** ... and who is given a right can use it. */
  demandRights(demand: Demand): void {
    const [users, operator] = [this.#users, this.#operator]
    if (users !== null) {
      let proven = false
      users.prove(() => (proven = true))
      demand('rights that are given can be used', 60 * SECOND, () => proven)
      const note = users.findSecret()
      if (note !== null) throw new Failure('a secret is in the notes', { note })
    }
    operator?.stop()
    if (operator !== null) demand('the operator is done', 60 * SECOND, () => !operator.busy)
  }
}
