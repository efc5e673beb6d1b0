import fc from 'fast-check'
import t from 'tap'
import { ALL_KEYS, groupId, LIMITS, nodeId, replicaId, toHex, utf8, type GroupId } from '@kvorum/model'
import {
  applyMetaCommand,
  createMetaState,
  decodeMetaState,
  encodeMetaState,
  shardMapProblem,
  shardOf,
  type MetaCommand,
  type MetaState,
} from '@kvorum/placement'

const fresh = (): MetaState =>
  createMetaState(
    [],
    [
      {
        group: groupId(1),
        range: ALL_KEYS,
        epoch: 1,
        replicas: [{ id: replicaId(1), node: nodeId(1n) }],
      },
    ],
  )

const split = (at: string, group: GroupId | null = null): MetaCommand => ({
  kind: 'splitShard',
  at: utf8(at),
  group,
})
const finish = (right: number): MetaCommand => ({ kind: 'finishSplit', right: groupId(right) })
const abandon = (right: number): MetaCommand => ({ kind: 'abandonSplit', right: groupId(right) })

/** The code of the refusal, or the kind of the answer. */
function verdict(state: MetaState, command: MetaCommand): string {
  const result = applyMetaCommand(state, command)
  return result.ok ? result.value.kind : result.error.code
}

t.test('a split is begun, carried out elsewhere, and finished', async t => {
  const state = fresh()
  const before = state.shards
  t.strictSame(applyMetaCommand(state, split('m')), { ok: true, value: { kind: 'splitBegun', right: 2 } })
  t.equal(state.shards, before, 'routing goes on as before')
  t.strictSame(decodeMetaState(encodeMetaState(state), []).operations.length, 1, 'it outlives a restart')
  t.equal(verdict(state, finish(2)), 'done')
  t.equal(shardMapProblem(state.shards), null)
  t.equal(state.shards.version, 2)
  t.strictSame(
    state.shards.shards.map(({ group, epoch, range, replicas }) => [
      group,
      epoch,
      toHex(range.start),
      range.end === null ? null : toHex(range.end),
      replicas.length,
    ]),
    [
      [1, 2, '', '6d', 1],
      [2, 2, '6d', null, 1],
    ],
    'the halves have a new epoch, and begin on the same nodes',
  )
  t.equal(verdict(state, finish(2)), 'done', 'told twice')
  t.equal(state.shards.version, 2)
})

t.test('what is refused leaves nothing behind', async t => {
  const state = fresh()
  t.equal(verdict(state, split('')), 'splitKeyInvalid', 'the first key of the shard')
  t.equal(verdict(state, split('m', groupId(9))), 'shardNotFound')
  t.equal(verdict(state, split('m')), 'splitBegun')
  t.equal(verdict(state, split('d')), 'shardBusy', 'one operation on a shard at a time')
  t.equal(verdict(state, finish(2)), 'done')
  t.equal(verdict(state, split('m')), 'splitKeyInvalid', 'there is a boundary already')
  t.equal(verdict(state, split('d', groupId(2))), 'splitKeyInvalid', 'outside the range')
  t.equal(verdict(state, split('m', groupId(1))), 'splitKeyInvalid', 'the end is outside')
  t.equal(state.operations.length, 0)
  t.equal(state.nextGroup, 3, 'no number was taken')
})

t.test('an abandoned split frees the shard, and its number is not given again', async t => {
  const state = fresh()
  t.equal(verdict(state, split('m')), 'splitBegun')
  t.equal(verdict(state, abandon(2)), 'done')
  t.equal(verdict(state, abandon(2)), 'done', 'told twice')
  t.equal(verdict(state, finish(2)), 'done', 'too late: nothing is finished')
  t.equal(state.shards.version, 1)
  t.strictSame(applyMetaCommand(state, split('m')), { ok: true, value: { kind: 'splitBegun', right: 3 } })
})

t.test('bounds', async t => {
  const state = fresh()
  const replicas = state.shards.shards[0]!.replicas
  const many = Array.from({ length: LIMITS.shardsMax }, (_, i) => ({
    group: groupId(i + 1),
    epoch: 1,
    replicas,
    range: { start: utf8(i === 0 ? '' : key(i)), end: i + 1 < LIMITS.shardsMax ? utf8(key(i + 1)) : null },
  }))
  const full = createMetaState([], many)
  t.equal(verdict(full, split(`${key(5)}x`)), 'tooManyShards')
  const some = createMetaState(
    [],
    many
      .slice(0, 100)
      .map((shard, i) => (i < 99 ? shard : { ...shard, range: { ...shard.range, end: null } })),
  )
  const node = { id: nodeId(7n), name: '', peerUrls: [], clientUrls: [], learner: false, serverVersion: '' }
  const last = LIMITS.shardsPerNodeMax - 2
  const crowded = createMetaState(
    [node],
    many
      .slice(0, last + 1)
      .map((shard, i) => (i < last ? shard : { ...shard, range: { ...shard.range, end: null } })),
  )
  t.equal(verdict(crowded, split(`${key(5)}x`)), 'splitBegun', 'the last one that the member may hold')
  t.equal(verdict(crowded, split(`${key(6)}x`)), 'nodeFull', 'that one counts already')
  for (let i = 1; i <= LIMITS.shardOperationsMax; i++)
    t.equal(verdict(some, split(`${key(i)}x`)), 'splitBegun')
  t.equal(verdict(some, split(`${key(90)}x`)), 'tooManyRequests', 'too much under way')
})
const key = (i: number): string => String(i).padStart(6, '0')

t.test(
  'I43: whatever is asked, every key has one owner at every version, and no number is given twice',
  async t => {
    const command: fc.Arbitrary<MetaCommand> = fc.oneof(
      fc.record({
        kind: fc.constant('splitShard' as const),
        at: fc
          .array(fc.constantFrom(0x00, 0x61, 0xff), { maxLength: 3 })
          .map(bytes => Uint8Array.from(bytes)),
        group: fc.option(fc.integer({ min: 1, max: 6 }).map(groupId)),
      }),
      fc.record({
        kind: fc.constantFrom('finishSplit' as const, 'abandonSplit' as const),
        right: fc.integer({ min: 1, max: 8 }).map(groupId),
      }),
    )
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), commands => {
        const state = fresh()
        const given = new Set<number>([1])
        for (const each of commands) {
          const { version, shards } = state.shards
          const result = applyMetaCommand(state, each)
          if (result.ok && result.value.kind === 'splitBegun') {
            if (given.has(result.value.right)) return false
            given.add(result.value.right)
          }
          if (shardMapProblem(state.shards) !== null) return false
          if (
            state.shards.version === version
              ? state.shards.shards !== shards
              : state.shards.version !== version + 1
          )
            return false
          for (const { group, epoch } of shards) {
            const now = state.shards.shards.find(other => other.group === group)
            if (now === undefined || now.epoch < epoch) return false
          }
          const owner = shardOf(state.shards, Uint8Array.of(0x61))
          if (state.operations.filter(({ group }) => group === owner.group).length > 1) return false
        }
        return true
      }),
      { numRuns: 300 },
    )
    t.pass('300 runs')
  },
)
