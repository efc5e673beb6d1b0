import type { System } from './cluster.js'
import { rowTitle, type Measurement, type Row } from './rows.js'
import { figure, markdownTable, mebibytes, median } from './table.js'

/** All rounds, by row and system. */
export type Results = Map<Row, Map<System, Measurement[]>>

/** Above this share of one core the generator itself may be what is measured. */
const GENERATOR_BOUND = 0.85

const NAMES: Record<System, string> = { ours: 'kvorum', etcd: 'etcd' }

type Column = keyof Measurement & ('perSecond' | 'p50' | 'p99' | 'cpuPer1000' | 'rssPeak' | 'generatorCpu')

export function printReport(systems: readonly System[], results: Results, conditions: string): string {
  const parts = [conditions, figuresTable(systems, results)]
  if (systems.length === 2) parts.push('kvorum divided by etcd:', ratioTable(results))
  return parts.join('\n\n')
}

function figuresTable(systems: readonly System[], results: Results): string {
  const head = [
    'load',
    'system',
    'requests/s',
    'p50 ms',
    'p99 ms',
    'CPU s/1000',
    'RSS MiB',
    'generator',
    'failed',
  ]
  const rows: string[][] = []
  for (const [row, bySystem] of results) {
    for (const system of systems) {
      const rounds = bySystem.get(system) ?? []
      const middle = (column: Column): number => median(rounds.map(round => round[column]))
      const failed = rounds.reduce((sum, round) => sum + round.failed, 0)
      const shed = rounds.reduce((sum, round) => sum + round.shed, 0)
      const generator = middle('generatorCpu')
      rows.push([
        rowTitle(row),
        NAMES[system],
        figure(middle('perSecond')),
        figure(middle('p50')),
        figure(middle('p99')),
        figure(middle('cpuPer1000')),
        mebibytes(middle('rssPeak')),
        `${(generator * 100).toFixed(0)} %${generator > GENERATOR_BOUND ? ' (bound)' : ''}`,
        shed > 0 ? `${failed}, ${shed} not sent` : `${failed}`,
      ])
    }
  }
  return markdownTable(head, rows)
}

function ratioTable(results: Results): string {
  const columns: readonly Column[] = ['perSecond', 'p50', 'p99', 'cpuPer1000', 'rssPeak']
  const rows = [...results].map(([row, bySystem]) => {
    const middle = (system: System, column: Column): number =>
      median((bySystem.get(system) ?? []).map(round => round[column]))
    return [rowTitle(row), ...columns.map(column => figure(middle('ours', column) / middle('etcd', column)))]
  })
  return markdownTable(['load', 'requests/s', 'p50', 'p99', 'CPU s/1000', 'RSS'], rows)
}
