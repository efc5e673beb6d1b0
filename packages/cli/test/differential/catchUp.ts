import type { Run } from './run.js'

/** A linearizable read through the same member waits until that has applied everything that was acknowledged. */
export async function catchUp(
  run: Run,
  asked: string | undefined,
  client: number | undefined,
): Promise<void> {
  const { target } = run.kvorum
  const as = !run.guarded ? undefined : target.tokens.has('root') ? 'root' : asked
  await target.grpc('etcdserverpb.KV/Range', { key: Buffer.from('a'), count_only: true }, as, client)
}
