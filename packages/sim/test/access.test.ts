import t from 'tap'
import { groupId, NO_LEASE, utf8 } from '@kvorum/model'
import type { AuthCommand } from '@kvorum/placement'
import { drawSwarm, NEWEST_DRAW, planRun, Random, runSeed, Truth } from '@kvorum/sim'
import { Access, roleOfUser } from '#src/invariants/access.js'
import { Switch } from '#src/invariants/switch.js'
import { Refusals } from '#src/cluster/refusals.js'
import { put } from '#src/cluster/requests.js'

t.setTimeout(300_000)

const GROUP = groupId(1)
const PREFIX = 'g1/'
const prefix = (): string => PREFIX

const auth = (command: AuthCommand) => ({ kind: 'auth' as const, command })
const permission = { type: 'readwrite' as const, key: utf8(PREFIX), rangeEnd: utf8('g10') }
const grant = auth({ kind: 'roleGrant', role: roleOfUser('u1'), permission })
const revoke = auth({
  kind: 'roleRevoke',
  role: roleOfUser('u1'),
  key: utf8(PREFIX),
  rangeEnd: utf8('g10'),
})

t.test('what was acknowledged holds until the log says otherwise', async t => {
  const one = new Switch()
  t.equal(one.settled, false, 'off to begin with')
  const lost = one.asked(true)
  one.logged(true)
  t.equal(one.settled, null, 'in the log, and nobody was told')
  one.acknowledged(lost)
  t.equal(one.settled, true)
  const off = one.asked(false)
  one.logged(false)
  one.logged(true)
  one.acknowledged(off)
  t.equal(one.settled, null, 'an older sending came into the log between')
})

/** With the user's role, and authentication on, both acknowledged. */
function started(): Access {
  const access = new Access()
  for (const [command, one, on] of [
    [auth({ kind: 'enable' }), access.auth, true],
    [auth({ kind: 'userGrantRole', name: 'u1', role: roleOfUser('u1') }), access.role('u1'), true],
    [grant, access.permission('u1', PREFIX), true],
  ] as const) {
    const asked = one.asked(on)
    access.metaApplied(command)
    one.acknowledged(asked)
  }
  return access
}

t.test(
  'I49: a put that is carried out after the revocation was acknowledged, and not one before',
  async t => {
    const access = started()
    t.equal(access.verdict('u1', PREFIX).verdict, 'open')
    access.owns('a', 'u1', GROUP)
    access.owns('b', 'u1', GROUP)
    const asked = access.permission('u1', PREFIX).asked(false)
    access.metaApplied(revoke)
    access.putApplied('a', prefix)
    access.permission('u1', PREFIX).acknowledged(asked)
    t.equal(access.verdict('u1', PREFIX).verdict, 'shut')
    t.throws(() => access.putApplied('b', prefix), /^I49: /)
    access.putApplied('of somebody else', prefix)
    access.metaApplied(auth({ kind: 'disable' }))
    access.putApplied('b', prefix)
  },
)

t.test('I50: a put that is carried out while NOSPACE is known to be up', async t => {
  const access = new Access()
  const asked = access.noSpace.asked(true)
  access.putApplied('a', prefix)
  access.noSpace.acknowledged(asked)
  t.throws(() => access.putApplied('b', prefix), /^I50: /)
})

t.test('the reference refuses what is outdated, and what has no room', async t => {
  const refusals = new Refusals()
  const write = { kind: 'write' as const, op: put('key', 'x'.repeat(100)) }
  const truth = new Truth()
  t.notOk(refusals.isOutdated(write, null))
  refusals.take({ kind: 'authFence', fence: { revision: 3, enabled: true } }, truth)
  refusals.take({ kind: 'authFence', fence: { revision: 2, enabled: false } }, truth)
  t.same(
    [null, 2, 3].map(allowedBy => refusals.isOutdated(write, allowedBy)),
    [true, true, false],
  )
  const guard = { version: 1, quota: 400, noSpace: false, corrupt: false }
  refusals.take({ kind: 'guard', guard }, truth)
  t.notOk(refusals.isWithoutRoom(write), '359 bytes of 400')
  const kv = { key: utf8('key'), value: utf8('x'), create: 2, mod: 2, version: 1, lease: NO_LEASE }
  refusals.wrote({ revision: 2, events: [{ kind: 'put', kv, prev: null }] })
  t.ok(refusals.isWithoutRoom(write))
  t.notOk(refusals.isWithoutRoom({ kind: 'compact', revision: 2 }))
  t.throws(() => refusals.take({ kind: 'reclaim', revision: 2, bytes: 1 }, truth), /freed something else/)
})

t.test(
  'users, quotas, changes of members and upkeep are drawn in part of the runs, and not by an older draw',
  async t => {
    const runs = Array.from({ length: 300 }, (_, seed) => drawSwarm(seed, new Random(seed)))
    const share = (has: (run: (typeof runs)[number]) => boolean): number =>
      runs.filter(has).length / runs.length
    t.ok(share(({ users }) => users !== null) > 0.2)
    t.ok(share(({ quota }) => quota !== null) > 0.05)
    for (const run of runs) {
      const fourth = drawSwarm(run.seed, new Random(run.seed), 4)
      t.same(fourth, { ...run, workload: { ...run.workload, sessionsAcross: false } })
      const second = drawSwarm(run.seed, new Random(run.seed), 2)
      const { membership, wipe } = second.faults
      t.equal(membership.every, 0)
      t.same(second, { ...fourth, upkeep: null, faults: { ...run.faults, membership, wipe } })
      t.same(drawSwarm(run.seed, new Random(run.seed), 3), { ...fourth, upkeep: null })
      t.same(drawSwarm(run.seed, new Random(run.seed), 1), { ...second, users: null, quota: null })
    }
    t.ok(share(({ faults }) => faults.membership.every > 0) > 0.15)
    t.ok(share(({ upkeep }) => upkeep !== null) > 0.3)
    t.ok(share(({ workload }) => workload.sessionsAcross) > 0.5)
    t.equal(NEWEST_DRAW, 8)
  },
)

t.test('runs with both: rights are used and denied, the quota is used up and room is made', async t => {
  const seeds = [3, 30]
  const seen = new Set<string>()
  for (const seed of seeds) {
    const { users, quota } = planRun(seed).swarm
    t.ok(users !== null && quota !== null, `${seed} has both`)
    const report = runSeed(seed)
    t.equal(report.failure, null, `seed ${seed}`)
    for (const name of Object.keys(report.coverage)) seen.add(name)
  }
  for (const name of ['user shut denied', 'user open ok', 'no space', 'room made']) t.ok(seen.has(name), name)
})
