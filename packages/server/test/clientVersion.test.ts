import { Metadata } from '@grpc/grpc-js'
import t from 'tap'
import { bytes, fails, withServer } from './caller.js'

const RANGE = 'etcdserverpb.KV/Range'
const key = bytes('k')

const version = (value: string): Metadata => {
  const metadata = new Metadata()
  metadata.set('client-api-version', value)
  return metadata
}

t.test('calls are counted by the version of their clients, and there are only so many versions', t =>
  withServer(t, async (caller, { url }) => {
    await caller.call(RANGE, { key })
    for (let i = 0; i < 3; i++) await caller.call(RANGE, { key }, version('3.5.9'))
    for (let i = 0; i < 60; i++) await caller.call(RANGE, { key }, version(`1.0.${i}`))
    await fails(
      t,
      caller.call(RANGE, { key }, version('x'.repeat(65))),
      3,
      'etcdserver: invalid client api version',
    )
    const stream = caller.open('etcdserverpb.Lease/LeaseKeepAlive', version('3.5.9'))
    stream.send({ ID: 1n })
    await new Promise(resolve => stream.call.once('data', resolve))
    stream.call.cancel()
    const metrics = await (await fetch(`${url}/metrics`)).text()
    const counts = Object.fromEntries(
      [...metrics.matchAll(/^etcd_server_client_requests_total\{(.*)\} (\d+)$/gm)].map(row => [
        row[1],
        row[2],
      ]),
    )
    t.equal(counts['type="unary",client_api_version="unknown"'], '1')
    t.equal(counts['type="unary",client_api_version="3.5.9"'], '3')
    t.equal(counts['type="stream",client_api_version="3.5.9"'], '1')
    t.equal(counts['type="unary",client_api_version="1.0.0"'], '1')
    t.equal(counts['type="unary",client_api_version="other"'], '11')
    t.equal(Object.keys(counts).length, 53)
  }),
)
