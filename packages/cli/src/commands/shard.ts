import { utf8 } from '@kvorum/model'
import { pb } from '@kvorum/protocol'
import type { Command } from '../command.js'
import { text } from '../flag.js'
import type { Printer } from '../format/printer.js'
import { quote } from '../format/quote.js'
import { accepted, rejected } from '../parsed.js'
import { hex, listShards, memberNamed, nameOf, parseShard } from './shardNames.js'
import { defineVerb, NO_FLAGS } from './verb.js'

const TITLES = ['SHARD', 'FROM', 'TO', 'LEADER', 'REPLICAS', 'EPOCH', 'SIZE', 'STATE']

/** An end without a key is the end of all keys. */
const endOf = ({ end }: pb.ShardDescription): string => (end.length === 0 ? '-' : quote(end))

function stateOf(response: pb.ListShardsResponse, shard: pb.ShardDescription): string {
  const { state, split_at: at, split_right: right } = shard
  const missing = isWithoutMajority(response, shard) ? ', no majority' : ''
  if (state === pb.ShardState.SPLITTING) return `splitting at ${quote(at)} into ${right}${missing}`
  if (state === pb.ShardState.MOVING) return `moving${missing}`
  return missing === '' ? 'steady' : 'no majority'
}

/** Nobody leads it, and those of its replicas that the asked member can reach are too few to elect anybody. */
function isWithoutMajority({ nodes }: pb.ListShardsResponse, shard: pb.ShardDescription): boolean {
  const { leader_id: leader, replica_ids: replicas } = shard
  const reached = nodes.filter(({ node_id: id, connected }) => connected && replicas.includes(id))
  return leader === 0n && 2 * reached.length <= replicas.length
}

const rowsOf = (response: pb.ListShardsResponse): string[][] =>
  response.shards.map(shard => [
    String(shard.shard),
    quote(shard.start),
    endOf(shard),
    shard.leader_id === 0n ? '?' : nameOf(response, shard.leader_id),
    shard.replica_ids.map(id => nameOf(response, id)).join(' '),
    String(shard.epoch),
    String(shard.logical_bytes),
    stateOf(response, shard),
  ])

const list = defineVerb({
  name: 'shard list',
  usage: '[flags]',
  summary: 'Lists the shards: their keys, leaders, replicas, and what is being done to them.',
  details:
    `Simple output: ${TITLES.join(', ').toLowerCase()}. A shard has the keys from the first one on, and\n` +
    'below the second one (-: to the end of all keys). Its size is in bytes, of the replica on the member that is\n' +
    'asked (0: it has none). That member asks who leads the shards that are elsewhere (?: no answer in time).',
  flags: NO_FLAGS,
  rest: { least: 0, most: 0 },
  prepare: () => accepted(null),
  ask: connection => listShards(connection),
  simple: (out, response) => {
    for (const row of rowsOf(response)) out.line(row.join(', '))
  },
  fields: (out, response) => {
    for (const shard of response.shards) printShardFields(out, response, shard)
  },
  table: response => ({ head: TITLES, rows: rowsOf(response) }),
})

function printShardFields(out: Printer, response: pb.ListShardsResponse, shard: pb.ShardDescription): void {
  out.field('Shard', shard.shard)
  out.field('Start', shard.start)
  out.field('End', shard.end)
  out.field('Epoch', shard.epoch)
  out.field('LeaderID', shard.leader_id)
  for (const id of shard.replica_ids) out.field('ReplicaID', id)
  out.field('LogicalBytes', shard.logical_bytes)
  out.field('State', stateOf(response, shard))
  out.line('')
}

const SPLIT_FLAGS = {
  at: text('key', 'First key of the right half.'),
  shard: text(
    'number',
    'Which shard; default: whichever has the key. A shard that has not got it is left alone.',
  ),
} as const

const split = defineVerb({
  name: 'shard split',
  usage: '--at <key> [flags]',
  summary: 'Cuts a shard in two. No data is copied.',
  flags: SPLIT_FLAGS,
  rest: { least: 0, most: 0 },
  prepare: ({ flags }) => {
    if (flags.at === '') return rejected('--at is needed, a key behind the first one of the shard')
    const shard = flags.shard === '' ? accepted(0) : parseShard(flags.shard)
    return shard.ok ? accepted({ at: utf8(flags.at), shard: shard.value }) : shard
  },
  ask: (connection, request) => connection.call('kvorum.v1.Shard/Split', request),
  simple: (out, { right }, { at }) => out.line(`The keys from ${quote(at)} on go to shard ${right}`),
  fields: (out, { right }) => out.field('Right', right),
})

const MOVE_FLAGS = {
  from: text('member', 'Name or id of the member that has the replica.'),
  to: text('member', 'Name or id of the member that gets it.'),
} as const

const move = defineVerb({
  name: 'shard move',
  usage: '<shard> --from <member> --to <member>',
  summary: 'Moves a replica from one member to another.',
  flags: MOVE_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest: [given = ''], flags: { from, to } }) => {
    const shard = parseShard(given)
    if (!shard.ok) return shard
    if (from === '' || to === '') return rejected('--from and --to are needed, names or ids of members')
    return accepted({ shard: shard.value, from, to })
  },
  ask: async (connection, { shard, from, to }) => {
    const known = await listShards(connection)
    const ends = { from_id: memberNamed(known, from), to_id: memberNamed(known, to) }
    return connection.call('kvorum.v1.Shard/Move', { shard, ...ends })
  },
  simple: (out, _, { shard, from, to }) =>
    out.line(
      `A replica of shard ${shard} moves from ${from} to ${to}; kvorum shard list shows when it is there`,
    ),
})

const TRANSFER_FLAGS = { to: text('member', 'Name or id of a member with a replica of it.') } as const

const transfer = defineVerb({
  name: 'shard transfer',
  usage: '<shard> --to <member>',
  summary: 'Gives the leadership of a shard to another of its replicas.',
  details: 'A cluster of one shard has one leader for everything: kvorum move-leader moves it.',
  flags: TRANSFER_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest: [given = ''], flags: { to } }) => {
    const shard = parseShard(given)
    if (!shard.ok) return shard
    return to === ''
      ? rejected('--to is needed, the name or id of a member')
      : accepted({ shard: shard.value, to })
  },
  ask: async (connection, { shard, to }) =>
    connection.call('kvorum.v1.Shard/Transfer', {
      shard,
      to_id: memberNamed(await listShards(connection), to),
    }),
  simple: (out, _, { shard, to }) => out.line(`Shard ${shard} is led by ${to}`),
})

const { MOVE, SPLIT } = pb.ShardStepKind
const R = pb.ShardStepReason
const REASONS: ReadonlyMap<number, string> = new Map([
  [R.NODE_DEAD, 'it has been missing for too long'],
  [R.NODE_GONE, 'it is no member any more'],
  [R.NODE_DRAINING, 'it is being drained'],
  [R.TOO_FEW_REPLICAS, 'the shard has too few replicas'],
  [R.TOO_MANY_REPLICAS, 'the shard has too many replicas'],
  [R.REPLICAS_UNEVEN, 'it holds more replicas than others'],
  [R.BYTES_UNEVEN, 'it holds more bytes than others'],
  [R.LEADERS_UNEVEN, 'it leads more shards than others'],
  [R.BYTES_MANY, 'it has more bytes than a shard is to have'],
  [R.REQUESTS_MANY, 'it has far more requests than others'],
])

const reasonText = (reason: number): string => REASONS.get(reason) ?? `of reason ${reason}`

const stepText = ({ kind, shard, from_id: from, to_id: to, reason, split_at: at }: pb.ShardStep): string => {
  if (kind === SPLIT) return `shard ${shard}: it is split at ${quote(at)}, because ${reasonText(reason)}`
  const ends = [...(from === 0n ? [] : [`from ${hex(from)}`]), ...(to === 0n ? [] : [`to ${hex(to)}`])].join(
    ' ',
  )
  const what =
    kind === MOVE
      ? from === 0n
        ? 'a new replica'
        : to === 0n
          ? 'a replica goes'
          : 'a replica moves'
      : 'the leadership goes'
  return `shard ${shard}: ${what} ${ends}, because ${reasonText(reason)}`
}

const reasonName = (reason: number): string =>
  Object.entries(R).find(([, number]) => number === reason)?.[0] ?? String(reason)

/** Why there is no step. */
const idleText = ({ replicas }: pb.PlanShardsResponse): string =>
  replicas === 0
    ? 'Nothing to do: every member has a replica of every shard, and the leaders are where they should be.'
    : 'Nothing to do: of all shards that have a majority, the replicas and the leaders are where they should be.'

const plan = defineVerb({
  name: 'shard plan',
  usage: '[flags]',
  summary: 'Tells what the balancer would do now, and why. Changes nothing.',
  flags: NO_FLAGS,
  rest: { least: 0, most: 0 },
  prepare: () => accepted(null),
  ask: connection => connection.call('kvorum.v1.Shard/Plan', {}),
  simple: (out, response) => {
    for (const step of response.steps) out.line(stepText(step))
    if (response.steps.length === 0) out.line(idleText(response))
  },
  fields: (out, { replicas, automatic, steps }) => {
    out.field('Replicas', replicas)
    out.field('Automatic', automatic)
    for (const step of steps) out.field('Step', stepText(step))
  },
  table: ({ steps }) => ({
    head: ['SHARD', 'STEP', 'FROM', 'TO', 'REASON'],
    rows: steps.map(({ shard, kind, from_id: from, to_id: to, reason, split_at: at }) => [
      String(shard),
      kind === SPLIT ? `split at ${quote(at)}` : kind === MOVE ? 'move' : 'transfer',
      from === 0n ? '-' : hex(from),
      to === 0n ? '-' : hex(to),
      reasonName(reason),
    ]),
  }),
})

export const shardCommands: readonly Command[] = [list, split, move, transfer, plan]
