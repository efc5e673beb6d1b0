import { descriptorFiles, RPCS, STATUS, type DescriptorFile, type pb } from '@kvorum/protocol'
import { failure } from '../edge/unary.js'
import type { Edge } from '../edge/edge.js'
import type { RequestOf, ResponseOf, StreamIn, StreamOut } from './handler.js'

const REFLECTION = 'grpc.reflection.v1.ServerReflection/ServerReflectionInfo'
type Request = RequestOf<typeof REFLECTION>
type Response = ResponseOf<typeof REFLECTION>

interface Catalogue {
  readonly byFile: ReadonlyMap<string, DescriptorFile>
  readonly bySymbol: ReadonlyMap<string, DescriptorFile>
}

/** Our schema, for tools that ask for it. Answers come in the order of the questions. */
export const reflection = (edge: Edge, out: StreamOut<Response>): StreamIn<Request> => {
  let catalogue: Promise<Catalogue> | null = null
  let answered: Promise<void> = Promise.resolve()
  const answer = async (request: Request): Promise<void> => {
    catalogue ??= readCatalogue()
    const files = await catalogue
    // The next question is read when the client has taken this answer.
    await new Promise<void>(taken => out.send(respond(files, request), taken))
    out.flow(true)
  }
  return {
    receive: request => {
      out.flow(false)
      answered = answered
        .then(() => answer(request))
        .catch((error: unknown) => out.end(failure(edge, REFLECTION, error).error))
    },
    halfClosed: () => void answered.then(() => out.end()),
    closed: () => {},
  }
}

async function readCatalogue(): Promise<Catalogue> {
  const files = await descriptorFiles()
  return {
    byFile: new Map(files.map(file => [file.name, file])),
    bySymbol: new Map(files.flatMap(file => file.symbols.map(symbol => [symbol, file]))),
  }
}

const respond = (catalogue: Catalogue, request: Request): Response => ({
  valid_host: request.host,
  original_request: request,
  ...found(catalogue, request),
})

function found(catalogue: Catalogue, request: Request): Response {
  if (request.list_services !== null) return { list_services_response: { service: SERVICES } }
  if (request.file_by_filename !== null)
    return fileOf(catalogue, catalogue.byFile.get(request.file_by_filename), request.file_by_filename)
  if (request.file_containing_symbol !== null) {
    const symbol = request.file_containing_symbol.replace(/^\./, '')
    return fileOf(catalogue, catalogue.bySymbol.get(symbol), symbol)
  }
  const type = request.all_extension_numbers_of_type
  if (type !== null && catalogue.bySymbol.has(type))
    return { all_extension_numbers_response: { base_type_name: type } }
  if (type !== null) return missing(type)
  const extension = request.file_containing_extension
  if (extension !== null) return missing(`extension ${extension.extension_number}`)
  const { grpc: error_code } = STATUS.invalidArgument
  return { error_response: { error_code, error_message: 'the request asks for nothing' } }
}

const SERVICES: readonly pb.ServiceResponse[] = [...new Set(RPCS.map(rpc => rpc.service))]
  .sort()
  .map(name => ({ name }))

/** The file, and everything it imports, directly or not. */
function fileOf({ byFile }: Catalogue, file: DescriptorFile | undefined, asked: string): Response {
  if (file === undefined) return missing(asked)
  const files = new Set([file])
  for (const each of files)
    for (const name of each.imports) {
      const imported = byFile.get(name)
      if (imported !== undefined) files.add(imported)
    }
  const file_descriptor_proto = [...files].map(({ bytes }) => bytes)
  return { file_descriptor_response: { file_descriptor_proto } }
}

const missing = (asked: string): Response => ({
  error_response: { error_code: STATUS.notFound.grpc, error_message: `not found: ${asked}` },
})
