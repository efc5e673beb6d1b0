import { META_GROUP, prefixRange, utf8, type StoreRow } from '@kvorum/model'
import { MILLISECOND, SECOND, type Micros } from '../schedule.js'
import type { Cluster } from './cluster.js'
import { Failure } from './failure.js'
import { keyPrefix } from './plan.js'
import type { SimNode } from './simNode.js'
import { checksum } from './storedState.js'

type Demand = (cluster: Cluster, what: string, time: Micros, holds: () => boolean) => void

const namedAt = ({ state }: SimNode): readonly bigint[] =>
  (state?.groups.get(META_GROUP)?.machine.meta?.alarms.active ?? [])
    .filter(({ alarm }) => alarm === 'corrupt')
    .map(({ member }) => member)

/** I51: nobody is called corrupt whose data nobody has touched. */
export function demandNobodyNamed(cluster: Cluster): void {
  for (const node of cluster.nodes)
    if (namedAt(node).length > 0)
      throw new Failure('I51: a sound member is called corrupt', {
        at: node.station,
        named: namedAt(node).join(),
      })
}

/**
 * I52: one row of one member is changed behind its back, with a checksum that fits. Whoever compares finds that member
 * and no other: the leader's checks name it, or it ends at its next start.
 */
export function tamper(cluster: Cluster, nodes: readonly SimNode[], demand: Demand): void {
  const { upkeep } = cluster.plan.swarm
  const isWhole =
    nodes.length >= 3 &&
    nodes.length === cluster.nodes.length &&
    nodes.every(({ corruptGroups }) => corruptGroups.length === 0)
  if (upkeep === null || !isWhole || !(upkeep.checkAtStart || upkeep.checkEveryMs > 0)) return
  const victim = cluster.random.stream('tampering').pick(nodes)
  demand(cluster, 'the rows are in the store', 20 * SECOND, () => {
    const { overlay, flushing } = victim.state ?? {}
    return overlay?.activeBytes === 0 && overlay.frozen.length === 0 && flushing?.out === null
  })
  const row = someRow(cluster, victim)
  if (row === null) return
  cluster.coverage.mark('tampered')
  victim.damaged = true
  victim.engine.batchSync([{ key: row.key, value: changed(row) }], { sync: true })
  if (upkeep.checkEveryMs === 0) {
    victim.crash(false)
    victim.start()
    demand(cluster, 'I52: a member whose data differs ends', 60 * SECOND, () => victim.status === 'failed')
    return
  }
  // Its own check at the start, when it is not through yet, may come first.
  const isStarting = victim.state?.groups.get(cluster.dataGroups[0]!)?.checking.trusted === false
  const patience = 60 * SECOND + 20 * upkeep.checkEveryMs * MILLISECOND
  demand(
    cluster,
    'I52: a member whose data differs is named',
    patience,
    () =>
      (isStarting && victim.status === 'failed') ||
      nodes.every(node => namedAt(node).length > 0 || node.status !== 'up'),
  )
  for (const node of nodes)
    if (namedAt(node).some(member => member !== victim.id))
      throw new Failure('I51: another member is named', {
        named: namedAt(node).join(),
        victim: `${victim.id}`,
      })
}

/** The newest version of some key. */
const VERSIONS = Buffer.from('C')

function someRow(cluster: Cluster, { engine }: SimNode): StoreRow | null {
  const keys = prefixRange(Buffer.concat([VERSIONS, utf8(keyPrefix(cluster.dataGroups[0]!))]))
  const scan = { gte: keys.start, lt: keys.end!, reverse: false, values: true, rowsMax: 1, bytesMax: 1 }
  return engine.fetchSync({ gets: [], scans: [scan] }).pages[0]!.rows[0] ?? null
}

function changed({ key, value }: StoreRow): Uint8Array {
  const other = Buffer.from(value)
  other[other.length - 1]! ^= 1
  other.writeUInt32BE(checksum(other.subarray(4), checksum(key)), 0)
  return other
}
