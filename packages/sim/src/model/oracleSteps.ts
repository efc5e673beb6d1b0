import type { Oracle, OracleAnswer, OracleRequest } from '@kvorum/placement'
import { must } from './properties.js'
import type { Context } from './rules.js'
import { replaceAt, without, type Asker, type OracleWorld, type World } from './world.js'

/** Adds what the caller's step leads to. */
export type Emit = (label: string, to: () => World | null) => void

const setAgent = (oracle: OracleWorld, at: number, agent: Oracle<Asker>): OracleWorld => ({
  ...oracle,
  agents: replaceAt(oracle.agents, at, agent),
})

/**
 * A request goes to some leader of the meta group. At one that is deposed it never gets an answer, unless a rule is
 * broken; a request that is lost there need not be explored.
 */
export function askOracle(
  context: Context,
  world: World,
  request: OracleRequest<Asker>,
): { readonly to: World; readonly note: string } | null {
  const { rules, plan } = context
  const { oracle } = world
  const at = oracle.agents.findIndex(agent => agent.term === oracle.term)
  const agent = oracle.agents[at]!
  const asked = rules.oracleAsked(agent, request)
  if (agent.handedOut === null) return null
  const proven = plan.slowRounds ? asked : rules.oracleRoundSucceeds(rules.oracleRoundStarts(asked, 1), 1)
  return { to: { ...world, oracle: setAgent(oracle, at, proven) }, note: '' }
}

/** The same, at leaders that should not answer. */
export function askStaleOracles(
  context: Context,
  world: World,
  request: OracleRequest<Asker>,
): readonly { readonly to: World; readonly note: string }[] {
  const { rules } = context
  const found: { to: World; note: string }[] = []
  for (const [at, agent] of world.oracle.agents.entries()) {
    if (agent.term === world.oracle.term && agent.handedOut !== null) continue
    const asked = rules.oracleAsked(agent, request)
    const inRound = agent.waiting.some(({ proof }) => proof.kind === 'underWay')
    const to = { ...world, oracle: setAgent(world.oracle, at, asked) }
    if (inRound) found.push({ to, note: ` at deposed oracle ${agent.term}` })
    else if (rules.settleOracle(asked).answers.length > 0)
      found.push({ to: settle(context, to, at), note: ` at oracle ${agent.term}, which answers at once` })
  }
  return found
}

export function oracleSteps(context: Context, world: World, emit: Emit): void {
  const { rules, plan } = context
  const { oracle } = world
  for (const [at, agent] of oracle.agents.entries()) {
    const name = `oracle ${agent.term}`
    const isLeader = agent.term === oracle.term
    const change = (next: Oracle<Asker>): World => ({ ...world, oracle: setAgent(oracle, at, next) })
    const proofs = agent.waiting.map(({ proof }) => proof)
    if (plan.slowRounds && isLeader && proofs.some(({ kind }) => kind === 'wanted'))
      emit(`${name} starts a round`, () => change(rules.oracleRoundStarts(agent, 1)))
    if (proofs.some(({ kind }) => kind === 'underWay'))
      emit(`${name}'s round succeeds`, () => change(rules.oracleRoundSucceeds(agent, 1)))
    if (agent.waiting.length > 0)
      emit(`${name} answers`, () => {
        const next = settle(context, world, at)
        return next.oracle.agents[at] === agent ? null : next
      })
    const behind = oracle.committed !== null && (agent.ceiling ?? 0) < oracle.committed
    if (plan.slowCeiling && behind && agent.handedOut !== null)
      emit(`${name} applies ceiling ${oracle.committed}`, () =>
        change(rules.oracleCeilingApplied(agent, oracle.committed!, oracle.committedBy)),
      )
    if (isLeader && !oracle.open && oracle.committed !== null)
      emit(`${name} opens`, () => {
        const opened = rules.openOracle(
          rules.oracleCeilingApplied(agent, oracle.committed!, oracle.committedBy),
        )
        return { ...world, oracle: { ...setAgent(oracle, at, opened), open: true } }
      })
  }
  if (plan.oracleFailover && oracle.term === 1 && oracle.committed !== null)
    emit('another oracle is elected', () => {
      // What it has applied when it is elected may be as old as the first ceiling.
      const next = rules.electOracle<Asker>(2, Math.min(plan.ceiling, oracle.committed!), plan.window)
      return { ...world, oracle: { ...oracle, term: 2, open: false, agents: [...oracle.agents, next] } }
    })
}

function settle(context: Context, world: World, at: number): World {
  const { rules, plan } = context
  const { oracle } = world
  const before = oracle.agents[at]!
  const { oracle: agent, answers, raiseTo } = rules.settleOracle(before)
  let handed = oracle.handed
  for (const answer of answers) handed = hand(handed, answer)
  const inFlight = [...oracle.answers, ...answers]
  const next = { ...setAgent(oracle, at, agent), answers: inFlight, handed }
  if (raiseTo === null) return answers.length === 0 ? world : { ...world, oracle: next }
  // Of a deposed leader the entry is lost.
  if (agent.term !== oracle.term) return { ...world, oracle: next }
  const raised = { ...next, committed: Math.max(raiseTo, oracle.committed ?? 0), committedBy: agent.term }
  if (plan.slowCeiling) return { ...world, oracle: raised }
  const learned = setAgent(raised, at, rules.oracleCeilingApplied(agent, raiseTo, agent.term))
  return settle(context, { ...world, oracle: learned }, at)
}

function hand(handed: number, answer: OracleAnswer<Asker>): number {
  if (answer.kind === 'current') return handed
  let bits = handed
  for (let i = 0; i < answer.count; i++) bits = handOne(bits, answer.first + i)
  return bits
}

export function handOne(handed: number, revision: number): number {
  const bit = 2 ** revision
  must(revision < 31 && Math.floor(handed / bit) % 2 === 0, () => `Unique: ${revision} is handed out again`)
  return handed + bit
}

export const withoutAnswer = (world: World, at: number): World => ({
  ...world,
  oracle: { ...world.oracle, answers: without(world.oracle.answers, at) },
})
