import {
  encodeShardCommand,
  leaseId,
  LIMITS,
  pointRange,
  sessionId,
  utf8,
  type SessionId,
  type ShardCommand,
} from '@kvorum/model'
import t from 'tap'
import {
  applyNext,
  catchUp,
  createShard,
  execute,
  flush,
  restart,
  type Outcome,
  type Shard,
} from './shard.js'

const LEASE = leaseId(7n)
const put = (key: string, value: string): ShardCommand => ({
  kind: 'write',
  op: {
    kind: 'put',
    key: utf8(key),
    value: utf8(value),
    lease: leaseId(0n),
    prevKv: true,
    ignoreValue: false,
    ignoreLease: false,
  },
})

function open(shard: Shard, lease = LEASE): SessionId {
  execute(shard, { kind: 'leaseGrant', id: lease, ttl: 60 })
  const { reply } = execute(shard, { kind: 'sessionOpen', lease })
  if (reply?.kind !== 'sessionOpened') throw new Error('no session')
  return reply.id
}

function send(
  shard: Shard,
  session: SessionId,
  sequence: number,
  command: ShardCommand,
  acknowledgedBelow = 1,
): Outcome {
  const header = { authRevision: null, session: { session, sequence, acknowledgedBelow } }
  shard.log.push(encodeShardCommand(command, header))
  return applyNext(shard)
}

const versionOf = (shard: Shard, key: string): number => {
  const compare = { range: pointRange(utf8(key)), result: 'greater', target: 'version', operand: 0 } as const
  for (let version = 0; ; version++) {
    const { reply } = execute(shard, {
      kind: 'write',
      op: { kind: 'txn', compares: [{ ...compare, operand: version }], success: [], failure: [] },
    })
    if (reply?.kind === 'op' && reply.op.kind === 'txn' && !reply.op.succeeded) return version
  }
}

t.test('the same sequence has one effect and one answer, whatever happens in between', async t => {
  for (const between of [
    () => undefined,
    flush,
    (shard: Shard) => {
      flush(shard)
      restart(shard)
    },
    restart,
  ]) {
    const shard = createShard()
    const session = open(shard)
    const first = send(shard, session, 1, put('k', 'one'))
    t.match(first, { revision: 2, changed: true })
    between(shard)
    catchUp(shard)
    execute(shard, put('other', 'x'))
    const again = send(shard, session, 1, put('k', 'one'))
    t.match(again, { revision: 2, changed: false, events: null })
    t.strictSame(again.reply, first.reply)
    t.equal(shard.machine.revision, 3)
    t.equal(versionOf(shard, 'k'), 1)
    t.match(send(shard, session, 2, put('k', 'two')), { revision: 4, changed: true })
  }
})

t.test('a refusal is an answer like any other', async t => {
  const shard = createShard()
  const session = open(shard)
  const missing: ShardCommand = {
    kind: 'write',
    op: { ...(put('k', '') as ShardCommand & { kind: 'write' }).op, ignoreValue: true } as never,
  }
  t.match(send(shard, session, 1, missing), { error: { code: 'keyNotFound', outcome: 'notApplied' } })
  execute(shard, put('k', 'there now'))
  flush(shard)
  restart(shard)
  t.match(send(shard, session, 1, missing), { error: { code: 'keyNotFound' }, changed: false })
  t.equal(versionOf(shard, 'k'), 1)
})

t.test('what is acknowledged is forgotten, and never carried out again', async t => {
  const shard = createShard()
  const session = open(shard)
  for (let sequence = 1; sequence <= 5; sequence++) send(shard, session, sequence, put('k', `${sequence}`))
  const { sessions } = shard.machine
  t.equal(sessions.byId.get(session)?.replies.size, 5)
  send(shard, session, 6, put('k', '6'), 6)
  t.strictSame([...sessions.byId.get(session)!.replies.keys()], [6])
  flush(shard)
  restart(shard)
  t.strictSame([...shard.machine.sessions.byId.get(session)!.replies.keys()], [6])
  t.match(send(shard, session, 3, put('k', '3')), {
    error: { code: 'sequenceAcknowledged', outcome: 'unknown' },
    changed: false,
  })
  t.equal(versionOf(shard, 'k'), 6)
})

t.test('a session ends with its lease; nobody can tell then what became of a write', async t => {
  const shard = createShard()
  const session = open(shard)
  send(shard, session, 1, put('k', 'one'))
  execute(shard, { kind: 'leaseRevoke', id: LEASE })
  t.equal(shard.machine.sessions.bytes, 0)
  for (const again of [() => undefined, restart]) {
    flush(shard)
    again(shard)
    t.match(send(shard, session, 1, put('k', 'one')), {
      error: { code: 'sessionNotFound', outcome: 'unknown' },
      changed: false,
    })
    t.equal(shard.machine.sessions.byId.size, 0)
  }
  t.not(open(shard), session, 'the same lease id again is another session')
  t.match(send(shard, session, 2, put('k', 'two')), { error: { code: 'sessionNotFound' } })
})

t.test('openings that cannot be', async t => {
  const shard = createShard()
  t.match(execute(shard, { kind: 'sessionOpen', lease: LEASE }), { error: { code: 'leaseNotFound' } })
  open(shard)
  t.match(execute(shard, { kind: 'sessionOpen', lease: LEASE }), { error: { code: 'sessionExists' } })
  t.match(send(shard, sessionId(12345n), 1, put('k', 'v')), { error: { code: 'sessionNotFound' } })
})

t.test('answers that are kept are bounded', async t => {
  const shard = createShard()
  const session = open(shard)
  for (let sequence = 1; sequence <= LIMITS.sessionRepliesMax; sequence++) {
    t.equal(send(shard, session, sequence, put('k', 'v')).error, null)
  }
  const next = LIMITS.sessionRepliesMax + 1
  t.match(send(shard, session, next, put('k', 'v')), {
    error: { code: 'tooManyRequests', outcome: 'notApplied' },
    changed: false,
  })
  t.match(send(shard, session, next, put('k', 'v'), 2), { error: null, changed: true }, 'there is room again')

  const large = createShard()
  const other = open(large)
  execute(large, put('k', 'x'.repeat(LIMITS.sessionReplyBytesMax)))
  t.match(send(large, other, 1, put('k', 'small')), { error: null, changed: true })
  t.match(send(large, other, 1, put('k', 'small')), {
    error: { code: 'responseTooLarge', outcome: 'applied' },
  })
  t.equal(versionOf(large, 'k'), 2)
})

t.test('replicas that were restarted at different times agree', async t => {
  const [one, two] = [createShard(), createShard()]
  const session = open(one)
  send(one, session, 1, put('a', '1'))
  send(one, session, 2, put('b', '2'), 2)
  send(one, session, 1, put('a', '1'))
  send(one, session, 2, put('b', '2'))
  execute(one, { kind: 'leaseRevoke', id: LEASE })
  two.log.push(...one.log)
  while (two.machine.applied < two.log.length) {
    applyNext(two)
    flush(two)
    restart(two)
  }
  t.equal(two.machine.digest, one.machine.digest)
})
