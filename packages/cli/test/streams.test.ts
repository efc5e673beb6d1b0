import t from 'tap'
import { KvorumError, type RawStream } from '@kvorum/client'
import { leaseId } from '@kvorum/model'
import { codec, type pb } from '@kvorum/protocol'
import { keepAliveResponses, watchResponses, type StreamSource } from '#src/streams.js'
import { pair } from './fakes.js'

const LOST = new KvorumError('ERR_KV_UNAVAILABLE', 'connection dropped', { retryable: true })

/** Streams that answer from a script, one after the other; an Error is how a stream ends. */
function source(
  message: 'etcdserverpb.WatchResponse' | 'etcdserverpb.LeaseKeepAliveResponse',
  scripts: readonly (readonly (object | Error)[] | Error)[],
) {
  const sent: unknown[][] = []
  const open: StreamSource['stream'] = async () => {
    const script = scripts[sent.length] ?? new Error('no more streams')
    const requests: unknown[] = []
    sent.push(requests)
    if (script instanceof Error) throw script
    const stream: RawStream<never, never> = {
      send: request => void requests.push(request),
      halfClose: () => undefined,
      cancel: () => undefined,
      [Symbol.asyncIterator]: async function* () {
        for (const each of script) {
          if (each instanceof Error) throw each
          yield codec(message).fromJson(each) as never
        }
      },
    }
    return stream as never
  }
  return { sent, source: { stream: open } }
}

const event = (revision: number): object => ({
  kv: pair('k', `v${revision}`, { mod_revision: String(revision) }),
})
const created = (revision: number): object => ({ created: true, header: { revision: String(revision) } })
const revisions = (response: pb.WatchResponse): (number | undefined)[] =>
  response.events.map(each => each.kv?.mod_revision)

async function collect(responses: AsyncIterable<pb.WatchResponse>) {
  const seen: (number | undefined)[] = []
  let failure: unknown = null
  try {
    for await (const response of responses) seen.push(...revisions(response))
  } catch (error) {
    failure = error
  }
  return { seen, failure }
}

t.test('a watch goes on where it was when its server is lost', async t => {
  const { source: streams, sent } = source('etcdserverpb.WatchResponse', [
    [created(4), { events: [event(5), event(6)] }, LOST],
    [created(8), LOST],
    [created(9), { events: [event(6), event(7)] }, { events: [event(8)] }, { canceled: true }],
  ])
  const { seen, failure } = await collect(watchResponses(streams, { key: Buffer.from('k') }))
  t.strictSame(seen, [5, 6, 7, 8], 'nothing twice, nothing left out')
  t.equal(failure, null, 'a cancellation by the server is the end, not a failure')
  t.match(sent, [
    [{ create_request: { start_revision: 0 } }],
    [{ create_request: { start_revision: 7 } }],
    [{ create_request: { start_revision: 7 } }],
  ])
})

t.test('a watch without events goes on from where it was created', async t => {
  const { source: streams, sent } = source('etcdserverpb.WatchResponse', [
    [created(4), LOST],
    [created(9), { canceled: true }],
  ])
  await collect(watchResponses(streams, { key: Buffer.from('k') }))
  t.match(sent[1], [{ create_request: { start_revision: 5 } }], 'what happened meanwhile is not lost')
})

t.test('a watch fails where waiting does not help', async t => {
  const nobody = new KvorumError('ERR_KV_NOT_CONNECTED', 'no server can be reached', { retryable: true })
  for (const error of [nobody, new KvorumError('ERR_KV_PERMISSION_DENIED', 'no')]) {
    const { source: streams, sent } = source('etcdserverpb.WatchResponse', [error])
    t.equal((await collect(watchResponses(streams, { key: Buffer.from('k') }))).failure, error)
    t.equal(sent.length, 1)
  }
  const refused = source('etcdserverpb.WatchResponse', [[{ created: true, canceled: true, watch_id: '-1' }]])
  const responses: pb.WatchResponse[] = []
  for await (const response of watchResponses(refused.source, { key: Buffer.from('k') }))
    responses.push(response)
  t.match(responses, [{ created: true, canceled: true }], 'a refusal is handed on')
})

t.test('a lease is renewed until it is gone', async t => {
  const { source: streams, sent } = source('etcdserverpb.LeaseKeepAliveResponse', [
    [{ ID: '7', TTL: '1' }, { ID: '7' }],
  ])
  const ttls: number[] = []
  for await (const { TTL } of keepAliveResponses(streams, leaseId(7n))) ttls.push(TTL)
  t.strictSame(ttls, [1, 0])
  t.strictSame(sent, [[{ ID: 7n }, { ID: 7n }]], 'one request per answer')
})
