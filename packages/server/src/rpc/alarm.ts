import { decodeReply, nodeId, ok, refuse, type MemberAlarm, type Result } from '@kvorum/model'
import { pb, toAlarm, toAlarmKind } from '@kvorum/protocol'
import { responseHeader, type Edge } from '../edge/edge.js'
import { requestOptions } from '../edge/requestOptions.js'
import type { Call, RequestOf, ResponseOf, Unary } from './handler.js'

type Name = 'etcdserverpb.Maintenance/Alarm'

/** Lists alarms, raises one, or takes one back. A change that changes nothing is no error and names no alarm. */
export const alarm: Unary<Name> = (edge, request, call) => {
  switch (request.action) {
    case pb.AlarmRequestAlarmAction.GET:
      return list(edge, request, call)
    case pb.AlarmRequestAlarmAction.ACTIVATE:
      return change(edge, request, call, 'raise')
    case pb.AlarmRequestAlarmAction.DEACTIVATE:
      return change(edge, request, call, 'clear')
    default:
      return Promise.resolve(refuse('malformed', { detail: 'no such action' }))
  }
}

async function list(edge: Edge, { alarm }: RequestOf<Name>, call: Call): Promise<Result<ResponseOf<Name>>> {
  const fresh = await edge.node.request({ kind: 'barrier' }, requestOptions(edge, call))
  if (!fresh.ok) return fresh
  const wanted = toAlarmKind(alarm)
  const all = alarm === pb.AlarmType.NONE
  return ok(
    responseOf(
      edge,
      edge.node.status().alarms.filter(each => all || each.alarm === wanted),
    ),
  )
}

async function change(
  edge: Edge,
  { alarm: type, memberID }: RequestOf<Name>,
  call: Call,
  change: 'raise' | 'clear',
): Promise<Result<ResponseOf<Name>>> {
  if (type === pb.AlarmType.NONE) return ok(responseOf(edge, []))
  const alarm = toAlarmKind(type)
  if (alarm === null) return refuse('malformed', { detail: 'no such alarm' })
  const member = nodeId(memberID)
  const result = await edge.node.request({ kind: 'alarm', change, member, alarm }, requestOptions(edge, call))
  if (!result.ok) return result
  const reply = decodeReply(result.value.body)
  return ok(responseOf(edge, reply.kind === 'alarms' ? reply.alarms : []))
}

const responseOf = (edge: Edge, alarms: readonly MemberAlarm[]): ResponseOf<Name> => ({
  header: responseHeader(edge, edge.node.status().header),
  alarms: alarms.map(toAlarm),
})
