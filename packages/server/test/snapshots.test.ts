import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { HeldState } from '@kvorum/model'
import { SILENT } from '@kvorum/server'
import { Snapshots } from '#src/snapshot/snapshots.js'
import { FakeNode } from './fakeNode.js'

const NEVER = new AbortController().signal

class HoldingNode extends FakeNode {
  answer: () => Promise<HeldState | null> = () => Promise.resolve(null)
  override holdState(): Promise<null> {
    return this.answer() as Promise<null>
  }
}

t.test('only so many are made at a time, and a place is free again when one has failed', async t => {
  const node = new HoldingNode()
  let release = (): void => undefined
  const gate = new Promise<null>(resolve => (release = () => resolve(null)))
  node.answer = () => gate
  const snapshots = new Snapshots(node, t.testdir(), SILENT)
  const first = [snapshots.make(NEVER), snapshots.make(NEVER)]
  t.match(await snapshots.make(NEVER), { ok: false, error: { code: 'tooManyRequests' } })
  release()
  for (const made of first) t.match(await made, { ok: false, error: { code: 'timeout' } })
  t.match(await snapshots.make(NEVER), { ok: false, error: { code: 'timeout' } })
  node.answer = () => Promise.reject(new Error('as it should not'))
  for (let i = 0; i < 3; i++) {
    t.match(await snapshots.make(NEVER), { ok: false, error: { code: 'internal' } })
  }
})

t.test('a client that goes away ends the work, and the view is closed', async t => {
  const directory = t.testdir()
  const node = new HoldingNode()
  const gone = new AbortController()
  let closed = 0
  node.answer = () =>
    Promise.resolve({
      revision: null,
      fetch: () => {
        gone.abort()
        return Promise.reject(new Error('too late'))
      },
      close: () => void closed++,
    })
  const snapshots = new Snapshots(node, directory, SILENT)
  t.match(await snapshots.make(gone.signal), { ok: false, error: { code: 'canceled' } })
  t.equal(closed, 1)
  t.same(readdirSync(join(directory, 'snapshots')), [])
})

t.test('without room on the disk nothing is begun', async t => {
  const node = new HoldingNode()
  node.answer = () => Promise.reject(new Error('not asked'))
  const snapshots = new Snapshots(node, t.testdir(), SILENT, () => Promise.resolve(1000))
  t.match(await snapshots.make(NEVER), { ok: false, error: { detail: /no room/ } })
})

t.test('what a process that was killed has left is removed', async t => {
  const directory = t.testdir()
  const left = join(directory, 'snapshots', '7')
  mkdirSync(left, { recursive: true })
  t.doesNotThrow(() => new Snapshots(new FakeNode(), directory, SILENT))
  t.notOk(existsSync(left))
})
