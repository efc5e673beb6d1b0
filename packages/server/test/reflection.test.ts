import { RPCS, schema } from '@kvorum/protocol'
import protobuf from 'protobufjs'
import descriptor from 'protobufjs/ext/descriptor.js'
import t from 'tap'
import { withServer, type Caller } from './caller.js'
import { until } from './harness.js'

const V1 = 'grpc.reflection.v1.ServerReflection/ServerReflectionInfo'
const V1ALPHA = 'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo'

async function ask(caller: Caller, version: typeof V1 | typeof V1ALPHA, ...questions: object[]) {
  const stream = caller.open(version)
  for (const question of questions) stream.send(question)
  await until(() => stream.got.length === questions.length, 'the answers')
  stream.call.end()
  await until(() => stream.ended() !== null, 'the end')
  t.equal(stream.ended()!.code, 0)
  return stream.got
}

t.test('services, and the files of all of them make the schema again', t =>
  withServer(t, async caller => {
    for (const version of [V1, V1ALPHA] as const) {
      const [listed] = await ask(caller, version, { host: 'h', list_services: '' })
      const services = listed!.list_services_response!.service.map(({ name }) => name)
      t.strictSame(services, [...new Set(RPCS.map(rpc => rpc.service))].sort())
      t.match(listed, { valid_host: 'h', original_request: { host: 'h', list_services: '' } })
      const answers = await ask(caller, version, ...services.map(name => ({ file_containing_symbol: name })))
      const files = answers.flatMap(answer => answer.file_descriptor_response!.file_descriptor_proto)
      const byHex = new Map(files.map(file => [Buffer.from(file).toString('hex'), file]))
      const file = [...byHex.values()].map(bytes => descriptor.FileDescriptorProto.decode(bytes))
      const root = protobuf.Root.fromDescriptor(
        descriptor.FileDescriptorSet.encode(descriptor.FileDescriptorSet.create({ file })).finish(),
        {
          keepCase: true,
        },
      )
      root.resolveAll()
      for (const { name, request, response, requestStream, responseStream } of RPCS) {
        const [service, method] = name.split('/') as [string, string]
        const found = root.lookupService(service).methods[method]!
        t.equal(found.resolvedRequestType!.fullName, `.${request}`, name)
        t.equal(found.resolvedResponseType!.fullName, `.${response}`)
        t.strictSame(
          [found.requestStream === true, found.responseStream === true],
          [requestStream, responseStream],
        )
        const ours = schema.lookupType(request).fieldsArray
        const theirs = root.lookupType(request).fieldsArray
        const shape = (fields: readonly protobuf.Field[]) =>
          fields.map(({ name, id, type }) => [name, id, type.split('.').at(-1)])
        t.strictSame(shape(theirs), shape(ours))
      }
    }
  }),
)

t.test('files by name and symbol, what is not there, extensions', t =>
  withServer(t, async caller => {
    const [file, member, method, none, noFile, extensions, extension, nothing] = await ask(
      caller,
      V1,
      { file_by_filename: 'v3lockpb.proto' },
      { file_containing_symbol: 'etcdserverpb.RangeRequest.SortOrder' },
      { file_containing_symbol: 'v3lockpb.Lock.Unlock' },
      { file_containing_symbol: 'etcdserverpb.Nothing' },
      { file_by_filename: 'nothing.proto' },
      { all_extension_numbers_of_type: 'etcdserverpb.PutRequest' },
      { file_containing_extension: { containing_type: 'etcdserverpb.PutRequest', extension_number: 7 } },
      {},
    )
    const names = (answer: typeof file) =>
      answer!.file_descriptor_response!.file_descriptor_proto.map(
        bytes => (descriptor.FileDescriptorProto.decode(bytes) as { name?: string }).name,
      )
    t.strictSame(names(file), ['v3lockpb.proto', 'etcdserverpb.proto', 'authpb.proto', 'mvccpb.proto'])
    t.equal(names(member)[0], 'etcdserverpb.proto')
    t.strictSame(names(method), names(file))
    for (const missing of [none, noFile, extension]) t.match(missing, { error_response: { error_code: 5 } })
    t.match(extensions!.all_extension_numbers_response, { base_type_name: 'etcdserverpb.PutRequest' })
    t.match(nothing, { error_response: { error_code: 3 } })
  }),
)
