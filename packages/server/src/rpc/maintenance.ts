import { ok, type MemberAlarm, type NodeStatus } from '@kvorum/model'
import { ERRORS } from '@kvorum/protocol'
import { responseHeader, termFloor } from '../edge/edge.js'
import { ETCD_API_VERSION, ETCD_CLUSTER_VERSION } from '../version.js'
import type { Unary } from './handler.js'

/** What this node knows, without asking anybody: it works, and says so, also when there is no leader. */
export const status: Unary<'etcdserverpb.Maintenance/Status'> = edge => {
  const known = edge.node.status()
  return Promise.resolve(
    ok({
      header: responseHeader(edge, known.header),
      version: ETCD_API_VERSION,
      // The store's files hold less than that as long as the newest writes are only in the log.
      dbSize: Math.max(known.diskBytes, known.logicalBytes),
      dbSizeInUse: known.logicalBytes,
      dbSizeQuota: known.quotaBytes,
      leader: known.leader,
      raftIndex: known.committed,
      raftAppliedIndex: known.applied,
      raftTerm: termFloor(edge, known.term),
      errors: errorsOf(known),
      isLearner: known.learner,
      storageVersion: ETCD_CLUSTER_VERSION,
      downgradeInfo: { enabled: false, targetVersion: '' },
    }),
  )
}

const errorsOf = ({ leader, problems, alarms }: NodeStatus): string[] => [
  ...(leader === 0n ? [ERRORS.noLeader.text] : []),
  ...alarms.map(alarmText),
  ...problems,
]

const ALARM_NAMES = { noSpace: 'NOSPACE', corrupt: 'CORRUPT' } as const

/** As etcd writes an alarm, with the space behind it. */
const alarmText = ({ member, alarm }: MemberAlarm): string =>
  `memberID:${member} alarm:${ALARM_NAMES[alarm]} `

/** There is nothing to defragment: the state store does that by itself. As in etcd, the answer has no header. */
export const defragment: Unary<'etcdserverpb.Maintenance/Defragment'> = () => Promise.resolve(ok({}))
