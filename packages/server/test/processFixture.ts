import { runServerProcess } from '@kvorum/server'
import { FakeNode } from './fakeNode.js'

/** A server process over a fake node. TROUBLE says what goes wrong: hang, reject or fatal. */
const trouble = process.env['TROUBLE']

await runServerProcess({
  argv: process.argv.slice(2),
  createNode: async ({ fatal }) => {
    const node = new FakeNode()
    if (trouble === 'hang') node.stop = () => new Promise(() => {})
    if (trouble === 'reject') setImmediate(() => void Promise.reject(new Error('nobody listens')))
    if (trouble === 'fatal') setImmediate(() => fatal('the log cannot be synced'))
    return Promise.resolve(node)
  },
})
