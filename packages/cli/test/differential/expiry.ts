import { difference, normalise } from './normalise.js'
import type { Run, Side } from './run.js'
import type { Step } from './steps.js'
import type { Message } from './target.js'
import { WHOLE_LEDGER } from './watchEvents.js'

type ExpiryStep = Extract<Step, { kind: 'expire' }>

const NEVER_MS = 30_000
const POLL_MS = 200
/** Seconds; what lives longer than this does not end in a sequence. */
export const SHORT_TTL = 100
/** Leases end by the servers' clocks: what takes longer than this after a grant or renewal proves nothing. */
export const sureMs = (ttl: number): number => 750 * ttl

/** Waits until both servers have ended the leases that are to end, and compares by which deletions. */
export async function takeExpiry(run: Run, step: ExpiryStep): Promise<string | null> {
  const before = run.marks.now
  const late = await Promise.all([outlive(run.etcd, step), outlive(run.kvorum, step)])
  run.late ||= late.some(Boolean)
  run.sureUntil = performance.now() + sureMs(step.keptTtl) - 2 * POLL_MS
  if (run.late) return null
  const [etcd, kvorum] = await Promise.all([run.etcd, run.kvorum].map(side => deletionsAfter(side, before)))
  return difference(etcd, kvorum, 'deletions')
}

/** True: leases that were to live have had to wait too long for their keep-alive. */
async function outlive({ target }: Side, { gone, kept, keptTtl }: ExpiryStep): Promise<boolean> {
  const start = performance.now()
  let fed = start
  for (;;) {
    for (const ID of kept) await target.keepAlive({ ID })
    const now = performance.now()
    if (now - fed > sureMs(keptTtl)) return true
    fed = now
    const listed = await target.grpc('etcdserverpb.Lease/LeaseLeases', {})
    const left = listed.kind === 'ok' ? (listed.message['leases'] as { ID: bigint }[]) : []
    if (now - start > 1_000 * keptTtl && !left.some(({ ID }) => gone.includes(ID))) return false
    if (now - start > 1_000 * keptTtl + NEVER_MS) throw new Error(`${target.name}: leases do not end`)
    await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }
}

/** The keys that went together, of every revision; which lease ended first is up to the server. */
async function deletionsAfter({ target, names }: Side, revision: number): Promise<unknown> {
  const stream = target.watchStream()
  try {
    stream.send({ create_request: { ...WHOLE_LEDGER, start_revision: revision + 1 } })
    const all = { key: WHOLE_LEDGER.key, range_end: WHOLE_LEDGER.range_end, count_only: true }
    const read = await target.grpc('etcdserverpb.KV/Range', all)
    const now = read.kind === 'ok' ? Number((read.message['header'] as Message)['revision']) : NaN
    const events = (): Message[] => stream.said.flatMap(message => message['events'] as Message[])
    const modOf = (event: Message): number => Number((event['kv'] as Message)['mod_revision'])
    await stream.until(() => now === revision || events().some(event => modOf(event) === now))
    const groups = new Map<number, unknown[]>()
    for (const event of events()) {
      const group = groups.get(modOf(event)) ?? []
      groups.set(modOf(event), group)
      group.push(normalise({ ...event, kv: keyOf(event) }, names))
    }
    return {
      revisions: now - revision,
      groups: [...groups.values()].map(group => JSON.stringify(group)).sort(),
    }
  } finally {
    stream.close()
  }
}

const keyOf = (event: Message): unknown => (event['kv'] as Message)['key']
