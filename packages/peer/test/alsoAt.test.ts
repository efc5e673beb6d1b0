import t from 'tap'
import { nodeId } from '@kvorum/model'
import { A, B, freeAddress, pull, startFake, startNode, until } from './rig.js'

const C = nodeId(3n)

t.test('a peer is also dialled where it says that it is', async t => {
  const a = await startNode(t, A, new Map())
  const b = await startNode(t, B, new Map([[A, [a.address]]]))
  const nowhere = await freeAddress()
  const known = new Map([[B, [nowhere]]])
  a.transport.setPeers(known, new Set())
  a.transport.setPeers(known, new Set(), new Map([[B, [b.address]]]))
  await until('it is reached there', () => a.events.count('up') === 1)
  a.transport.setPeers(known, new Set(), new Map([[B, [nowhere, b.address]]]))
  a.transport.setPeers(new Map([[B, [nowhere]]]), new Set())
  a.transport.send(B, [pull(1)])
  await until('what is connected stays so', () => b.events.count('parcel') === 1)
  t.strictSame([a.events.count('up'), a.events.count('down')], [1, 0])
})

t.test('somebody else, where a peer says that it is, is asked once', async t => {
  const [web, c] = [
    await startFake(t, socket => socket.resume().end('HTTP/1.1 400')),
    await startNode(t, C, new Map()),
  ]
  const fakes = [
    await startFake(t, socket => socket.destroy()),
    await startFake(t, socket => socket.destroy()),
  ]
  const a = await startNode(t, A, new Map([[B, [fakes[0]!.address]]]))
  const said = [web.address, c.address, fakes[1]!.address]
  a.transport.setPeers(new Map([[B, [fakes[0]!.address]]]), new Set(), new Map([[B, said]]))
  const [known, also] = fakes as [(typeof fakes)[0], (typeof fakes)[0]]
  await until('some rounds', () => known.sockets.length >= 8 && also.sockets.length >= 6)
  t.strictSame([web.sockets.length, c.events.problems().length], [1, 1])
  t.strictSame([a.events.count('refused'), a.events.count('stranger')], [0, 0], 'nothing of it is told')
  t.notOk(c.events.count('up') || c.events.count('parcel'))
})

t.test('beside secure addresses only secure ones are dialled', async t => {
  const plain = await startFake(t, socket => socket.destroy())
  const secure = await startFake(t, socket => socket.destroy())
  const known = new Map([[B, [{ ...secure.address, secure: true }]]])
  const a = await startNode(t, A, known)
  a.transport.setPeers(known, new Set(), new Map([[B, [plain.address, { ...secure.address, secure: true }]]]))
  const dialled = secure.sockets.length
  await until('some rounds', () => secure.sockets.length > dialled + 6)
  t.equal(plain.sockets.length, 0)
})
