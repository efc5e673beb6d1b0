import t from 'tap'
import { differenceText, reportText, runSeeds } from '../differential/campaign.js'
import { etcdVersion, startPair } from '../differential/servers.js'

t.setTimeout(600_000)

const version = etcdVersion()
const skip = version === null && process.env['CI'] !== 'true' ? 'etcd is not installed' : false

const SEEDS = 1500

t.test('the same operations have the same answers from etcd', { skip }, async t => {
  const pairs = await Promise.all([startPair(1), startPair(1)])
  t.teardown(() => Promise.all(pairs.map(pair => pair.stop())))
  const report = await runSeeds(pairs, { from: 1, seeds: SEEDS })
  t.strictSame(report.found.map(differenceText), [])
  t.equal(report.sequences, SEEDS)
  t.ok(report.steps > 10 * SEEDS)
  t.comment(reportText(report, version ?? ''))
})

t.test('also where kvorum is a cluster', { skip }, async t => {
  const pair = await startPair(3)
  t.teardown(() => pair.stop())
  const report = await runSeeds([pair], { from: 100_001, seeds: 100 })
  t.strictSame(report.found.map(differenceText), [])
  t.equal(report.sequences, 100)
})
