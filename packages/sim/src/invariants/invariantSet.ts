import { ClientEffects } from './clientEffects.js'
import { Commits } from './commits.js'
import { Compactions } from './compactions.js'
import { Configurations } from './configurations.js'
import { Durability } from './durability.js'
import { Elections } from './elections.js'
import { FollowerProgress } from './followerProgress.js'
import { Ledger } from './ledger.js'
import { Logs } from './logs.js'
import type { Invariant, Observation, ObservationKind } from './observation.js'
import { ReplicaLives } from './replicaLives.js'
import { ReplicaPositions } from './replicaPositions.js'
import { Revisions } from './revisions.js'
import { StateMachines } from './stateMachines.js'
import { LogDeletions, RecordReads, Recoveries, StoredStates } from './storage.js'

/** All invariants over observations, fed at every event. The first that does not hold throws its Violation. */
export class InvariantSet {
  readonly ledger = new Ledger()
  readonly #all: readonly Invariant[]
  readonly #byKind = new Map<ObservationKind, Invariant[]>()
  #checked = 0

  /** `dense`: the cluster has one data group. `oracle`: there is one order over all groups. `more`: invariants of one test, or with options of their own. */
  constructor(options: {
    readonly dense: boolean
    readonly oracle?: boolean
    readonly more?: readonly Invariant[]
  }) {
    this.#all = [
      new Elections(this.ledger),
      new Logs(this.ledger),
      new Commits(this.ledger),
      new StateMachines(this.ledger),
      new ReplicaPositions(this.ledger),
      new Durability(this.ledger),
      new Configurations(this.ledger),
      new ReplicaLives(this.ledger),
      new FollowerProgress(this.ledger),
      new StoredStates(this.ledger),
      new Recoveries(),
      new LogDeletions(this.ledger),
      new RecordReads(),
      new Revisions(options),
      new Compactions(),
      new ClientEffects(options),
      ...(options.more ?? []),
    ]
    for (const invariant of this.#all) {
      for (const kind of invariant.kinds) {
        const others = this.#byKind.get(kind)
        if (others === undefined) this.#byKind.set(kind, [invariant])
        else others.push(invariant)
      }
    }
  }

  /** How many times an invariant looked at something. */
  get checked(): number {
    return this.#checked
  }

  observe(observation: Observation): void {
    for (const invariant of this.#byKind.get(observation.kind) ?? []) {
      this.#checked++
      invariant.observe(observation)
    }
    this.ledger.take(observation)
  }

  /** After the run has healed and settled. */
  finish(): void {
    for (const invariant of this.#all) invariant.finish?.()
  }
}
