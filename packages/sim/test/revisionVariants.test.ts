import t from 'tap'
import { explore, Violated } from '#src/model/explore.js'
import { PatchedRules } from './model/patchedRules.js'
import { revisionModel } from '#src/model/revisionModel.js'
import { VARIANTS } from './model/variants.js'

/** The first violation of each is found long before this. */
const STATES_MAX = 40_000

t.setTimeout(600_000)

const patched = new PatchedRules()
t.teardown(() => patched.remove())

t.test('the protocol without one of its rules is found to be wrong', async t => {
  for (const { name, patches, plan } of VARIANTS) {
    const rules = await patched.with(patches)
    const { states, violation } = explore(revisionModel(rules, plan), STATES_MAX)
    t.ok(violation, `${name}: ${violation?.trace.length} steps, ${states} states, ${violation?.what}`)
  }
})

t.test('a patch whose text has gone is noticed', async t => {
  const gone = { file: 'oracle.js', text: 'what nobody ever wrote', replacement: '' }
  await t.rejects(patched.with([gone]), /0 times, not once/)
})

t.test('the explorer finds a shortest way, sees all states, and judges the ends', async t => {
  // Two counters up to three, side by side.
  const next = ({ x, y }: { readonly x: number; readonly y: number }) => [
    ...(x < 3 ? [{ label: 'x', to: { x: x + 1, y } }] : []),
    ...(y < 3 ? [{ label: 'y', to: { x, y: y + 1 } }] : []),
  ]
  const initial = { x: 0, y: 0 }
  const all = explore({ initial, next, atEnd: () => null }, 100)
  t.match(all, { states: 16, steps: 24, depth: 6, complete: true, violation: null })
  const cut = explore({ initial, next, atEnd: () => null }, 5)
  t.match(cut, { complete: false, violation: null })
  const ends = explore({ initial, next, atEnd: () => new Violated('End: both are three') }, 100)
  t.equal(ends.violation?.trace.length, 6)
  const strict = (at: typeof initial) =>
    next(at).map(step =>
      step.to.y === 2 && step.to.x === 0 ? { ...step, to: new Violated('y ran ahead') } : step,
    )
  t.strictSame(explore({ initial, next: strict, atEnd: () => null }, 100).violation, {
    what: 'y ran ahead',
    trace: ['y', 'y'],
  })
})
