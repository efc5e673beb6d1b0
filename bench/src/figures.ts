import { figure as digits, markdownTable } from './table.js'

/** One promise. It is kept when what is measured is below the limit. */
export interface Target {
  readonly title: string
  readonly limit: number
  readonly unit: 's' | 'ms' | 'MB' | '%'
}

export interface Measured {
  /** NaN: could not be measured, which counts as missed. */
  readonly value: number
  readonly note?: string
}

export type Figure = Target & Measured

/** Shards of a cluster of three nodes that nobody uses. */
export const MANY_SHARDS = 1_000

export const targetsFor = (keys: number) =>
  ({
    nodeUp: { title: 'node up', limit: 1, unit: 's' },
    clusterServing: { title: 'cluster serving', limit: 3, unit: 's' },
    idle: { title: 'idle RSS a node', limit: 120, unit: 'MB' },
    killedLeader: { title: 'serving again after a killed leader', limit: 3, unit: 's' },
    rollingRestart: { title: 'longest pause in a rolling restart', limit: 1, unit: 's' },
    eventLoop: { title: 'event-loop delay p99.9 at 70 % of peak', limit: 100, unit: 'ms' },
    load: { title: `RSS a node with ${keys} keys`, limit: 400, unit: 'MB' },
    restart: { title: `restart with ${keys} keys`, limit: 5, unit: 's' },
    deleteMemory: { title: `RSS a node, DeleteRange of ${keys} keys`, limit: 500, unit: 'MB' },
    deletePause: { title: 'longest pause of reads meanwhile', limit: 1, unit: 's' },
    shardsStart: { title: `start with ${MANY_SHARDS} shards`, limit: 10, unit: 's' },
    shardsIdle: { title: `idle CPU a node with ${MANY_SHARDS} shards`, limit: 10, unit: '%' },
    turn: { title: "longest turn's CPU time, all trials", limit: 20, unit: 'ms' },
  }) as const satisfies Record<string, Target>

export const isMet = (figure: Figure): boolean => figure.value < figure.limit

export function figuresTable(figures: readonly Figure[]): string {
  const rows = figures.map(figure => [
    figure.title,
    `< ${figure.limit} ${figure.unit}`,
    `${digits(figure.value)} ${figure.unit}`,
    isMet(figure) ? 'met' : 'MISSED',
    figure.note ?? '',
  ])
  return markdownTable(['figure', 'target', 'measured', 'result', 'note'], rows)
}
