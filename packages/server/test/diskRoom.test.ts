import { tmpdir } from 'node:os'
import t from 'tap'
import { DiskRoom, freeBytesOf } from '#src/node/diskRoom.js'

const MiB = 1024 * 1024

function logger() {
  const said: string[] = []
  const say = (_fields: object, message: string): void => void said.push(message)
  return { said, debug: say, info: say, warn: say, error: say, fatal: say }
}

t.test('a batch waits until the store has room for it and for its own work', async t => {
  const log = logger()
  let free = 0
  let looks = 0
  const room = new DiskRoom(() => Promise.resolve((looks++, free)), log, 1)
  let through = false
  const waiting = room.wait(MiB).then(() => (through = true))
  while (looks < 3) await new Promise(resolve => setImmediate(resolve))
  free = 16 * MiB
  for (const seen = looks; looks < seen + 3;) await new Promise(resolve => setImmediate(resolve))
  t.equal(through, false)
  t.match(log.said, [/nearly full/], 'said once')
  free = 64 * MiB
  await waiting
  t.match(log.said, [/nearly full/, /room on the disk again/])
  const before = looks
  await room.wait(MiB)
  t.equal(looks, before + 1, 'with room nobody waits')
  t.equal(log.said.length, 2)
})

t.test('what waits is let go when the store is closed', async t => {
  const room = new DiskRoom(() => Promise.resolve(0), logger(), 1)
  const waiting = room.wait(1)
  room.close()
  await t.rejects(waiting, { message: /closed while/ })
})

t.test('the room of a real disk', async t => {
  t.ok((await freeBytesOf(tmpdir())) > 0)
  await t.rejects(freeBytesOf('/nowhere/at/all'), { code: 'ENOENT' })
})
