import t from 'tap'
import { KvorumError } from '@kvorum/client'
import { run } from '#src/run.js'
import { base64, record, type Script } from './fakes.js'

const LIST = 'kvorum.v1.Shard/List'
const SPLIT = 'kvorum.v1.Shard/Split'
const MOVE = 'kvorum.v1.Shard/Move'
const TRANSFER = 'kvorum.v1.Shard/Transfer'
const PLAN = 'kvorum.v1.Shard/Plan'
const DRAIN = 'kvorum.v1.Shard/Drain'

async function play(line: string, script: Script = {}) {
  const recorder = record(script)
  const status = await run(recorder.io, line.split(' '))
  return { status, out: recorder.out(), err: recorder.err(), calls: recorder.calls }
}

const lines = (...all: readonly string[]): string => `${all.join('\n')}\n`

const SHARDS = {
  map_version: '4',
  shards: [
    {
      shard: '1',
      end: base64('m'),
      epoch: '2',
      leader_id: '10',
      replica_ids: ['10', '11'],
      logical_bytes: '70',
    },
    {
      shard: '3',
      start: base64('m'),
      epoch: '2',
      replica_ids: ['10', '12'],
      state: 'SPLITTING',
      split_at: base64('t'),
      split_right: '4',
    },
    { shard: '2', start: base64('z'), epoch: '1', replica_ids: ['12'], state: 'MOVING' },
  ],
  nodes: [
    { node_id: '10', name: 'a', connected: true, shards: '2', leads: '1' },
    { node_id: '11', name: 'b', shards: '1', draining: true },
    { node_id: '12', connected: true, is_learner: true },
  ],
}
const answers = { [LIST]: SHARDS }

t.test('shard list', async t => {
  t.equal(
    (await play('shard list', { answers })).out,
    lines(
      '1, "", "m", a, a b, 2, 70, steady',
      '3, "m", -, ?, a c, 2, 0, splitting at "t" into 4',
      '2, "z", -, ?, c, 1, 0, moving',
    ),
  )
  const json = (await play('shard list -w json', { answers })).out
  t.match(json, '"shards":[{"shard":1,"end":"bQ==","epoch":2,"leader_id":10,"replica_ids":[10,11],')
  t.match(json, '"state":1,"split_at":"dA==","split_right":4')
  t.match((await play('shard list -w table', { answers })).out, /\| SHARD \|.*\n.*\n\| +1 \| +"" \| "m" \|/)
  t.match((await play('shard list -w fields', { answers })).out, /"Shard" : 1\n"Start" : ""\n"End" : "m"\n/)
})

t.test('shard list tells of shards that have lost their majority', async t => {
  const shard = (facts: object) => ({ shard: '1', epoch: '1', ...facts })
  const shards = [
    shard({ replica_ids: ['10', '11', '99'] }),
    shard({ replica_ids: ['11', '99'], state: 'MOVING' }),
    shard({ replica_ids: ['10', '11', '12'] }),
    shard({ replica_ids: ['11', '99', '10'], leader_id: '10' }),
  ]
  t.equal(
    (await play('shard list', { answers: { [LIST]: { ...SHARDS, shards } } })).out,
    lines(
      '1, "", -, ?, a b 63, 1, 0, no majority',
      '1, "", -, ?, b 63, 1, 0, moving, no majority',
      '1, "", -, ?, a b c, 1, 0, steady',
      '1, "", -, a, b 63 a, 1, 0, steady',
    ),
  )
})

t.test('node list', async t => {
  t.equal(
    (await play('node list', { answers })).out,
    lines('a, a, connected, 2, 1', 'b, b, missing draining, 1, 0', 'c, , connected learner, 0, 0'),
  )
  t.match(
    (await play('node list -w table', { answers })).out,
    /\| ID \| NAME \| +STATE +\| SHARDS \| LEADS \|/,
  )
  t.match((await play('node list -w fields', { answers })).out, /"NodeID" : 11\n"Name" : "b"\n/)
})

t.test('shard split', async t => {
  t.match(await play('shard split --at m', { answers: { [SPLIT]: { right: '4' } } }), {
    status: 0,
    out: 'The keys from "m" on go to shard 4\n',
    calls: [{ name: SPLIT, request: { at: Buffer.from('m'), shard: 0 } }],
  })
  t.match((await play('shard split --at m --shard 3')).calls, [{ request: { shard: 3 } }])
  t.match(await play('shard split'), { status: 2, err: /--at is needed/, calls: [] })
  t.match(await play('shard split --at m --shard x'), { status: 2, err: /"x" is not the number of a shard/ })
  const told = 'kvorum: an operation on this shard is under way'
  const refusal = new KvorumError('ERR_KV_FAILED_PRECONDITION', told)
  t.match(await play('shard split --at m', { answers: { [SPLIT]: refusal } }), {
    status: 1,
    out: '',
    err: `Error: ${told}`,
  })
})

t.test('shard move and transfer take names and ids', async t => {
  t.match(await play('shard move 1 --from b --to c', { answers }), {
    status: 0,
    out: 'A replica of shard 1 moves from b to c; kvorum shard list shows when it is there\n',
    calls: [{ name: LIST }, { name: MOVE, request: { shard: 1, from_id: 11n, to_id: 12n } }],
  })
  t.match(await play('shard transfer 1 --to b', { answers }), {
    status: 0,
    out: 'Shard 1 is led by b\n',
    calls: [{ name: LIST }, { name: TRANSFER, request: { shard: 1, to_id: 11n } }],
  })
  t.match(await play('shard move 1 --from b --to x', { answers }), {
    status: 1,
    err: 'Error: there is no member "x"; kvorum node list shows them',
    calls: [{ name: LIST }],
  })
  t.match(await play('shard move 1 --to b'), { status: 2, err: /--from and --to are needed/ })
  t.match(await play('shard move 0 --from a --to b'), { status: 2, err: /"0" is not the number of a shard/ })
  t.match(await play('shard transfer 1'), { status: 2, err: /--to is needed/ })
})

t.test('what a server refuses is one sentence, and status 1', async t => {
  const member = new KvorumError('ERR_KV_NOT_FOUND', 'etcdserver: member not found')
  const full = new KvorumError(
    'ERR_KV_FAILED_PRECONDITION',
    'kvorum: the member holds as many shards as it may',
  )
  const nowhere = new KvorumError(
    'ERR_KV_FAILED_PRECONDITION',
    'kvorum: the replicas of the member have nowhere to go: add a member first',
  )
  for (const [line, name, refusal] of [
    ['shard move 1 --from b --to c', MOVE, member],
    ['shard move 1 --from b --to c', MOVE, full],
    ['shard transfer 1 --to b', TRANSFER, member],
    ['node drain b', DRAIN, nowhere],
  ] as const) {
    const played = await play(line, { answers: { ...answers, [name]: refusal } })
    t.strictSame([played.status, played.out], [1, ''], line)
    t.equal(played.err, `Error: ${refusal.message}`)
  }
})

t.test('shard plan', async t => {
  t.match(
    (await play('shard plan')).out,
    /^Nothing to do: every member has a replica of every shard, and the leaders/,
  )
  const quiet = { [PLAN]: { replicas: '3' } }
  t.equal(
    (await play('shard plan', { answers: quiet })).out,
    'Nothing to do: of all shards that have a majority, the replicas and the leaders are where they should be.\n',
  )
  const busy = {
    [PLAN]: {
      replicas: '3',
      automatic: true,
      steps: [
        { kind: 'MOVE', shard: '1', from_id: '10', to_id: '11', reason: 'NODE_DEAD' },
        { kind: 'MOVE', shard: '2', to_id: '11', reason: 'TOO_FEW_REPLICAS' },
        { kind: 'MOVE', shard: '2', from_id: '11', reason: 'TOO_MANY_REPLICAS' },
        { kind: 'TRANSFER', shard: '3', from_id: '11', to_id: '10', reason: 'LEADERS_UNEVEN' },
        { kind: 'SPLIT', shard: '4', reason: 'BYTES_MANY', split_at: Buffer.from('k').toString('base64') },
      ],
    },
  }
  t.equal(
    (await play('shard plan', { answers: busy })).out,
    lines(
      'shard 1: a replica moves from a to b, because it has been missing for too long',
      'shard 2: a new replica to b, because the shard has too few replicas',
      'shard 2: a replica goes from b, because the shard has too many replicas',
      'shard 3: the leadership goes from b to a, because it leads more shards than others',
      'shard 4: it is split at "k", because it has more bytes than a shard is to have',
    ),
  )
  t.match((await play('shard plan -w json', { answers: busy })).out, '"kind":1,"shard":3,"from_id":11')
  t.match((await play('shard plan -w table', { answers: busy })).out, /transfer \|.*LEADERS_UNEVEN/)
  t.match((await play('shard plan -w table', { answers: busy })).out, /split at "k" \|.*BYTES_MANY/)
})

t.test('node drain', async t => {
  t.match(await play('node drain b', { answers }), {
    status: 0,
    out: 'Member b is being drained; kvorum node list shows how far that is\n',
    calls: [{ name: LIST }, { name: DRAIN, request: { node_id: 11n, undo: false } }],
  })
  t.match((await play('node undrain b', { answers })).calls, [
    { name: LIST },
    { name: DRAIN, request: { node_id: 11n, undo: true } },
  ])
})
