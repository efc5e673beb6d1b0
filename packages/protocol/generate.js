// Renders what the .proto files say into src/: bundle.json (the schema that is reflected at start) and
// messages.ts (types of the records). `node generate.js` writes, `node generate.js --check` only compares.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import prettier from 'prettier'
import protobuf from 'protobufjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const protos = join(here, '../../proto')

/** 64-bit fields that are opaque identities: bigint in our records. All others are counts: numbers. */
const IDS = new Set([
  'cluster_id',
  'member_id',
  'memberID',
  'targetID',
  'ID',
  'lease',
  'leader',
  'leader_id',
  'watch_id',
  'session',
  'node_id',
  'from_id',
  'to_id',
  'replica_ids',
])

function readProtos() {
  const root = new protobuf.Root()
  for (const path of readdirSync(protos, { recursive: true }).sort()) {
    if (!path.endsWith('.proto')) continue
    protobuf.parse(readFileSync(join(protos, path), 'utf8'), root, { keepCase: true })
  }
  return root.resolveAll()
}

const plain = object => object.fullName.slice(1)

function collect(namespace, kind, found = []) {
  for (const nested of namespace.nestedArray) {
    if (nested instanceof kind) found.push(nested)
    if (nested instanceof protobuf.Namespace) collect(nested, kind, found)
  }
  return found
}

/** A nested enum is known by its message's name and its own. */
const enumName = type => (type.parent instanceof protobuf.Type ? type.parent.name + type.name : type.name)

function scalarType(field) {
  switch (field.type) {
    case 'bytes':
      return 'Uint8Array'
    case 'string':
      return 'string'
    case 'bool':
      return 'boolean'
    case 'int32':
    case 'uint32':
      return 'number'
    case 'int64':
    case 'uint64':
      return IDS.has(field.name) ? 'bigint' : 'number'
    default:
      throw new Error(`${field.fullName}: ${field.type} has no rule yet`)
  }
}

function fieldType(field) {
  const resolved = field.resolvedType
  const type =
    resolved === null ? scalarType(field) : resolved instanceof protobuf.Enum ? 'number' : resolved.name
  if (field.map) throw new Error(`${field.fullName}: maps have no rule yet`)
  if (field.repeated) return `readonly ${type}[]`
  return resolved instanceof protobuf.Type || field.partOf ? `${type} | null` : type
}

function renderMessages(root) {
  const types = collect(root, protobuf.Type)
  const lines = [
    '// Generated from proto/ by generate.js; a test compares. Records as decoded: every field is there, with',
    '// its default if it was not sent. A message, or a member of a oneof, that was not sent is null.',
    '',
  ]
  for (const type of collect(root, protobuf.Enum)) {
    const values = Object.entries(type.values).map(([name, value]) => `${name}: ${value}`)
    lines.push(`/** ${plain(type)}; open: other numbers can arrive. */`)
    lines.push(`export const ${enumName(type)} = { ${values.join(', ')} } as const`, '')
  }
  /** By name; two versions of a service may bring the same message, which is rendered once. */
  const rendered = new Map()
  for (const type of types) {
    const fields = type.fieldsArray.map(field => `readonly ${field.name}: ${fieldType(field)}`)
    const known = rendered.get(type.name)
    if (known === fields.join()) continue
    if (known !== undefined) throw new Error(`two messages are called ${type.name} and differ`)
    rendered.set(type.name, fields.join())
    if (fields.length === 0) lines.push(`export type ${type.name} = Readonly<Record<never, never>>`, '')
    else lines.push(`export interface ${type.name} {`, ...fields, '}', '')
  }
  lines.push('export interface Messages {')
  for (const type of types) lines.push(`'${plain(type)}': ${type.name}`)
  lines.push('}', '', 'export interface Rpcs {')
  for (const method of collect(root, protobuf.Service).flatMap(service => service.methodsArray)) {
    const name = `${plain(method.parent)}/${method.name}`
    const request = plain(method.resolvedRequestType)
    lines.push(`'${name}': { request: '${request}', response: '${plain(method.resolvedResponseType)}' }`)
  }
  lines.push('}', '')
  const ids = types.flatMap(type =>
    type.fieldsArray
      .filter(field => /^u?int64$/.test(field.type) && IDS.has(field.name))
      .map(field => `'${plain(field)}'`),
  )
  lines.push('/** 64-bit fields that are identities and so bigints; all others are counts and so numbers. */')
  lines.push(`export const ID_FIELDS: ReadonlySet<string> = new Set([${ids.join(', ')}])`, '')
  return lines.join('\n')
}

const root = readProtos()
const config = { ...(await prettier.resolveConfig(join(here, 'src/messages.ts'))) }
const outputs = {
  'src/bundle.json': await prettier.format(JSON.stringify(root.toJSON()), { ...config, parser: 'json' }),
  'src/messages.ts': await prettier.format(renderMessages(root), { ...config, parser: 'typescript' }),
}
const write = !process.argv.includes('--check')
for (const [path, text] of Object.entries(outputs)) {
  const target = join(here, path)
  if (write) writeFileSync(target, text)
  else if (readFileSync(target, 'utf8') !== text) {
    console.error(
      `${relative(here, target)} is not what proto/ says: run \`node packages/protocol/generate.js\``,
    )
    process.exitCode = 1
  }
}
