import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { REGRESS_SEEDS } from '@kvorum/sim'

/**
 * Whole clusters from seeds, as `npm run sim` runs them: in processes of their own, so that neither coverage nor
 * the test runner slows them down or changes them.
 */
const MAIN = fileURLToPath(new URL('../../main.js', import.meta.url))

function sim(...args: string[]): { status: number | null; lines: string[] } {
  const { status, stdout } = spawnSync(
    '/usr/bin/env',
    ['-u', 'NODE_OPTIONS', process.execPath, MAIN, ...args],
    {
      encoding: 'utf8',
    },
  )
  return { status, lines: stdout.trimEnd().split('\n') }
}

t.setTimeout(600_000)

t.test('seeds that found a defect', async t => {
  const { status, lines } = sim('--kept')
  t.equal(status, 0, lines.join('\n'))
  t.match(lines.at(-1), `sim: ${REGRESS_SEEDS.length} seeds, ${REGRESS_SEEDS.length} passed, 0 failed`)
})

t.test('seeds of every profile', async t => {
  const runs = [
    ['swarm', 10],
    ['elections', 2],
    ['powerLoss', 3],
    ['partitions', 2],
    ['bitRot', 2],
    ['members', 3],
    ['upkeep', 2],
    ['shards', 3],
    ['moves', 3],
  ] as const
  for (const [profile, seeds] of runs) {
    const { status, lines } = sim('--profile', profile, '--seeds', String(seeds))
    t.equal(status, 0, `${profile}: ${lines.join('\n')}`)
    t.match(
      lines.at(-1),
      new RegExp(`^sim: ${seeds} seeds, ${seeds} passed, 0 failed, .*trace [0-9a-f]{16}$`),
    )
  }
})

t.test('a seed run twice, in two processes, leaves the same trace', async t => {
  const [first, second] = [sim('--seeds', '3', '--from', '500'), sim('--seeds', '3', '--from', '500')]
  t.equal(first.status, 0, first.lines.join('\n'))
  t.equal(second.lines.at(-1), first.lines.at(-1))
})

t.test('another seed leaves another trace, and misuse has status 2', async t => {
  const trace = (seed: string): string | undefined => sim('--seed', seed).lines.at(-1)?.split(' ').at(-1)
  t.not(trace('501'), trace('502'))
  t.equal(sim('--seed', 'x').status, 2)
})
