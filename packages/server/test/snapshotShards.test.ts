import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import {
  ALL_KEYS,
  compareBytes,
  encodeShardCommand,
  groupId,
  HeldStateLost,
  type GroupId,
  leaseId,
  NO_LEASE,
  nodeId,
  pointRange,
  rangeContains,
  replicaId,
  toHex,
  utf8,
  type HeldState,
  type KeyRange,
  type LeaseId,
  type Op,
  type Revision,
  type ShardCommand,
  type StoreAnswer,
  type StoreNeed,
  type StoreWrite,
} from '@kvorum/model'
import { applyCommand, createMachine, createOverlay, runStep, userKeyOf, type Machine } from '@kvorum/machine'
import { createMetaState, EMPTY_AUTH, metaWrites, rangesBetween } from '@kvorum/placement'
import t, { type Test } from 'tap'
import { buildSnapshot } from '#src/snapshot/build.js'
import { hashHeld } from '#src/snapshot/heldHash.js'
import { entriesOf, openSource } from '#src/snapshot/sourceFile.js'

/** A snapshot file of several shards is that of one shard with the same versions. */

interface Step {
  readonly revision: Revision
  readonly key: string
  readonly lease?: LeaseId
  readonly op: 'put' | 'delete' | 'compact'
}

const LEASE = leaseId(7n)
const NEVER = new AbortController().signal

/** What a node would hold after these steps, on shards with these ranges. */
function heldAfter(
  ranges: readonly KeyRange[],
  steps: readonly Step[],
  revision: Revision | null,
  apart = false,
): HeldState {
  const overlay = createOverlay()
  const machines = ranges.map((range, i) =>
    createMachine({ group: groupId(i + 1), range, checksum: (bytes, seed) => crc32(bytes, seed) }),
  )
  const answer = (need: StoreNeed): StoreAnswer => read([], need)
  const apply = (machine: Machine, command: ShardCommand, stamp: Revision | null): void => {
    const at = { index: machine.applied + 1, term: 1, data: encodeShardCommand(command), stamp }
    const { result } = runStep(applyCommand(machine, overlay, at, null), answer)
    if (!result.ok) throw new Error(result.error.code)
  }
  apply(machines[0]!, { kind: 'leaseGrant', id: LEASE, ttl: 60 }, null)
  for (const { revision: stamp, key, op } of steps) {
    for (const machine of machines) {
      if (op === 'compact') apply(machine, { kind: 'compact', revision: stamp }, null)
      else if (rangeContains(machine.range, utf8(key))) apply(machine, write(op, key, stamp), stamp)
    }
  }
  const replicas = [{ id: replicaId(1), node: nodeId(1n) }]
  const shards = ranges.map((range, i) => ({ group: groupId(i + 1), range, epoch: 1, replicas }))
  const node = {
    id: nodeId(1n),
    name: 'one',
    peerUrls: ['http://n'],
    clientUrls: [],
    learner: false,
    serverVersion: '',
  }
  const meta = createMetaState([node], shards)
  const user = { name: 'somebody', password: utf8('hash'), roles: [], credentialRevision: 2 }
  meta.auth = { ...EMPTY_AUTH, revision: 2, users: new Map([[user.name, user]]) }
  const rows = [...overlay.active.values(), ...metaWrites(meta, EMPTY_AUTH)]
    .filter(row => row.value !== null)
    .sort((a, b) => compareBytes(a.key, b.key))
  const fetch = (need: StoreNeed): Promise<StoreAnswer> => Promise.resolve(read(rows, need))
  const held = { revision, fetch, close: () => undefined }
  if (!apart) return held
  const parts = machines.map(({ group, range }) => ({
    group,
    range,
    here: false,
    fetch: (need: StoreNeed): Promise<StoreAnswer> =>
      Promise.resolve(
        read(
          rows.filter(row => isRowOf(row.key, group, range)),
          need,
        ),
      ),
  }))
  return { ...held, shards: parts }
}

/** Of a shard that is elsewhere nobody sees more. */
function isRowOf(row: Uint8Array, group: GroupId, range: KeyRange): boolean {
  const key = userKeyOf(row)
  if (key !== null) return rangeContains(range, key)
  return row.length >= 5 && Buffer.from(row).readUInt32BE(1) === group
}

function write(kind: 'put' | 'delete', key: string, revision: Revision): ShardCommand {
  const op: Op =
    kind === 'delete'
      ? { kind, range: pointRange(utf8(key)), prevKv: false }
      : {
          kind,
          key: utf8(key),
          value: utf8(`${key} at ${revision}`),
          lease: NO_LEASE,
          prevKv: false,
          ignoreValue: false,
          ignoreLease: false,
        }
  return { kind: 'write', op }
}

function read(rows: readonly StoreWrite[], { gets, scans }: StoreNeed): StoreAnswer {
  const value = (key: Uint8Array): Uint8Array | null =>
    rows.find(row => compareBytes(row.key, key) === 0)?.value ?? null
  return {
    values: gets.map(value),
    pages: scans.map(({ gte, lt, rowsMax }) => {
      const found = rows.filter(row => compareBytes(row.key, gte) >= 0 && compareBytes(row.key, lt) < 0)
      const page = found.slice(0, rowsMax).map(({ key, value: bytes }) => ({ key, value: bytes! }))
      return { rows: page, more: found.length > rowsMax }
    }),
  }
}

/** What the file of a held state has under `bucket`. */
async function bucketOf(t: Test, held: HeldState, bucket: string): Promise<string[]> {
  const directory = t.testdir()
  const path = join(directory, 'file.db')
  mkdirSync(join(directory, 'work'))
  const file = await buildSnapshot(held, join(directory, 'work'), new AbortController().signal)
  writeFileSync(path, await file.read(0, file.bytes))
  await file.close()
  const source = await openSource(path)
  const entries: string[] = []
  for await (const page of entriesOf(source, bucket))
    for (const { key, value } of page) entries.push(`${toHex(key)} ${toHex(value)}`)
  await source.handle.close()
  return entries
}

const put = (revision: Revision, key: string): Step => ({ revision, key, op: 'put' })
const STEPS: readonly Step[] = [
  put(2, 'a'),
  put(3, 'x'),
  put(4, 'k'),
  put(6, 'a'),
  { revision: 7, key: 'x', op: 'delete' },
  put(9, 'k'),
  put(10, 'b'),
  put(12, 'z'),
]
const COMPACTED: readonly Step[] = [...STEPS, { revision: 9, key: '', op: 'compact' }]
const SHARDS = rangesBetween([utf8('h'), utf8('p')])

t.test('several shards make the file that one shard makes', async t => {
  for (const steps of [STEPS, COMPACTED]) {
    const whole = heldAfter([ALL_KEYS], steps, null)
    const sharded = heldAfter(SHARDS, steps, 12)
    for (const bucket of ['key', 'lease']) {
      const expected = await bucketOf(t, whole, bucket)
      t.ok(expected.length > 0)
      t.strictSame(await bucketOf(t, sharded, bucket), expected, `${bucket}, ${steps.length} steps`)
      const apart = heldAfter(SHARDS, steps, 12, true)
      t.strictSame(await bucketOf(t, apart, bucket), expected, `${bucket} from elsewhere`)
    }
    const hashes = [heldAfter([ALL_KEYS], steps, 12, true), heldAfter(SHARDS, steps, 12, true)]
    for (const at of [0, 10]) {
      const [one, several] = await Promise.all(hashes.map(held => hashHeld(held, at, NEVER)))
      t.match(one, { ok: true, value: { revision: at === 0 ? 12 : 10 } })
      t.strictSame(several, one)
    }
    t.match(await hashHeld(hashes[1]!, 13, NEVER), { ok: false, error: { code: 'futureRevision' } })
  }
})

t.test('a shard that was cut while it was read is not taken for whole', async t => {
  const held = heldAfter(SHARDS, STEPS, 12, true)
  const cut = { ...held, shards: held.shards!.slice(0, 2) }
  await t.rejects(hashHeld(cut, 0, NEVER), HeldStateLost)
})

t.test('what came behind the revision at which all shards stand is left out', async t => {
  const expected = await bucketOf(t, heldAfter([ALL_KEYS], STEPS.slice(0, 6), null), 'key')
  t.strictSame(await bucketOf(t, heldAfter(SHARDS, STEPS, 9), 'key'), expected)
})

t.test('a file knows the revision that was reached without a change', async t => {
  const entries = await bucketOf(t, heldAfter(SHARDS, STEPS, 20), 'key')
  t.match(entries.at(-1), /^0000000000000014/)
})
