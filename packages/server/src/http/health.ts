import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { pointRange, TRUSTED, utf8, type RangeOp, type Result } from '@kvorum/model'
import { errorFor } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'

/** null: well. Otherwise why not. */
type Check = (edge: Edge) => Promise<string | null>

/** A read of one key, which need not exist, of the keys alone. */
const PROBE: RangeOp = {
  kind: 'range',
  range: pointRange(utf8('health')),
  limit: 1,
  revision: 0,
  order: 'none',
  target: 'key',
  keysOnly: true,
  countOnly: false,
  minMod: 0,
  maxMod: 0,
  minCreate: 0,
  maxCreate: 0,
}

async function probe(edge: Edge, serializable: boolean): Promise<string | null> {
  const result: Result<unknown> = await edge.node.request(
    { kind: 'read', op: PROBE, serializable, authority: TRUSTED },
    { timeoutMs: edge.limits.requestTimeoutMs },
  )
  return result.ok ? null : errorFor(result.error).message
}

const CHECKS = {
  serializable_read: edge => probe(edge, true),
  linearizable_read: edge => probe(edge, false),
  data_corruption: edge => {
    const { alarms, groups } = edge.node.status()
    if (alarms.some(({ alarm }) => alarm === 'corrupt')) return Promise.resolve('alarm activated: CORRUPT')
    return Promise.resolve(groups.some(group => group.quarantined) ? 'a replica is quarantined' : null)
  },
  non_learner: edge => Promise.resolve(edge.node.status().learner ? 'this node is a learner' : null),
  /** The node's own opinion: it has a leader it can reach and its state machine keeps up. */
  caught_up: edge => {
    const { ready, problems } = edge.node.status()
    return Promise.resolve(ready ? null : problems.join('; ') || 'not ready')
  },
} as const satisfies Readonly<Record<string, Check>>

type CheckName = keyof typeof CHECKS

/** Alive: this process can answer at all; never a matter of quorum. Ready: send it requests. */
const PROBES: Readonly<Record<string, readonly CheckName[]>> = {
  '/livez': ['serializable_read'],
  '/readyz': ['data_corruption', 'serializable_read', 'linearizable_read', 'non_learner', 'caught_up'],
}

export function addHealth(app: FastifyInstance, edge: Edge): void {
  app.get('/health', (request, reply) => health(edge, request, reply))
  for (const [path, names] of Object.entries(PROBES)) {
    app.get(path, (request, reply) => checks(edge, path, names, request, reply))
    for (const name of names)
      app.get(`${path}/${name}`, (request, reply) => checks(edge, `${path}/${name}`, [name], request, reply))
  }
}

/** Parameters that come once or several times. */
function parameters(request: FastifyRequest, name: string): readonly string[] {
  const value = (request.query as Readonly<Record<string, string | string[] | undefined>>)[name]
  return value === undefined ? [] : [value].flat()
}

const alarmNames = (edge: Edge): string[] =>
  edge.node.status().alarms.map(({ alarm }) => (alarm === 'noSpace' ? 'NOSPACE' : 'CORRUPT'))

async function health(edge: Edge, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const serializable = parameters(request, 'serializable').includes('true')
  const excluded = new Set(parameters(request, 'exclude'))
  const alarm = alarmNames(edge).find(name => !excluded.has(name))
  let reason = ''
  if (alarm !== undefined) reason = `ALARM ${alarm}`
  else if (!serializable && !edge.leader.known()) reason = 'RAFT NO LEADER'
  else {
    const failed = await probe(edge, serializable)
    if (failed !== null) reason = `RANGE ERROR:${failed}`
  }
  edge.metrics.checked(reason === '')
  return reply
    .code(reason === '' ? 200 : 503)
    .type('application/json')
    .send(JSON.stringify({ health: reason === '' ? 'true' : 'false', reason }))
}

async function checks(
  edge: Edge,
  path: string,
  names: readonly CheckName[],
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const excluded = new Set(parameters(request, 'exclude'))
  const verdicts = await Promise.all(
    names.map(async name => ({ name, problem: excluded.has(name) ? null : await CHECKS[name](edge) })),
  )
  const lines = verdicts.map(({ name, problem }) => {
    if (excluded.has(name)) return `[+]${name} excluded: ok`
    return problem === null ? `[+]${name} ok` : `[-]${name} failed: ${problem}`
  })
  const well = verdicts.every(({ problem }) => problem === null)
  const verbose = parameters(request, 'verbose').length > 0
  const verdict = well ? 'ok' : `${path.slice(1)} check failed`
  const text = verbose || !well ? [...lines, verdict] : [verdict]
  return reply
    .code(well ? 200 : 503)
    .type('text/plain; charset=utf-8')
    .header('x-content-type-options', 'nosniff')
    .send(`${text.join('\n')}\n`)
}
