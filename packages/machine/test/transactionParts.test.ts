import t from 'tap'
import {
  encodeReply,
  encodeShardCommand,
  groupId,
  intersectRanges,
  isEmptyRange,
  opFor,
  toHex,
  type Judgement,
  type KeyRange,
  type Op,
  type OpReply,
  type RangeOp,
  type RangeReply,
} from '@kvorum/model'
import {
  chooseBranches,
  createMachine,
  isLong,
  joinAnswers,
  mergeRanges,
  partOfRange,
  readPart,
  readRange,
  refusalOf,
  showCommand,
  workTransaction,
  type TransactionTask,
} from '@kvorum/machine'
import { randomCommand, randomRange } from './generate.js'
import { createRandom, type Random } from './random.js'
import { checksum, createShard, drive, execute, flush, purge, read, type Shard } from './shard.js'

/** Operations over several shards answer and write what one shard with all the keys does. */

const CUTS = ['', '6100', '62', 'ff', null]
const RANGES: KeyRange[] = CUTS.slice(0, -1).map((start, i) => {
  const end = CUTS[i + 1]
  return { start: Buffer.from(start!, 'hex'), end: end === null ? null : Buffer.from(end!, 'hex') }
})

function createParts(): Shard[] {
  return RANGES.map((range, i) => {
    const shard = createShard()
    const longCommand = { rows: 3, bytes: 1_000 }
    shard.machine = createMachine({ group: groupId(i + 1), checksum, range, longCommand })
    return shard
  })
}

/** Any command in the part's log: which one is of no importance here. */
const DATA = encodeShardCommand({ kind: 'publish', index: 1 })

function apply(shard: Shard, task: TransactionTask) {
  const at = { index: shard.machine.applied + 1, term: 1, data: DATA }
  const entry = { task, remembered: null, commit: () => undefined }
  shard.log.push(DATA)
  const worked = drive(shard, workTransaction(shard.machine, shard.overlay, at, null, entry))
  const long = isLong(worked)
  return { long, applied: showCommand(worked) }
}

function judge(shard: Shard, op: Op): Judgement {
  let judged: Judgement | null = null
  const reply = (judgement: Judgement) => {
    judged = judgement
    return { kind: 'done' } as const
  }
  const { applied } = apply(shard, { kind: 'prepare', work: { kind: 'op', op }, reply })
  if (!applied.result.ok || judged === null) throw new Error('a prepare was refused')
  return judged
}

interface Outcome {
  readonly code: string | null
  readonly op: OpReply | null
}

function runOver(parts: readonly Shard[], op: Op, before: number): Outcome & { readonly long: boolean } {
  const ops = parts.map(({ machine }) => opFor(op, machine.range))
  const judgements = parts.map((part, i) => judge(part, ops[i]!))
  const branches = chooseBranches(op, judgements)
  const error = refusalOf(op, branches, judgements, before)
  if (error !== null) return { code: error.code, op: null, long: false }
  const revision = before + 1
  let long = false
  let changed = false
  const answers = parts.map((part, i) => {
    const work = { kind: 'op', op: ops[i]! } as const
    const task = { kind: 'carryOut', work, branches, revision, reply: { kind: 'done' } } as const
    const done = apply(part, task)
    long ||= done.long
    changed ||= done.applied.changed
    if (!done.applied.result.ok) throw new Error('an outcome was refused')
    const answer = read(part, reader => readPart(reader, ops[i]!, branches, revision))
    if (!answer.ok) throw new Error(answer.error.code)
    return answer.value
  })
  return { code: null, op: joinAnswers(op, branches, answers, changed ? revision : before), long }
}

function readOver(parts: readonly Shard[], op: RangeOp): RangeReply {
  const pieces: RangeReply[] = []
  for (const part of parts) {
    const range = intersectRanges(op.range, part.machine.range)
    if (isEmptyRange(range)) continue
    const answer = read(part, reader =>
      readRange({ ...reader, revision: 1e9 }, { ...partOfRange(op), range }),
    )
    if (!answer.ok) throw new Error(answer.error.code)
    pieces.push(answer.value.reply)
  }
  const merged = mergeRanges(op, pieces, Infinity)
  if (!merged.ok) throw new Error(merged.error.code)
  return merged.value
}

/** As bytes: whatever the order of their fields, equal answers are equal. */
const plain = (op: OpReply | null): string => (op === null ? '' : toHex(encodeReply({ kind: 'op', op })))
const plainOutcome = ({ code, op }: Outcome): string => `${code ?? ''} ${plain(op)}`

function runSeed(random: Random, seed: number): { compared: number; long: number } {
  const whole = createShard()
  const parts = createParts()
  const seen = { compared: 0, long: 0 }
  for (let step = 0; step < 100; step++) {
    const before = whole.machine.revision
    const command = randomCommand(random, before)
    const name = `seed ${seed} step ${step}`
    if (command.kind === 'leaseRevoke') continue
    const { reply, error } = execute(whole, command)
    // One key is never of several shards, and a put that stands alone is refused in an order of its own.
    if (command.kind === 'write' && command.op.kind !== 'put') {
      const wanted = { code: error?.code ?? null, op: reply?.kind === 'op' ? reply.op : null }
      const { long, ...found } = runOver(parts, command.op, before)
      if (plainOutcome(found) !== plainOutcome(wanted))
        t.equal(plainOutcome(found), plainOutcome(wanted), name)
      if (long) seen.long++
      seen.compared++
    } else if (command.kind === 'compact') {
      // Which revision a cluster compacts at is not this shard's affair.
      for (const { machine } of parts) machine.compactRevision = whole.machine.compactRevision
      if (random.chance(0.5)) for (const part of parts) purge(part)
    } else if (command.kind === 'write') {
      if (error === null) runOver(parts, command.op, before)
    } else for (const part of parts) execute(part, command)
    if (random.chance(0.1)) for (const shard of [whole, ...parts]) flush(shard)
    const op = randomRange(random, whole.machine.revision)
    const read1 = read(whole, reader => readRange(reader, op))
    if (!read1.ok) continue
    const joined = plain(readOver(parts, op))
    if (joined !== plain(read1.value.reply)) t.equal(joined, plain(read1.value.reply), `${name}: a read`)
  }
  return seen
}

t.test('an operation over four shards is what it is in one', async t => {
  let compared = 0
  let long = 0
  for (let seed = 1; seed <= 25; seed++) {
    const seen = runSeed(createRandom(seed), seed)
    compared += seen.compared
    long += seen.long
  }
  t.ok(compared > 800, `${compared} operations`)
  t.ok(long > 50, `${long} of them were long in one shard`)
})

t.test('an outcome may be applied behind greater revisions', async t => {
  const [part] = createParts()
  const shard = part!
  const key = (name: string) => ({ start: Buffer.from(name), end: Buffer.from(`${name}\0`) })
  const put = (name: string): Op => ({
    kind: 'put',
    key: Buffer.from(name),
    value: Buffer.from('v'),
    lease: 0n as never,
    prevKv: true,
    ignoreValue: false,
    ignoreLease: false,
  })
  const carryOut = (op: Op, revision: number) =>
    apply(shard, {
      kind: 'carryOut',
      work: { kind: 'op', op },
      branches: [],
      revision,
      reply: { kind: 'done' },
    })
  carryOut(put('A'), 5)
  carryOut(put('B'), 9)
  carryOut(put('A'), 7)
  t.equal(shard.machine.revision, 9, 'the newest stays the newest')
  const readAt = (revision: number): unknown => {
    const op: RangeOp = {
      ...randomRange(createRandom(1), 1),
      ...{ range: key('A'), revision, limit: 0, keysOnly: false, countOnly: false },
      ...{ minMod: 0, maxMod: 0, minCreate: 0, maxCreate: 0 },
    }
    const answer = read(shard, reader => readRange(reader, op))
    return answer.ok ? answer.value.reply.kvs.map(({ mod, version }) => [mod, version]) : answer.error.code
  }
  t.strictSame([readAt(4), readAt(6), readAt(7), readAt(0)], [[], [[5, 1]], [[7, 2]], [[7, 2]]])
  const again = read(shard, reader => readPart(reader, put('A'), [], 7))
  t.match(again, { ok: true, value: [{ kind: 'put', prev: { mod: 5, version: 1 } }] }, 'as often as asked')
})
