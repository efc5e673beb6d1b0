import type { Test } from 'tap'
import type { ServerProcess, StartOptions } from './serverProcess.js'

/** Starts a server that must end by itself, with one plain sentence. */
export async function refused(
  t: Test,
  node: ServerProcess,
  sentence: RegExp,
  { status = 1, ...start }: StartOptions & { readonly status?: number } = {},
): Promise<void> {
  const from = node.log.length
  node.start({ ...start, endsItself: true })
  t.equal(await node.ended(), status, `${node.plan.name} ends with status ${status}`)
  const said = node.log.slice(from)
  t.match(said, sentence, 'and says why')
  t.notMatch(said, /^\s+at .*:\d+:\d+/m, 'without a stack trace')
}
