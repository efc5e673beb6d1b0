import type { pb } from '@kvorum/protocol'
import { defineClientCommand, DONE, FAILED, type Command } from '../command.js'
import type { Connection } from '../connection.js'
import { askEndpoint, askEvery, clientUrls } from '../everyEndpoint.js'
import { text, toggle } from '../flag.js'
import { toJsonText } from '../format/json.js'
import { createPrinter, printHeaderFields, type Printer } from '../format/printer.js'
import { endpointsOf } from '../globals.js'
import { tableText } from '../format/table.js'
import { accepted, rejected, type Parsed } from '../parsed.js'
import { withConnection } from '../session.js'

const NO_FLAGS = {} as const
const PEER_URLS = {
  'peer-urls': text('urls', 'Where the others reach the member, separated by commas.'),
} as const

const hex = (id: bigint): string => BigInt.asUintN(64, id).toString(16)

function parseMemberId(given: string): Parsed<bigint> {
  return /^[0-9a-f]{1,16}$/i.test(given)
    ? accepted(BigInt(`0x${given}`))
    : rejected(`"${given}" is not a member id, in hexadecimal`)
}

const urlsIn = (given: string): string[] => given.split(',').filter(url => url !== '')

const clusterOf = (header: pb.ResponseHeader | null): string => hex(header?.cluster_id ?? 0n)

/** One line of the simple form, or the whole answer in another. */
function printChange(out: Printer, response: { header: pb.ResponseHeader | null }, line: string): void {
  if (out.format === 'json') out.line(toJsonText(response))
  else if (out.format === 'fields') printHeaderFields(out, response.header)
  else out.line(line)
}

const list = defineClientCommand<typeof NO_FLAGS, null>({
  name: 'member list',
  usage: '[flags]',
  summary: 'Lists the members of the cluster.',
  details: 'Simple output: id, status, name, peer URLs, client URLs, is learner.',
  flags: NO_FLAGS,
  tables: true,
  rest: { least: 0, most: 0 },
  prepare: () => accepted(null),
  run: (io, globals) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.Cluster/MemberList', { linearizable: true })
      const out = createPrinter(io, globals)
      if (out.format === 'json') out.line(toJsonText(response))
      else if (out.format === 'table') out.line(tableText(TITLES, response.members.map(rowOf)))
      else if (out.format === 'fields') printMemberFields(out, response)
      else for (const member of response.members) out.line(rowOf(member).join(', '))
    }),
})

const TITLES = ['ID', 'STATUS', 'NAME', 'PEER ADDRS', 'CLIENT ADDRS', 'IS LEARNER']

const rowOf = ({ ID, name, peerURLs, clientURLs, isLearner }: pb.Member): string[] => [
  hex(ID),
  name === '' ? 'unstarted' : 'started',
  name,
  peerURLs.join(','),
  clientURLs.join(','),
  String(isLearner),
]

function printMemberFields(out: Printer, { header, members }: pb.MemberListResponse): void {
  printHeaderFields(out, header)
  for (const { ID, name, peerURLs, clientURLs, isLearner } of members) {
    out.field('ID', ID)
    out.field('Name', Buffer.from(name))
    for (const url of peerURLs) out.field('PeerURL', Buffer.from(url))
    for (const url of clientURLs) out.field('ClientURL', Buffer.from(url))
    out.field('IsLearner', isLearner)
    out.line('')
  }
}

const ADD_FLAGS = {
  ...PEER_URLS,
  learner: toggle('It gets everything and decides nothing until it is promoted.'),
}

const add = defineClientCommand<typeof ADD_FLAGS, { name: string; peerURLs: string[]; isLearner: boolean }>({
  name: 'member add',
  usage: '<name> --peer-urls=<urls> [flags]',
  summary: 'Makes room for a new member and prints how it is started.',
  flags: ADD_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest: [name = ''], flags }) => {
    const peerURLs = urlsIn(flags['peer-urls'])
    return peerURLs.length === 0
      ? rejected('--peer-urls is needed')
      : accepted({ name, peerURLs, isLearner: flags.learner })
  },
  run: (io, globals, { name, ...request }) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.Cluster/MemberAdd', request)
      const id = response.member?.ID ?? 0n
      const out = createPrinter(io, globals)
      printChange(out, response, `Member ${hex(id)} added to cluster ${clusterOf(response.header)}`)
      if (out.format === 'simple') printStart(out, name, response)
    }),
})

/** As environment, like etcdctl, and as a command line. */
function printStart(out: Printer, name: string, { member, members }: pb.MemberAddResponse): void {
  const own = member?.peerURLs ?? []
  const initial = members
    .flatMap(({ ID, name: known, peerURLs }) =>
      peerURLs.map(url => `${ID === member?.ID ? name : known === '' ? hex(ID) : known}=${url}`),
    )
    .join()
  out.line('')
  out.line(`ETCD_NAME="${name}"`)
  out.line(`ETCD_INITIAL_CLUSTER="${initial}"`)
  out.line(`ETCD_INITIAL_ADVERTISE_PEER_URLS="${own.join()}"`)
  out.line('ETCD_INITIAL_CLUSTER_STATE="existing"')
  out.line('')
  out.line(
    `kvorum server --name=${name} --data-dir=<empty directory> --initial-advertise-peer-urls=${own.join()} ` +
      `--listen-peer-urls=${own.join()} --initial-cluster=${initial} --initial-cluster-state=existing`,
  )
}

const byId = (
  verb: 'remove' | 'promote',
  summary: string,
  rpc: 'etcdserverpb.Cluster/MemberRemove' | 'etcdserverpb.Cluster/MemberPromote',
  done: (id: string, cluster: string) => string,
): Command =>
  defineClientCommand<typeof NO_FLAGS, bigint>({
    name: `member ${verb}`,
    usage: '<member id>',
    summary,
    flags: NO_FLAGS,
    rest: { least: 1, most: 1 },
    prepare: ({ rest: [id = ''] }) => parseMemberId(id),
    run: (io, globals, ID) =>
      withConnection(io, globals, async connection => {
        const response = await connection.call(rpc, { ID })
        printChange(createPrinter(io, globals), response, done(hex(ID), clusterOf(response.header)))
      }),
  })

const remove = byId(
  'remove',
  'Removes a member for ever; its process ends.',
  'etcdserverpb.Cluster/MemberRemove',
  (id, cluster) => `Member ${id} removed from cluster ${cluster}`,
)

const promote = byId(
  'promote',
  'Makes a learner that has caught up a voter.',
  'etcdserverpb.Cluster/MemberPromote',
  (id, cluster) => `Member ${id} promoted in cluster ${cluster}`,
)

const update = defineClientCommand<typeof PEER_URLS, { ID: bigint; peerURLs: string[] }>({
  name: 'member update',
  usage: '<member id> --peer-urls=<urls>',
  summary: 'Tells where a member is reached by the others from now on.',
  flags: PEER_URLS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest: [given = ''], flags }) => {
    const id = parseMemberId(given)
    const peerURLs = urlsIn(flags['peer-urls'])
    if (!id.ok) return id
    return peerURLs.length === 0 ? rejected('--peer-urls is needed') : accepted({ ID: id.value, peerURLs })
  },
  run: (io, globals, request) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.Cluster/MemberUpdate', request)
      const line = `Member ${hex(request.ID)} updated in cluster ${clusterOf(response.header)}`
      printChange(createPrinter(io, globals), response, line)
    }),
})

const replace = defineClientCommand<typeof NO_FLAGS, string>({
  name: 'member replace',
  usage: '<name or member id>',
  summary: 'Removes a lost member, makes room for a new one in its place, and prints how that is started.',
  details:
    'For a member whose data directory was lost. Ask a healthy member; then start the new one, with an empty\n' +
    'directory and the flags that are printed. When the removal is done and the addition is not, the same command\n' +
    'with the URLs of the lost member is `kvorum member add`.',
  flags: NO_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest: [name = ''] }) => accepted(name),
  run: (io, globals, name) =>
    withConnection(io, globals, async connection => {
      const { members } = await connection.call('etcdserverpb.Cluster/MemberList', { linearizable: true })
      const lost = members.find(member => member.name === name || hex(member.ID) === name)
      if (lost === undefined) {
        io.say(`Error: there is no member "${name}"; kvorum member list shows them.`)
        return FAILED
      }
      await connection.call('etcdserverpb.Cluster/MemberRemove', { ID: lost.ID })
      const added = connection.call('etcdserverpb.Cluster/MemberAdd', {
        peerURLs: lost.peerURLs,
        isLearner: lost.isLearner,
      })
      const response = await added.catch((error: unknown) => {
        const urls = lost.peerURLs.join()
        const learner = lost.isLearner ? ' --learner' : ''
        io.say(
          `Member ${hex(lost.ID)} is removed, its successor is not added yet. When the other members are well: ` +
            `kvorum member add ${lost.name} --peer-urls=${urls}${learner}`,
        )
        throw error
      })
      const out = createPrinter(io, globals)
      const id = hex(response.member?.ID ?? 0n)
      printChange(out, response, `Member ${hex(lost.ID)} replaced by member ${id}`)
      if (out.format === 'simple') printStart(out, lost.name === '' ? name : lost.name, response)
      return DONE
    }),
})

const moveLeader = defineClientCommand<typeof NO_FLAGS, bigint>({
  name: 'move-leader',
  usage: '<member id>',
  summary: 'Gives the leadership to a voter.',
  flags: NO_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest: [id = ''] }) => parseMemberId(id),
  run: async (io, globals, to) => {
    const endpoints = new Set([...endpointsOf(globals, io.env), ...(await clientUrls(io, globals))])
    const answers = await askEvery(io, globals, [...endpoints], leaderAt)
    const leads = answers.find(answer => answer.ok && answer.value !== null)
    if (leads === undefined) {
      io.say('Error: none of the members that can be reached is the leader.')
      return FAILED
    }
    const done = await askEndpoint(io, globals, leads.endpoint, async connection => {
      const leader = await leaderAt(connection)
      await connection.call('etcdserverpb.Maintenance/MoveLeader', { targetID: to })
      return leader
    })
    if (!done.ok) throw new Error(done.reason)
    createPrinter(io, globals).line(`Leadership transferred from ${hex(done.value ?? 0n)} to ${hex(to)}`)
    return DONE
  },
})

/** Its id if it leads; null if it does not. */
async function leaderAt(connection: Connection): Promise<bigint | null> {
  const { header, leader } = await connection.call('etcdserverpb.Maintenance/Status', {})
  return leader !== 0n && leader === header?.member_id ? leader : null
}

export const memberCommands: readonly Command[] = [list, add, remove, update, promote, replace, moveLeader]
