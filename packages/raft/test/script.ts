import { nextDue, propose, proposeConfig, transferLeadership } from '@kvorum/raft'
import type { ConfigChange, Message, RaftOptions } from '@kvorum/raft'
import type { Replica } from '@kvorum/model'
import {
  addHost,
  answerFetch,
  apply,
  ask,
  configOf,
  crash,
  createLab,
  deliver,
  describeConfig,
  describeMessage,
  emptyConfig,
  feed,
  flush,
  install,
  loseState,
  purge,
  rid,
  start,
  sync,
  turn,
} from './lab.js'
import type { Host, Lab } from './lab.js'
import { createOracle } from './oracle.js'

/**
 * Scenarios as text: commands, `----`, and everything that they led to. A line of a command is a verb and words;
 * the verbs are the keys of `verbs` below. `#` begins a comment line.
 */
export interface Block {
  readonly input: string
  readonly expected: string
}

export function parseScript(text: string): Block[] {
  return text
    .split(/\n\n+/)
    .map(block => block.trim())
    .filter(block => block !== '')
    .map(block => {
      const [input = '', expected = ''] = block.split(/^----$\n?/m)
      return { input: input.trimEnd(), expected: expected.trimEnd() }
    })
}

export const formatScript = (blocks: readonly Block[]): string =>
  `${blocks.map(({ input, expected }) => (hasCommand(input) ? `${input}\n----\n${expected}`.trimEnd() : input)).join('\n\n')}\n`

const isCommand = (line: string): boolean => line.trim() !== '' && !line.startsWith('#')
const hasCommand = (input: string): boolean => input.split('\n').some(isCommand)

interface Stage {
  readonly lab: Lab
  readonly cut: Set<string>
  /** Copies of messages, for replays. */
  readonly kept: Map<string, readonly Message[]>
  readonly out: string[]
}

/** Runs a script and returns its blocks with what really happened. */
export function runScript(blocks: readonly Block[]): Block[] {
  const out: string[] = []
  const stage: Stage = {
    lab: createLab(createOracle(), {}, line => out.push(line)),
    cut: new Set(),
    kept: new Map(),
    out,
  }
  return blocks.map(({ input }) => {
    for (const line of input.split('\n')) if (isCommand(line)) runLine(stage, line)
    return { input, expected: out.splice(0).join('\n') }
  })
}

function runLine(stage: Stage, line: string): void {
  const [verb = '', ...words] = line.trim().split(/\s+/)
  if (!verbs[verb]) throw new Error(`unknown command: ${line}`)
  verbs[verb](stage, words)
}

const hosts = ({ lab }: Stage): Host[] => [...lab.hosts.values()]

function hostOf({ lab }: Stage, word: string | undefined): Host {
  const host = lab.hosts.get(rid(Number(word)))
  if (!host) throw new Error(`no replica ${word}`)
  return host
}

function up(stage: Stage, word: string | undefined): Host & { raft: NonNullable<Host['raft']> } {
  const host = hostOf(stage, word)
  if (!host.raft) throw new Error(`replica ${word} is down`)
  return host as Host & { raft: NonNullable<Host['raft']> }
}

const say = (stage: Stage, refusal: string | null): void => {
  if (refusal !== null) stage.out.push(`refused: ${refusal}`)
}

/** [key, values] of words like `add 4 5 remove 1`. */
function parts(words: readonly string[], keys: readonly string[]): Map<string, number[]> {
  const found = new Map<string, number[]>(keys.map(key => [key, []]))
  let list: number[] | undefined
  for (const word of words) {
    if (found.has(word)) list = found.get(word)
    else list?.push(Number(word))
  }
  return found
}

/** Everything happens that can without time passing; messages over a cut link are lost. */
function settle(stage: Stage): void {
  const { lab } = stage
  for (;;) {
    let busy = false
    for (const host of hosts(stage)) {
      busy = turn(lab, host) || busy
      busy = sync(lab, host) || busy
      busy = apply(lab, host) || busy
      busy = answerFetch(lab, host) || busy
      busy = install(lab, host) || busy
    }
    for (const message of lab.flight.splice(0)) {
      busy = true
      move(stage, message)
    }
    if (!busy) return
  }
}

function move(stage: Stage, message: Message): void {
  const { from, to, kind } = message
  if (stage.cut.has(`${from} ${to}`)) stage.out.push(`lost: ${from}->${to} ${kind}`)
  else deliver(stage.lab, message)
}

function take(stage: Stage, from: string | undefined, to: string | undefined): Message[] {
  const wanted = (message: Message): boolean =>
    (from === undefined || message.from === Number(from)) && (to === undefined || message.to === Number(to))
  const taken = stage.lab.flight.filter(wanted)
  stage.lab.flight = stage.lab.flight.filter(message => !wanted(message))
  return taken
}

function cutOff(stage: Stage, words: readonly string[]): void {
  const [one, other] = words
  for (const { id } of hosts(stage)) {
    if (id === Number(one) || (other !== undefined && id !== Number(other))) continue
    stage.cut.add(`${one} ${id}`)
    stage.cut.add(`${id} ${one}`)
  }
}

function status(stage: Stage): void {
  for (const { id, raft, machine } of hosts(stage)) {
    if (!raft) {
      stage.out.push(`${id} down`)
      continue
    }
    const { role, term, vote, leader, base, commit, stable, lastIndex, config } = raft
    stage.out.push(
      `${id} ${role} term ${term} vote ${vote} leader ${leader} base ${base.index} applied ${machine.index}` +
        ` commit ${commit} stable ${stable} last ${lastIndex} {${describeConfig(config)}}`,
    )
    for (const { id: to, kind, match, next } of raft.progress.values())
      stage.out.push(`  ${to} ${kind} match ${match} next ${next}`)
  }
}

const verbs: Record<string, (stage: Stage, words: readonly string[]) => void> = {
  /** option name value: for the replicas that are made after it. */
  option(stage, [name = '', value]) {
    Object.assign(stage.lab.options as RaftOptions, { [name]: Number(value) })
  },
  /** group voters 1 2 3 learners 4 */
  group(stage, words) {
    const found = parts(words, ['voters', 'learners'])
    const config = configOf(found.get('voters') ?? [], found.get('learners'))
    for (const { id } of config.replicas) addHost(stage.lab, id, config)
  },
  /** new 4: a replica that knows nothing. */
  new(stage, [id]) {
    addHost(stage.lab, Number(id), emptyConfig)
  },
  campaign(stage, [id]) {
    feed(stage.lab, up(stage, id), { kind: 'campaign', now: stage.lab.now })
  },
  /** pass 100 [1 2]: time goes by; those named (or all) are ticked if something is due. */
  pass(stage, [ms, ...ids]) {
    stage.lab.now += Number(ms)
    for (const host of hosts(stage)) {
      const ticked = ids.length === 0 || ids.includes(String(host.id))
      if (ticked && host.raft && nextDue(host.raft) <= stage.lab.now)
        feed(stage.lab, host, { kind: 'tick', now: stage.lab.now })
    }
  },
  /** wait 1000: time goes by and nobody notices, as with a process that is stopped. */
  wait({ lab }, [ms]) {
    lab.now += Number(ms)
  },
  /** live 1000: time goes by in small steps, and everything happens in between. Heartbeats are not told. */
  live(stage, [ms]) {
    const told = stage.out.length
    for (let left = Number(ms); left > 0; left -= 50) {
      this['pass']?.(stage, ['50'])
      settle(stage)
    }
    const lines = stage.out.splice(told)
    stage.out.push(...lines.filter(line => !line.includes(' heartbeat')))
  },
  /** propose 1 a b, or propose 1 a*50 for fifty of them. */
  propose(stage, [id, ...words]) {
    const items = words.flatMap(word => {
      const [text, count] = word.split('*')
      const data = new TextEncoder().encode(text)
      return Array.from({ length: Number(count ?? 1) }, () => ({ kind: 'normal' as const, data }))
    })
    const proposed = propose(up(stage, id).raft, stage.lab.now, items)
    say(stage, proposed.ok ? null : proposed.refusal)
  },
  /** change 1 add 4 learner 5 promote 6 demote 2 remove 3 */
  change(stage, [id, ...words]) {
    const found = parts(words, ['add', 'learner', 'promote', 'demote', 'remove'])
    const ids = (key: string): ConfigChange['remove'] => (found.get(key) ?? []).map(rid)
    const replicas = (key: string): Replica[] =>
      ids(key).map(replica => ({ id: replica, node: BigInt(replica) as Replica['node'] }))
    const proposed = proposeConfig(up(stage, id).raft, stage.lab.now, {
      addVoters: replicas('add'),
      addLearners: replicas('learner'),
      promote: ids('promote'),
      demote: ids('demote'),
      remove: ids('remove'),
    })
    say(stage, proposed.ok ? null : proposed.refusal)
  },
  read(stage, [id, context]) {
    say(stage, ask(stage.lab, hostOf(stage, id), Number(context)))
  },
  transfer(stage, [id, to]) {
    say(stage, transferLeadership(up(stage, id).raft, stage.lab.now, rid(Number(to))))
  },
  turn(stage, [id]) {
    turn(stage.lab, up(stage, id))
  },
  sync(stage, [id]) {
    sync(stage.lab, up(stage, id))
  },
  apply(stage, [id]) {
    apply(stage.lab, up(stage, id))
  },
  /** deliver [from] [to] */
  deliver(stage, [from, to]) {
    for (const message of take(stage, from, to)) move(stage, message)
  },
  /** lose [from] [to] */
  lose(stage, [from, to]) {
    take(stage, from, to)
  },
  /** keep name from to: remembers what is in flight there. */
  keep(stage, [name = '', from, to]) {
    const messages = take(stage, from, to)
    stage.kept.set(name, messages)
    stage.lab.flight.push(...messages)
  },
  replay(stage, [name = '']) {
    for (const message of stage.kept.get(name) ?? []) {
      stage.out.push(`again: ${describeMessage(message)}`)
      deliver(stage.lab, message)
    }
  },
  run(stage) {
    settle(stage)
  },
  /** cut 1 [2]: nothing passes between them in either direction. */
  cut: cutOff,
  heal(stage) {
    stage.cut.clear()
  },
  crash(stage, ids) {
    for (const id of ids) crash(stage.lab, hostOf(stage, id))
  },
  restart(stage, ids) {
    for (const id of ids) start(stage.lab, hostOf(stage, id))
  },
  flush(stage, ids) {
    for (const id of ids) flush(hostOf(stage, id))
  },
  purge(stage, [id, to]) {
    purge(stage.lab, hostOf(stage, id), Number(to))
  },
  lost(stage, [id]) {
    loseState(stage.lab, hostOf(stage, id))
  },
  unreachable(stage, [id, to]) {
    feed(stage.lab, up(stage, id), { kind: 'unreachable', to: rid(Number(to)) })
  },
  status,
}
