#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { runSeed, virtualHours, type SeedReport } from './cluster/runSeed.js'
import { REGRESS_SEEDS } from './regressSeeds.js'
import { Trace } from './trace.js'
import { PROFILES, type ProfileName } from './cluster/profiles.js'
import { SECOND } from './schedule.js'
import { DRAWS, NEWEST_DRAW, type Draw } from './swarm.js'

/**
 * `npm run sim -- --seeds N [--from S]` runs N seeds, `--seed S` one. A failing seed prints one line with what
 * was violated and one with the command that repeats it; the last line sums up; the status is 1 if any failed.
 */
const USAGE = `Usage: npm run sim -- [--seeds N] [--from S] | --seed S | --kept
  --kept                the seeds that once found a defect, each with its profile and draw
  --virtual-seconds X   length of the phase with faults
  --profile NAME        ${PROFILES.join(', ')}
  --draw N              only what draws up to N knew: a seed stays the run it was (default: ${NEWEST_DRAW})
  --until-failure       stop at the first seed that fails
  --verbose             one line per seed, and the last notes of the nodes of a failing one`

interface Run {
  readonly seed: number
  readonly profile: ProfileName
  readonly draw: Draw
}

function main(): number {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '100' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      kept: { type: 'boolean', default: false },
      'virtual-seconds': { type: 'string' },
      profile: { type: 'string', default: 'swarm' },
      draw: { type: 'string', default: String(NEWEST_DRAW) },
      'until-failure': { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const from = Number(values.seed ?? values.from)
  const seeds = values.seed === undefined ? Number(values.seeds) : 1
  const seconds = values['virtual-seconds']
  const profile = values.profile as ProfileName
  const known = PROFILES.includes(profile)
  const draw = DRAWS.find(one => String(one) === values.draw)
  if (
    values.help ||
    !known ||
    draw === undefined ||
    !Number.isSafeInteger(from) ||
    !Number.isSafeInteger(seeds) ||
    from < 0
  ) {
    console.log(USAGE)
    return values.help ? 0 : 2
  }
  const length = seconds === undefined ? {} : { virtualSeconds: Number(seconds) }
  const runs: readonly Run[] = values.kept
    ? REGRESS_SEEDS
    : Array.from({ length: seeds }, (_, i) => ({ seed: from + i, profile, draw }))
  const trace = new Trace()
  let count = 0
  let passed = 0
  let time = 0
  for (const run of runs) {
    count++
    const report = runSeed(run.seed, { profile: run.profile, draw: run.draw, ...length })
    trace.label(report.trace)
    time += report.time
    if (report.ok) passed++
    else tell(report, seconds, run)
    if (values.verbose) detail(report)
    if (values['until-failure'] && !report.ok) break
  }
  const failed = count - passed
  console.log(
    `sim: ${count} seeds, ${passed} passed, ${failed} failed, ${virtualHours(time)} virtual hours, trace ${trace.hex()}`,
  )
  return failed === 0 ? 0 : 1
}

function tell(report: SeedReport, seconds: string | undefined, { profile, draw }: Run): void {
  const length = seconds === undefined ? '' : ` --virtual-seconds ${seconds}`
  const kind = profile === 'swarm' ? '' : ` --profile ${profile}`
  const drawn = draw === NEWEST_DRAW ? '' : ` --draw ${draw}`
  const at = (report.time / SECOND).toFixed(6)
  console.log(`seed ${report.seed} failed at ${at} s: ${report.failure}`)
  console.log(`  again: npm run sim -- --seed ${report.seed}${length}${kind}${drawn} --verbose`)
}

function detail(report: SeedReport): void {
  const { seed, ok, acknowledged, failed, unknown, committed, trace } = report
  const seconds = (report.time / SECOND).toFixed(1)
  console.log(
    `seed ${seed} ${ok ? 'ok' : 'FAILED'} ${seconds} s, ${committed} entries, ${acknowledged} ok ${failed} failed ${unknown} unknown, trace ${trace}`,
  )
  for (const note of report.notes) console.log(`  ${note}`)
}

process.exitCode = main()
