import { markdownTable, figure as digits } from './table.js'

/** One promise with what was measured. It is kept when the value is below the limit. */
export interface Figure {
  readonly title: string
  readonly limit: number
  readonly unit: 's' | 'ms' | 'MB'
  /** NaN: could not be measured, which counts as missed. */
  readonly value: number
  readonly note?: string
}

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
