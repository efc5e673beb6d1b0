import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { KvorumClient } from '@kvorum/client'
import { LevelEngine } from '@kvorum/storage'
import t from 'tap'
import { Cluster } from './cluster.js'
import { refused } from './refused.js'
import type { ServerProcess } from './serverProcess.js'
import { holds } from './until.js'

t.setTimeout(600_000)

/** Changes the value of a key on disk, with a checksum that fits, while the server is down. */
async function change({ plan }: ServerProcess, key: string): Promise<void> {
  const engine = await LevelEngine.open(join(plan.dataDir, 'store-0', 'state'))
  const rowKey = Buffer.concat([Buffer.from(`C${key}`), Buffer.of(0, 1)])
  const row = (await engine.fetch({ gets: [rowKey], scans: [] })).values[0]
  if (row === undefined || row === null) throw new Error('no such row')
  const value = Buffer.from(row)
  value[value.length - 1]! ^= 1
  value.writeUInt32BE(crc32(value.subarray(4), crc32(rowKey)), 0)
  await engine.batch([{ key: rowKey, value }], { sync: true })
  await engine.close()
}

/**
 * Until this member's state store has the key: a follower learns a moment later than the client that it is committed,
 * and what is in its log goes to the store in the background.
 */
async function stored(node: ServerProcess, key: string): Promise<void> {
  const client = new KvorumClient({ endpoints: node.plan.clientUrl })
  await holds(`${key} at the follower`, async () => (await client.get(key, { serializable: true })) !== null)
  const before = await flushes(node)
  await client.put('later', '')
  await holds('a flush', async () => (await flushes(node)) > before)
  await client.close()
}

const flushes = async (node: ServerProcess): Promise<number> =>
  Number(/^kvorum_flushes\w* (\d+)$/m.exec((await node.get('/metrics')).body)![1])

t.test('a member whose data was changed on disk does not serve, and says why', async t => {
  const cluster = await Cluster.start(t, { flags: ['--experimental-initial-corrupt-check'] })
  const client = new KvorumClient({ endpoints: cluster.endpoints.join() })
  t.teardown(() => client.close())
  for (let i = 0; i < 20; i++) await client.put(`k${i}`, 'value')
  const odd = cluster.others(await cluster.leader())[0]!
  await stored(odd, 'k7')
  await odd.stop('SIGTERM')
  await change(odd, 'k7')
  await refused(t, odd, /The data of this member differs from that of the other members/)
  t.equal((await client.get('k7'))?.text(), 'value', 'the others serve')
  await change(odd, 'k7')
  odd.start()
  await cluster.healthy()
  t.pass('with its own data it is a member again')
})

t.test('a running cluster finds the member that differs, and nobody answers any more', async t => {
  const cluster = await Cluster.start(t, { flags: ['--experimental-corrupt-check-time=500ms'] })
  const client = new KvorumClient({ endpoints: cluster.endpoints.join() })
  t.teardown(() => client.close())
  await client.put('k', 'value')
  const odd = cluster.others(await cluster.leader())[0]!
  await stored(odd, 'k')
  await odd.stop('SIGTERM')
  await change(odd, 'k')
  odd.start()
  for (const node of cluster.nodes) {
    await holds('the alarm', async () => {
      const { status, body } = await node.get('/health').catch(() => ({ status: 0, body: '' }))
      return status === 503 && body.includes('ALARM CORRUPT')
    })
  }
  await t.rejects(client.put('k', 'other'), /corrupt cluster/)
})
