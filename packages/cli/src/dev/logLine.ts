const SERIOUS: readonly unknown[] = ['warn', 'error', 'fatal']
/** Fields that say nothing new beside the prefix and the message. */
const DROPPED: readonly string[] = ['level', 'time', 'msg']

/**
 * What of a server's log line a developer should see at once: warnings and worse, on one line, and whatever is
 * no log record (a refusal to start, a crash). Null: it stays in the file.
 */
export function shortForm(line: string): string | null {
  if (line.trim() === '') return null
  let record: unknown
  try {
    record = JSON.parse(line)
  } catch {
    return line
  }
  if (typeof record !== 'object' || record === null || !('level' in record)) return line
  if (!SERIOUS.includes(record.level)) return null
  const message = 'msg' in record ? String(record.msg) : ''
  const facts = Object.entries(record)
    .filter(([name]) => !DROPPED.includes(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return [`${String(record.level)}:`, message, ...facts].join(' ')
}
