import type protobuf from 'protobufjs/light.js'
import type { IDescriptorProto, IFileDescriptorProto } from 'protobufjs/ext/descriptor.js'
import { assert } from '@kvorum/model'
import { schema } from './schema.js'

/** One file of the schema as reflection shows it: a package, with everything in it. */
export interface DescriptorFile {
  readonly name: string
  /** Names of the files it imports. */
  readonly imports: readonly string[]
  /** Full names of its messages, enums, services and methods. */
  readonly symbols: readonly string[]
  /** An encoded FileDescriptorProto. */
  readonly bytes: Uint8Array
}

/** Made anew at each call: keep it. What makes them is loaded here, because most servers are never asked. */
export async function descriptorFiles(): Promise<DescriptorFile[]> {
  const { default: descriptor } = await import('protobufjs/ext/descriptor.js')
  const type = descriptor.FileDescriptorProto as unknown as protobuf.Type
  const set = schema.toDescriptor('proto3')
  const packages = (set.file ?? []).map(file => file.package ?? '')
  return (set.file ?? []).map(file => describe(file, packages, type))
}

/** protobufjs leaves out imports, and writes type names as the .proto file has them: tools need them whole. */
function describe(
  file: IFileDescriptorProto,
  packages: readonly string[],
  type: protobuf.Type,
): DescriptorFile {
  const scope = file.package ?? ''
  const imports = new Set<string>()
  const symbols: string[] = []
  const messages = (list: readonly IDescriptorProto[], outer: string): void => {
    for (const message of list) {
      const name = `${outer}.${message.name ?? ''}`
      symbols.push(name, ...(message.enumType ?? []).map(type => `${name}.${type.name ?? ''}`))
      const { fields } = schema.lookupType(name)
      for (const field of message.field ?? []) {
        const resolved = fields[field.name ?? '']?.resolvedType
        if (resolved === null || resolved === undefined) continue
        field.typeName = resolved.fullName
        const home = packageOf(resolved.fullName, packages)
        if (home !== scope) imports.add(fileNameOf(home))
      }
      messages(message.nestedType ?? [], name)
    }
  }
  messages(file.messageType ?? [], scope)
  symbols.push(...(file.enumType ?? []).map(type => `${scope}.${type.name ?? ''}`))
  for (const service of file.service ?? []) {
    const name = `${scope}.${service.name ?? ''}`
    symbols.push(name, ...(service.method ?? []).map(method => `${name}.${method.name ?? ''}`))
  }
  const whole = { ...file, name: fileNameOf(scope), dependency: [...imports] }
  return { name: whole.name, imports: whole.dependency, symbols, bytes: type.encode(whole).finish() }
}

const fileNameOf = (scope: string): string => `${scope.replaceAll('.', '/')}.proto`

/** The package that a name with a leading dot is in; one package's name may begin another's. */
function packageOf(fullName: string, packages: readonly string[]): string {
  const homes = packages.filter(name => fullName.startsWith(`.${name}.`))
  const home = homes.sort((a, b) => b.length - a.length)[0]
  assert(home !== undefined, () => `${fullName} is in no package`)
  return home
}
