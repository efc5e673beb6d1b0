import type { pb } from '@kvorum/protocol'
import type { Command } from '../command.js'
import type { Printer } from '../format/printer.js'
import { accepted } from '../parsed.js'
import { hex, listShards, memberNamed } from './shardNames.js'
import { defineVerb, NO_FLAGS } from './verb.js'

const TITLES = ['ID', 'NAME', 'STATE', 'SHARDS', 'LEADS']

const stateOf = ({ connected, draining, is_learner: learner }: pb.ShardNode): string =>
  [
    connected ? 'connected' : 'missing',
    ...(learner ? ['learner'] : []),
    ...(draining ? ['draining'] : []),
  ].join(' ')

const rowOf = (node: pb.ShardNode): string[] => [
  hex(node.node_id),
  node.name,
  stateOf(node),
  String(node.shards),
  String(node.leads),
]

const list = defineVerb({
  name: 'node list',
  usage: '[flags]',
  summary: 'Lists the members, and how many shards each holds and leads.',
  details: `Simple output: ${TITLES.join(', ').toLowerCase()}. As the member that is asked sees it.`,
  flags: NO_FLAGS,
  rest: { least: 0, most: 0 },
  prepare: () => accepted(null),
  ask: connection => listShards(connection),
  simple: (out, { nodes }) => {
    for (const node of nodes) out.line(rowOf(node).join(', '))
  },
  fields: printNodeFields,
  table: ({ nodes }) => ({ head: TITLES, rows: nodes.map(rowOf) }),
})

function printNodeFields(out: Printer, { nodes }: pb.ListShardsResponse): void {
  for (const node of nodes) {
    out.field('NodeID', node.node_id)
    out.field('Name', Buffer.from(node.name))
    out.field('Connected', node.connected)
    out.field('Draining', node.draining)
    out.field('Shards', node.shards)
    out.field('Leads', node.leads)
    out.line('')
  }
}

const drainVerb = (verb: 'drain' | 'undrain', summary: string, done: string): Command =>
  defineVerb({
    name: `node ${verb}`,
    usage: '<name or member id>',
    summary,
    flags: NO_FLAGS,
    rest: { least: 1, most: 1 },
    prepare: ({ rest: [node = ''] }) => accepted(node),
    ask: async (connection, node) =>
      connection.call('kvorum.v1.Shard/Drain', {
        node_id: memberNamed(await listShards(connection), node),
        undo: verb === 'undrain',
      }),
    simple: (out, _, node) => out.line(`Member ${node} ${done}`),
  })

export const nodeCommands: readonly Command[] = [
  list,
  drainVerb(
    'drain',
    'Has a member give its replicas of shards to others, and gives it none.',
    'is being drained; kvorum node list shows how far that is',
  ),
  drainVerb('undrain', 'Lets a member that was drained hold replicas again.', 'may hold replicas again'),
]
