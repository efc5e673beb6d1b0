/** Rows in a frame of ASCII, as etcd's command draws it: titles in the middle, cells to the right. */
export function tableText(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map(row => row[at]?.length ?? 0)))
  const rule = `+${widths.map(width => '-'.repeat(width + 2)).join('+')}+`
  const line = (cells: readonly string[], pad: (cell: string, width: number) => string): string =>
    `|${cells.map((cell, at) => ` ${pad(cell, widths[at] ?? 0)} `).join('|')}|`
  const body = rows.map(row => line(row, (cell, width) => cell.padStart(width)))
  return [rule, line(head, centred), rule, ...body, ...(rows.length === 0 ? [] : [rule])].join('\n')
}

const centred = (title: string, width: number): string =>
  title.padStart(title.length + Math.floor((width - title.length) / 2)).padEnd(width)
