import { connect } from 'node:net'
import t from 'tap'
import { ALL_KEYS, groupId, incarnation, nodeId, replicaId, type JoinAnswer } from '@kvorum/model'
import { askToJoin } from '@kvorum/peer'
import { JOIN_MAGIC } from '#src/join.js'
import { plain } from './arbitraries.js'
import { A, B, CLUSTER, freeAddress, startNode, until } from './rig.js'

const request = { peerUrls: ['http://c:2380'], incarnation: incarnation(3n) }
const ANSWERS: readonly JoinAnswer[] = [
  {
    kind: 'member',
    cluster: CLUSTER,
    node: nodeId(2n ** 64n - 1n),
    replica: replicaId(4),
    members: [{ node: A, peerUrls: ['http://a', 'http://b'] }],
    shards: [{ group: groupId(1), range: ALL_KEYS, epoch: 3 }],
  },
  { kind: 'refused', reason: 'not added' },
  { kind: 'later' },
]

t.test('a node without an id asks for it', async t => {
  const { address, events } = await startNode(t, A, new Map([[B, [await freeAddress()]]]))
  for (const answer of ANSWERS) {
    events.joins = asked => {
      t.strictSame(asked, request)
      return answer
    }
    t.strictSame(plain(await askToJoin(address, request, 10_000)), plain(answer), answer.kind)
  }
  t.strictSame(await askToJoin(await freeAddress(), request, 10_000), { kind: 'later' }, 'nobody listens')
})

t.test('what is no such question ends the connection, byte by byte as well', async t => {
  const { address, events } = await startNode(t, A, new Map())
  const ask = (bytes: readonly Uint8Array[]): Promise<void> =>
    new Promise(resolve => {
      const socket = connect(address.port, address.host)
      socket.on('error', () => undefined)
      socket.once('close', () => resolve())
      socket.resume()
      for (const chunk of bytes) socket.write(chunk)
    })
  const before = events.problems().length
  await ask([JOIN_MAGIC, Buffer.of(0xff, 0xff, 0xff, 0xff)])
  await ask([JOIN_MAGIC.subarray(0, 3), JOIN_MAGIC.subarray(3), Buffer.of(0, 0, 0, 1, 0xc0)])
  await until('both are told', () => events.problems().length === before + 2)
  t.pass('and nothing was asked')
})

t.test('peers come, move and go while it runs', async t => {
  const here = await freeAddress()
  const a = await startNode(t, A, new Map(), { listen: [here] })
  const b = await startNode(t, B, new Map([[A, [here]]]))
  await until('b is a stranger', () => b.events.count('refused') > 0)
  t.match(
    b.events.heard.find(({ kind }) => kind === 'refused'),
    { reason: 'unknownMember' },
  )
  a.transport.setPeers(new Map([[B, [b.address]]]), new Set())
  await until('both are up', () => a.events.count('up') === 1 && b.events.count('up') === 1)
  const nowhere = await freeAddress()
  a.transport.setPeers(new Map([[B, [nowhere]]]), new Set())
  await until('b is elsewhere', () => a.events.count('down') === 1)
  a.transport.setPeers(new Map([[B, [nowhere, b.address]]]), new Set())
  await until('and back', () => a.events.count('up') === 2)
  a.transport.setPeers(new Map(), new Set([B]))
  await until('b is told that it was removed', () =>
    b.events.heard.some(event => event.kind === 'refused' && event.reason === 'removedMember'),
  )
  t.equal(a.transport.queuedBytes(B), 0)
})
