import {
  META_GROUP,
  type ClientRequest,
  type GroupId,
  type Incarnation,
  type JoinAnswer,
  type JoinRequest,
  type NodeId,
} from '@kvorum/model'
import { isSettled, joinAnswer, votersOf, type Bootstrap, type NodeState } from '@kvorum/node'
import { decodeMetaRow, FIRST_MAP, formerMember, META_ROW, seatOf, type MetaRow } from '@kvorum/placement'
import type { MemoryEngine, Recovered } from '@kvorum/storage'
import { MILLISECOND, type Schedule } from '../schedule.js'
import type { Answered, Joins, NodeConfig } from './nodeConfig.js'

/** What a start begins with, as the server finds it out: by its flags, from its directory, or by asking. */
export type Place =
  | { readonly kind: 'known'; readonly bootstrap: Bootstrap }
  | { readonly kind: 'ask'; readonly incarnation: Incarnation }

export function placeOf(
  { bootstrap, joins }: NodeConfig,
  self: NodeId,
  engine: MemoryEngine,
  directory: Incarnation | null,
): Place {
  const meta = metaRowIn(engine)
  if (joins === null) {
    const known =
      meta === null
        ? bootstrap
        : {
            ...bootstrap,
            nodes: meta.nodes,
            shards: meta.shards.shards,
            mapChanged: isChanged(meta),
            placed: isPlaced(meta),
          }
    return { kind: 'known', bootstrap: known }
  }
  const seat = meta === null ? undefined : (seatOf(meta, self) ?? formerMember(meta, self))
  if (directory === null || meta === null || seat === undefined) {
    return { kind: 'ask', incarnation: directory ?? (0n as Incarnation) }
  }
  const { shards } = meta.shards
  return {
    kind: 'known',
    bootstrap: {
      nodes: meta.nodes,
      metaConfig: votersOf([]),
      shards,
      mapChanged: isChanged(meta),
      placed: isPlaced(meta),
      joined: seat.replica,
    },
  }
}

const isPlaced = ({ placement }: MetaRow): boolean => placement.shards.length > 0

const isChanged = ({ shards }: MetaRow): boolean => shards.version > FIRST_MAP

function metaRowIn(engine: MemoryEngine): MetaRow | null {
  const row = engine.fetchSync({ gets: [META_ROW], scans: [] }).values[0] ?? null
  return row === null ? null : decodeMetaRow(row)
}

export const placeByAnswer = (answer: Extract<JoinAnswer, { kind: 'member' }>): Bootstrap => ({
  nodes: answer.members.map(({ node, peerUrls }) => ({
    id: node,
    name: '',
    peerUrls,
    clientUrls: [],
    learner: false,
    serverVersion: '',
  })),
  metaConfig: votersOf([]),
  shards: answer.shards.map(shard => ({ ...shard, replicas: [] })),
  joined: answer.replica,
})

type Decided = Exclude<JoinAnswer, { readonly kind: 'later' }>

/** Asks again and again, for as long as it waits for that, until somebody can tell. */
export function askToJoin(
  joins: Joins,
  incarnation: Incarnation,
  schedule: Schedule,
  waits: () => boolean,
  done: (answer: Decided) => void,
): void {
  let over = false
  joins.ask({ peerUrls: joins.peerUrls, incarnation }, answer => {
    if (over || !waits() || answer.kind === 'later') return
    over = true
    done(answer)
  })
  schedule.after(500 * MILLISECOND, 'askAgain', () => {
    if (over || !waits()) return
    over = true
    askToJoin(joins, incarnation, schedule, waits, done)
  })
}

/** One that may be asked who somebody is. */
export interface Asked {
  readonly state: NodeState | null
  request(request: ClientRequest, timeoutMs: number, answered: Answered): number | null
}

/** What the server does when a newcomer asks who it is. */
export function answerJoin(node: Asked, request: JoinRequest, answered: (answer: JoinAnswer) => void): void {
  if (node.state !== null && isSettled(node.state, request)) {
    answered(joinAnswer(node.state, request))
    return
  }
  const asked = node.request({ kind: 'barrier' }, 5_000, result => {
    const { state } = node
    if (state !== null && result !== 'lost' && result.ok) answered(joinAnswer(state, request))
    else answered({ kind: 'later' })
  })
  if (asked === null) answered({ kind: 'later' })
}

/** Those whose log is damaged; and of records that were lost nobody knows that they were not all that a group had. */
export function groupsThatFailClosed(
  { groups, groupsInDoubt }: Recovered & { readonly kind: 'recovered' },
  shards: readonly { readonly group: GroupId }[],
): readonly GroupId[] {
  const all = [META_GROUP, ...shards.map(({ group }) => group)]
  const known = new Map(groups.map(({ group, corrupt }) => [group, corrupt]))
  return all.filter(id => (known.has(id) ? known.get(id) !== null : groupsInDoubt))
}

/** Of a recovered log a node is handed only the last entries; the others are read from the disk. */
export const lastOf = <Item>(items: readonly Item[], count: number): readonly Item[] =>
  count >= items.length ? items : items.slice(items.length - count)
