/**
 * Messages as etcd's command prints them with `-w json`: 64-bit integers as bare numbers with all their digits,
 * byte strings in base64, defaults left out.
 */
export function toJsonText(value: unknown): string {
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString('base64'))
  if (Array.isArray(value)) return `[${value.map(toJsonText).join(',')}]`
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value)
    .filter(([, field]) => !isDefault(field))
    .map(([name, field]) => `${JSON.stringify(name)}:${toJsonText(field)}`)
  return `{${fields.join(',')}}`
}

/** A record whose own fields are printed even where they are defaults. */
export const explicit = (fields: Readonly<Record<string, unknown>>): string =>
  `{${Object.entries(fields)
    .map(([name, field]) => `${JSON.stringify(name)}:${toJsonText(field)}`)
    .join(',')}}`

function isDefault(field: unknown): boolean {
  if (field instanceof Uint8Array || Array.isArray(field)) return field.length === 0
  return (
    field === undefined || field === null || field === 0 || field === 0n || field === '' || field === false
  )
}
