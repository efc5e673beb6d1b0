import type { RawResponse } from '@kvorum/client'
import { formatBytes } from '../format/bytes.js'
import { toJsonText } from '../format/json.js'
import { printHeaderFields, type Printer } from '../format/printer.js'

type Status = RawResponse<'etcdserverpb.Maintenance/Status'>

export const STATUS_TITLES = [
  'ENDPOINT',
  'ID',
  'VERSION',
  'DB SIZE',
  'IS LEADER',
  'IS LEARNER',
  'RAFT TERM',
  'RAFT INDEX',
  'RAFT APPLIED INDEX',
  'ERRORS',
]

export const statusRow = (endpoint: string, status: Status): string[] => [
  endpoint,
  (status.header?.member_id ?? 0n).toString(16),
  status.version,
  formatBytes(status.dbSize),
  String(isLeader(status)),
  String(status.isLearner),
  String(status.raftTerm),
  String(status.raftIndex),
  String(status.raftAppliedIndex),
  status.errors.join('; '),
]

const isLeader = ({ header, leader }: Status): boolean => leader !== 0n && leader === header?.member_id

export function statusFields(out: Printer, endpoint: string, status: Status): void {
  printHeaderFields(out, status.header)
  out.field('Version', Buffer.from(status.version))
  out.field('DBSize', status.dbSize)
  out.field('Leader', status.leader)
  out.field('IsLearner', status.isLearner)
  out.field('RaftIndex', status.raftIndex)
  out.field('RaftTerm', status.raftTerm)
  out.field('RaftAppliedIndex', status.raftAppliedIndex)
  out.field('Errors', toJsonText(status.errors))
  out.field('Endpoint', Buffer.from(endpoint))
  out.line('')
}
