/**
 * The simulator: everything a run needs to be drawn from one seed, and everything that judges it.
 *
 *     seed -> Random -> drawSwarm -> options of the run
 *                  \
 *                   Schedule (virtual time, trace hash) <-> Network, NodeClock
 *                                   |
 *                  Observation -> InvariantSet, WatchValidator, LeaseIntervals    at every event
 *                  Recorder -> History -> checkRevisionOrder, checkLinearizable,
 *                                         checkListAppend, checkBank              at the end
 */
export * from './clock.js'
export * from './coverage.js'
export * from './raftLens.js'
export * from './random.js'
export * from './schedule.js'
export * from './swarm.js'
export type * from './swarmAccess.js'
export * from './trace.js'

export type { ConnectionId } from './network/connections.js'
export * from './network/faults.js'
export * from './network/network.js'
export * from './network/partition.js'

export * from './check/anomaly.js'
export * from './check/bank.js'
export * from './check/dependencyCycles.js'
export * from './check/graph.js'
export * from './check/history.js'
export * from './check/kvReference.js'
export * from './check/kvView.js'
export * from './check/linearizability.js'
export * from './check/listAppend.js'
export * from './check/model.js'
export * from './check/models/kv.js'
export * from './check/models/register.js'
export * from './check/models/set.js'
export * from './check/revisionOrder.js'

export * from './invariants/configurations.js'
export * from './invariants/invariantSet.js'
export * from './invariants/leases.js'
export * from './invariants/ledger.js'
export * from './invariants/logShadow.js'
export * from './invariants/observation.js'
export * from './invariants/storeHashes.js'
export * from './invariants/violation.js'
export * from './invariants/watches.js'

export { planRun, type PlanOptions, type RunPlan } from './cluster/plan.js'
export { PROFILES, type ProfileName } from './cluster/profiles.js'
export { runSeed, type SeedReport } from './cluster/runSeed.js'
export { REGRESS_SEEDS, type RegressSeed } from './regressSeeds.js'
