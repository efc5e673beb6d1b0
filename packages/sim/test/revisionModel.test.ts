import t from 'tap'
import * as placement from '@kvorum/placement'
import { CLOSED, CLOSED_FAR, CLOSED_LEASES } from '#src/model/configurations.js'
import { explore } from '#src/model/explore.js'
import { revisionModel } from '#src/model/revisionModel.js'

/** Far above what any of them needs: one that grows beyond it does not belong here. */
const STATES_MAX = 50_000

t.setTimeout(600_000)

t.test('every order of events is explored, and the properties hold', async t => {
  let all = 0
  const plans = [...CLOSED, ...CLOSED_LEASES, ...CLOSED_FAR]
  for (const plan of plans) {
    const { states, depth, complete, violation } = explore(revisionModel(placement, plan), STATES_MAX)
    t.equal(violation, null, `${plan.name}: no violation`)
    t.ok(complete, `${plan.name}: ${states} states, all of them, up to ${depth} steps deep`)
    all += states
  }
  t.comment(`${all} states in ${plans.length} configurations`)
})
