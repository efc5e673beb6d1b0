import { drawSequence, type ProfileName } from './generate.js'
import { runSequence } from './run.js'
import type { Pair } from './servers.js'
import { shrink, type Shrunk } from './shrink.js'
import { showStep } from './steps.js'

export interface Campaign {
  readonly from: number
  readonly seeds: number
  /** Sequences of this kind alone. */
  readonly only?: ProfileName
  /** Not only up to the first difference. */
  readonly goOn?: boolean
  readonly say?: (text: string) => void
}

export interface Report {
  sequences: number
  steps: number
  elapsedMs: number
  /** Sequences that ended in a deviation, by its id. */
  readonly deviations: Map<string, number>
  readonly found: Shrunk[]
}

/** Of a sequence whose leases must not run out before all is ready. */
const PATIENCE_MAX = 8

/** Runs while a sequence is made smaller. */
const SHRINK_RUNS = 300

/** Runs the sequences of these seeds, one at a time on each pair, until two answers differ. */
export async function runSeeds(pairs: readonly Pair[], campaign: Campaign): Promise<Report> {
  const start = performance.now()
  const report: Report = { sequences: 0, steps: 0, elapsedMs: 0, deviations: new Map(), found: [] }
  const end = campaign.from + campaign.seeds
  let next = campaign.from
  await Promise.all(
    pairs.map(async pair => {
      while (next < end && (campaign.goOn === true || report.found.length === 0))
        await runSeed(pair, next++, campaign, report)
    }),
  )
  report.elapsedMs = performance.now() - start
  return report
}

async function runSeed(pair: Pair, seed: number, campaign: Campaign, report: Report): Promise<void> {
  let sequence = drawSequence(seed, campaign.only)
  let outcome = await runSequence(pair, sequence)
  for (let patience = 2; outcome.kind === 'late' && patience <= PATIENCE_MAX; patience++) {
    sequence = drawSequence(seed, campaign.only, patience)
    outcome = await runSequence(pair, sequence)
  }
  if (outcome.kind === 'late')
    throw new Error(`seed ${seed}: this machine is too slow for leases that run out`)
  report.sequences++
  report.steps += sequence.steps.length
  if (outcome.kind === 'deviates')
    report.deviations.set(outcome.id, (report.deviations.get(outcome.id) ?? 0) + 1)
  if (outcome.kind !== 'differs') return
  const { difference } = outcome
  const step = sequence.steps[difference.step]
  const what = step === undefined ? 'in the end' : `at step ${difference.step}, ${showStep(step)}`
  campaign.say?.(`seed ${seed} differs ${what}: ${difference.text}`)
  const smallest = await shrink({ sequence, difference }, smaller => runSequence(pair, smaller), SHRINK_RUNS)
  campaign.say?.(differenceText(smallest))
  report.found.push(smallest)
}

/** The sequence, and where it differs. */
export function differenceText({ sequence, difference }: Shrunk): string {
  const lines = sequence.steps.map((step, at) => `${at === difference.step ? '->' : '  '} ${showStep(step)}`)
  return [`seed ${sequence.seed} over ${sequence.transport}, shrunk:`, ...lines, difference.text].join('\n')
}

export function reportText(report: Report, version: string): string {
  const seconds = (report.elapsedMs / 1000).toFixed(1)
  const differ = report.found.length === 0 ? 'all equal' : `${report.found.length} differ`
  const deviations = [...report.deviations].map(([id, count]) => `, ${count} ended by ${id}`)
  const about = `${report.sequences} sequences of ${report.steps} steps`
  return `${about} compared with etcd ${version} in ${seconds} s: ${differ}${deviations.join('')}`
}
