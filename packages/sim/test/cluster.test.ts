import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { Coverage, runSeed, type ProfileName, type SeedReport } from '@kvorum/sim'

t.setTimeout(300_000)

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url))

const simulate = (...options: string[]): { status: number | null; stdout: string } =>
  spawnSync(process.execPath, [MAIN, ...options], { encoding: 'utf8' })

function run(t: Test, seed: number, profile: ProfileName = 'swarm'): SeedReport {
  const report = runSeed(seed, { profile })
  t.equal(report.failure, null, `seed ${seed} of ${profile}`, { notes: report.notes })
  return report
}

t.test('random runs: no invariant broken, progress after healing, nothing lost', async t => {
  const coverage = new Coverage(['crash', 'partition', 'pause', 'clog', 'diskFull', 'search legal'])
  let acknowledged = 0
  for (let seed = 1; seed <= 12; seed++) {
    const report = run(t, seed)
    acknowledged += report.acknowledged
    for (const [name, count] of Object.entries(report.coverage)) coverage.mark(name, count)
  }
  t.same(coverage.missing(), [], 'every kind of fault struck')
  t.ok(acknowledged > 1_000, `${acknowledged} requests were answered`)
})

t.test('a damaged log fails closed: the others go on without that replica', async t => {
  for (let seed = 1; seed <= 2; seed++) run(t, seed, 'bitRot')
})

t.test('one seed is one run: two processes do the same, event by event', async t => {
  const options = ['--from', '50', '--seeds', '4', '--virtual-seconds', '8', '--verbose']
  const [first, second] = [simulate(...options), simulate(...options)]
  t.equal(first.status, 0)
  t.match(first.stdout, /^sim: 4 seeds, 4 passed, 0 failed, [\d.]+ virtual hours, trace [0-9a-f]{16}$/m)
  t.equal(first.stdout, second.stdout)
})

t.test('the command says what it cannot do', async t => {
  t.equal(simulate('--profile', 'none').status, 2)
  t.equal(simulate('--seeds', 'x').status, 2)
  t.equal(simulate('--help').status, 0)
})
