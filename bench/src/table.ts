/** Markdown tables whose columns line up in the source too. The first column is text, the others are numbers. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => {
    return Math.max(3, title.length, ...rows.map(row => row[column]?.length ?? 0))
  })
  const pad = (cell: string, column: number): string =>
    isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
  // Figures start with a digit and are short; whatever else holds a longer cell is prose.
  const isText = (column: number): boolean =>
    column === 0 || rows.some(row => !/^(?:\d.{0,15}|n\/a.{0,3})$/.test(row[column] ?? ''))
  const line = (cells: readonly string[]): string => `| ${cells.map(pad).join(' | ')} |`
  const rule = widths.map((width, column) =>
    isText(column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  )
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n')
}

/** About three significant digits, without an exponent. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return 'n/a'
  if (value >= 100) return value.toFixed(0)
  if (value >= 10) return value.toFixed(1)
  return value >= 1 ? value.toFixed(2) : value.toFixed(3)
}

export const mebibytes = (bytes: number): string => (bytes / 1024 ** 2).toFixed(0)

export function median(values: readonly number[]): number {
  const sorted = values.filter(value => !Number.isNaN(value)).sort((a, b) => a - b)
  if (sorted.length === 0) return NaN
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
