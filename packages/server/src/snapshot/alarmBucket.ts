import { LIMITS, nodeId, type MemberAlarm } from '@kvorum/model'
import { restoredAlarms, type Alarms } from '@kvorum/placement'
import { codec, toAlarm, toAlarmKind } from '@kvorum/protocol'
import { BboltError } from '@kvorum/storage'
import type { BucketEntry } from './authBuckets.js'
import { entriesOf, type SourceFile } from './sourceFile.js'

/** Alarms in etcd's bucket: the key is the message, and there is no value. */
const ALARM = codec('etcdserverpb.AlarmMember')

export const alarmEntries = ({ active }: Alarms): BucketEntry[] =>
  active
    .map(alarm => [ALARM.encode(toAlarm(alarm)), Buffer.alloc(0)] as const)
    .sort(([a], [b]) => Buffer.compare(a, b))

/** They name members of the cluster that the file is from, and hold all the same, as in etcd. */
export async function readAlarms(source: SourceFile): Promise<Alarms> {
  const active: MemberAlarm[] = []
  for await (const page of entriesOf(source, 'alarm')) {
    for (const { key } of page) {
      const { memberID, alarm: type } = ALARM.decode(key)
      const alarm = toAlarmKind(type)
      if (alarm !== null) active.push({ member: nodeId(memberID), alarm })
    }
  }
  if (active.length > LIMITS.alarmsMax) throw new BboltError('there are more alarms than can be taken')
  return restoredAlarms(active)
}
