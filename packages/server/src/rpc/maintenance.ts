import { ok, refuse } from '@kvorum/model'
import { ERRORS, pb } from '@kvorum/protocol'
import { responseHeader, termFloor } from '../edge/edge.js'
import { ETCD_API_VERSION } from '../version.js'
import type { Unary } from './handler.js'

/** What this node knows, without asking anybody: it works, and says so, also when there is no leader. */
export const status: Unary<'etcdserverpb.Maintenance/Status'> = edge => {
  const known = edge.node.status()
  return Promise.resolve(
    ok({
      header: responseHeader(edge, known.header),
      version: ETCD_API_VERSION,
      dbSize: known.diskBytes,
      dbSizeInUse: known.logicalBytes,
      leader: known.leader,
      raftIndex: known.committed,
      raftAppliedIndex: known.applied,
      raftTerm: termFloor(edge, known.term),
      errors: known.leader === 0n ? [ERRORS.noLeader.text, ...known.problems] : known.problems,
      isLearner: known.learner,
    }),
  )
}

/** There is no alarm yet that could be raised, so the list is empty; clients ask for it to judge health. */
export const alarm: Unary<'etcdserverpb.Maintenance/Alarm'> = (edge, request) =>
  Promise.resolve(
    request.action === pb.AlarmRequestAlarmAction.GET
      ? ok({ header: responseHeader(edge, edge.node.status().header) })
      : refuse('unimplemented', { detail: 'alarms cannot be set by hand yet' }),
  )
