import { LIMITS, toKeyString, type GroupConfig, type Index, type LogBase, type Term } from '@kvorum/model'
import { createRaft, decodeConfig, encodeConfig, type RaftInitial } from '@kvorum/raft'
import { stepGroup } from './consensus.js'
import type { GroupMachine } from './groupMachine.js'
import type { Group, Turn } from './state.js'
import type { RecoveredGroup } from './types.js'

/**
 * Brings together what the log and the store remembered of a group. Normally the store is somewhere within the
 * log, and what lies behind it is applied again. The other cases:
 *
 *     store beyond the log, or on another branch   a snapshot was installed and the log did not hear of it: it
 *                                                  is told now
 *     store before the log's start, or half made   the store lost its state: a snapshot is asked for
 */
export function startRaft(turn: Turn, group: Group): void {
  const { recovered, machine } = group
  if (recovered === null || machine.config === null) return
  const log = judgeLog(recovered, machine)
  const { limits, seed, electionTimeoutMs, heartbeatMs } = turn.state.options
  group.raft = createRaft(
    {
      group: group.id,
      id: group.replica,
      seed: (seed + group.id) >>> 0,
      electionTimeoutMs,
      heartbeatMs,
      appendBytesMax: limits.appendBytesMax,
      inflightBytesMax: limits.inflightBytesMax,
      inflightAppendsMax: limits.inflightAppendsMax,
      cacheBytesMax: limits.raftCacheBytesMax,
      uncommittedBytesMax: limits.uncommittedBytesMax,
    },
    initialOf(turn, recovered, machine, log),
  )
  group.recovered = null
  turn.touched.add(group)
  if (log === 'storeAhead') {
    const base: LogBase = { index: machine.applied, term: machine.appliedTerm }
    stepGroup(turn, group, { kind: 'installed', base, config: machine.config.value })
  }
  if (log === 'storeLost') machine.installing = true
}

/** Most groups have the same members: one record of them serves all, and is at hand when the next group is looked at. */
function sharedConfig({ state }: Turn, config: GroupConfig): GroupConfig {
  const key = toKeyString(encodeConfig(config))
  const shared = state.configs.get(key)
  if (shared !== undefined) return shared
  if (state.configs.size >= LIMITS.sharedConfigsMax) state.configs.clear()
  state.configs.set(key, config)
  return config
}

type Verdict = 'storeWithin' | 'storeAhead' | 'storeLost'

function judgeLog(recovered: RecoveredGroup, machine: GroupMachine): Verdict {
  if (machine.installing || machine.applied < recovered.base.index) return 'storeLost'
  return termIn(recovered, machine.applied) === machine.appliedTerm ? 'storeWithin' : 'storeAhead'
}

/** The term of an entry of the recovered log; null beyond its end. */
function termIn({ base, termRuns, lastIndex }: RecoveredGroup, index: Index): Term | null {
  if (index === base.index) return base.term
  if (index > lastIndex) return null
  return termRuns.findLast(run => run.first <= index)?.term ?? null
}

function initialOf(turn: Turn, recovered: RecoveredGroup, machine: GroupMachine, log: Verdict): RaftInitial {
  const { hardState, base, termRuns, lastIndex, entries, lastTime } = recovered
  const within = log === 'storeWithin'
  const config = machine.config!
  return {
    now: turn.now,
    hardState,
    base,
    config: sharedConfig(turn, config.value),
    configIndex: within ? config.index : base.index,
    applied: within ? machine.applied : base.index,
    termRuns,
    lastIndex,
    configs: recovered.configs
      .filter(({ index }) => index > (within ? config.index : base.index))
      .map(({ index, data }) => ({ index, config: decodeConfig(data) })),
    entries,
    lastTime,
    mayVote: turn.state.admission.admitted,
    stateLost: !within,
  }
}
