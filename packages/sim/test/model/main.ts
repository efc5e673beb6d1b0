#!/usr/bin/env node
import * as placement from '@kvorum/placement'
import { parseArgs } from 'node:util'
import { CLOSED, CLOSED_FAR, CLOSED_LEASES } from '#src/model/configurations.js'
import { LARGE, VAST } from '#src/model/largeConfigurations.js'
import { explore } from '#src/model/explore.js'
import { PatchedRules } from './patchedRules.js'
import { revisionModel } from '#src/model/revisionModel.js'
import { VARIANTS } from './variants.js'

/**
 * `npm run model` explores the small configurations and the large ones, all of them to their end, then shows that every
 * variant with a rule missing is found. The status is 1 if a property is violated or a variant passes.
 */
const USAGE = `Usage: npm run model -- [--only WORDS] [--states-max N] [--small] [--vast] [--traces]
  --only WORDS     configurations and variants whose name contains this
  --states-max N   give up on a configuration after so many states (default 2000000)
  --small          without the large configurations
  --vast           with those that are too large to be explored to the end
  --traces         print the shortest way to the violation of every variant`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: '' },
      'states-max': { type: 'string', default: '2000000' },
      small: { type: 'boolean', default: false },
      vast: { type: 'boolean', default: false },
      traces: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const statesMax = Number(values['states-max'])
  if (values.help || !Number.isSafeInteger(statesMax)) {
    console.log(USAGE)
    return values.help ? 0 : 2
  }
  const named = ({ name }: { readonly name: string }): boolean => name.includes(values.only)
  let failed = false
  const large = [...(values.small ? [] : LARGE), ...(values.vast ? VAST : [])]
  for (const plan of [...CLOSED, ...CLOSED_LEASES, ...CLOSED_FAR, ...large].filter(named)) {
    const { states, steps, depth, complete, violation } = explore(revisionModel(placement, plan), statesMax)
    const verdict = violation === null ? (complete ? 'holds' : 'cut, nothing found so far') : violation.what
    console.log(`${plan.name}: ${states} states, ${steps} steps, depth ${depth}: ${verdict}`)
    for (const line of violation?.trace ?? []) console.log(`    ${line}`)
    failed ||= violation !== null
  }
  const patched = new PatchedRules()
  for (const { name, patches, plan } of VARIANTS.filter(named)) {
    const { states, violation } = explore(revisionModel(await patched.with(patches), plan), statesMax)
    const verdict = violation === null ? 'NOT FOUND' : `${violation.trace.length} steps, ${violation.what}`
    console.log(`without a rule: ${name}: ${states} states: ${verdict}`)
    if (values.traces) for (const line of violation?.trace ?? []) console.log(`    ${line}`)
    failed ||= violation === null
  }
  patched.remove()
  return failed ? 1 : 0
}

process.exitCode = await main()
