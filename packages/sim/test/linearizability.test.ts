import t from 'tap'
import {
  checkLinearizable,
  Random,
  registerModel,
  setModel,
  type Operation,
  type RegisterOp,
  type RegisterResult,
  type SequentialModel,
  type SetOp,
  type SetResult,
} from '@kvorum/sim'
import { hasLegalOrder } from './bruteForce.js'
import { generate, mutate } from './generate.js'
import { registers, sets } from './notation.js'

/** The smallest history of each anomaly and its legal neighbour. */
const REGISTERS: readonly (readonly [name: string, legal: boolean, history: string])[] = [
  ['nothing happened', true, ''],
  ['a read before any write', true, '0 0-1 read x nil'],
  ['a value nobody wrote', false, '0 0-1 read x 7'],
  ['read your write', true, '0 0-1 write x 1\n0 2-3 read x 1'],
  ['lost write', false, '0 0-1 write x 1\n0 2-3 read x nil'],
  ['stale read after overwriting', false, '0 0-1 write x 1\n0 2-3 write x 2\n1 4-5 read x 1'],
  ['fresh read after overwriting', true, '0 0-1 write x 1\n0 2-3 write x 2\n1 4-5 read x 2'],
  ['a read during a write may see it', true, '0 0-9 write x 1\n1 2-3 read x 1'],
  ['a read during a write may miss it', true, '0 0-9 write x 1\n1 2-3 read x nil'],
  ['seen, then unseen', false, '0 0-9 write x 1\n1 2-3 read x 1\n1 4-5 read x nil'],
  ['unseen, then seen', true, '0 0-9 write x 1\n1 2-3 read x nil\n1 4-5 read x 1'],
  ['seen by one, then unseen by another', false, '0 0-9 write x 1\n1 2-3 read x 1\n2 4-5 read x nil'],
  ['overlapping readers disagree', true, '0 0-9 write x 1\n1 2-6 read x 1\n2 4-5 read x nil'],
  ['a read of the future', false, '1 0-1 read x 1\n0 2-3 write x 1'],
  ['touching intervals overlap', true, '1 0-2 read x 1\n0 2-3 write x 1'],
  ['concurrent writes end either way: 1', true, '0 0-5 write x 1\n1 0-5 write x 2\n2 6-7 read x 1'],
  ['concurrent writes end either way: 2', true, '0 0-5 write x 1\n1 0-5 write x 2\n2 6-7 read x 2'],
  ['but not both', false, '0 0-5 write x 1\n1 0-5 write x 2\n2 6-7 read x 2\n2 8-9 read x 1'],
  [
    'readers see two writes in two orders',
    false,
    '0 0-20 write x 1\n1 0-20 write x 2\n2 1-2 read x 1\n3 1-2 read x 2\n2 3-4 read x 2\n3 3-4 read x 1',
  ],
  ['keys are independent', true, '0 0-1 write x 1\n0 2-3 write y 2\n1 4-5 read x 1\n1 6-7 read y 2'],
  [
    'an error in one key is an error',
    false,
    '0 0-1 write x 1\n0 2-3 write y 2\n1 4-5 read x 1\n1 6-7 read y 1',
  ],
  ['an unknown write may happen', true, '0 0-? write x 1\n1 5-6 read x 1'],
  ['an unknown write may not happen', true, '0 0-? write x 1\n1 5-6 read x nil'],
  ['an unknown write may happen late', true, '0 0-? write x 1\n1 5-6 read x nil\n1 7-8 read x 1'],
  ['an unknown write cannot be undone', false, '0 0-? write x 1\n1 5-6 read x 1\n1 7-8 read x nil'],
  ['an unknown write is not before its call', false, '1 0-1 read x 1\n0 5-? write x 1'],
  [
    'an unknown write happens once',
    false,
    '0 0-? write x 1\n1 1-2 read x 1\n1 3-4 write x 2\n1 5-6 read x 1',
  ],
  ['a failed write has no effect', true, '0 0-1! write x 1\n1 5-6 read x nil'],
  ['a failed write that shows', false, '0 0-1! write x 1\n1 5-6 read x 1'],
  ['cas from the right value', true, '0 0-1 write x 1\n0 2-3 cas x 1 2 true\n1 4-5 read x 2'],
  ['cas from a wrong value', false, '0 0-1 write x 1\n0 2-3 cas x 5 2 true'],
  ['cas refused rightly', true, '0 0-1 write x 1\n0 2-3 cas x 5 2 false\n1 4-5 read x 1'],
  ['cas refused wrongly', false, '0 0-1 write x 1\n0 2-3 cas x 1 2 false'],
  ['two cas from one value', false, '0 0-1 write x 1\n1 2-9 cas x 1 2 true\n2 2-9 cas x 1 3 true'],
  [
    'two cas in a chain',
    true,
    '0 0-1 write x 1\n1 2-9 cas x 1 2 true\n2 2-9 cas x 2 3 true\n1 10-11 read x 3',
  ],
  ['cas from nothing', true, '0 0-1 cas x nil 1 true\n0 2-3 read x 1'],
  ['a refused cas that took effect', false, '0 0-1 write x 1\n0 2-3 cas x 5 2 false\n1 4-5 read x 2'],
  ['lost update', false, '0 0-1 write x 1\n1 2-5 cas x 1 2 true\n2 6-7 cas x 1 3 true'],
  ['unknown cas explains a later value', true, '0 0-1 write x 1\n1 2-? cas x 1 2\n2 6-7 read x 2'],
  ['unknown cas from a value that never was', false, '0 0-1 write x 1\n1 2-? cas x 4 2\n2 6-7 read x 2'],
]

const SETS: readonly (readonly [name: string, legal: boolean, history: string])[] = [
  ['added and read', true, '0 0-1 add s 1\n0 2-3 read s 1'],
  ['lost element', false, '0 0-1 add s 1\n1 2-3 add s 2\n0 4-5 read s 2'],
  ['element from nowhere', false, '0 0-1 read s 3'],
  ['concurrent adds, one seen', true, '0 0-9 add s 1\n1 0-9 add s 2\n2 3-4 read s 2\n2 10-11 read s 1,2'],
  ['element comes and goes', false, '0 0-9 add s 1\n1 2-3 read s 1\n1 4-5 read s -'],
  ['removed and gone', true, '0 0-1 add s 1\n0 2-3 remove s 1\n1 4-5 read s -'],
  ['removed and still there', false, '0 0-1 add s 1\n0 2-3 remove s 1\n1 4-5 read s 1'],
  ['an unknown removal explains it', true, '0 0-1 add s 1\n0 2-? remove s 1\n1 4-5 read s -'],
]

void t.test('hand-written histories', async t => {
  for (const [name, legal, text] of REGISTERS) {
    t.equal(checkLinearizable(registerModel, registers(text)).kind, legal ? 'legal' : 'illegal', name)
    t.equal(hasLegalOrder(perKey(registerModel), registers(text)), legal, `${name}, by definition`)
  }
  for (const [name, legal, text] of SETS) {
    t.equal(checkLinearizable(setModel, sets(text)).kind, legal ? 'legal' : 'illegal', name)
    t.equal(hasLegalOrder(setModel, sets(text)), legal, `${name}, by definition`)
  }
})

/** The model of many keys as one object, for the judge that does not partition. */
function perKey<State, Op extends { key: string }, Result>(
  model: SequentialModel<State, Op, Result>,
): SequentialModel<ReadonlyMap<string, State>, Op, Result> {
  return {
    initial: new Map<string, State>(),
    stateKey: () => '',
    step(state, op, result) {
      const after = model.step(state.get(op.key) ?? model.initial, op, result)
      return after === undefined ? undefined : new Map(state).set(op.key, after)
    },
  }
}

void t.test('an illegal verdict names the operation that fits nowhere', async t => {
  const verdict = checkLinearizable(
    registerModel,
    registers('0 0-1 write x 1\n0 2-3 write x 2\n1 4-5 read x 1'),
  )
  t.same(verdict, { kind: 'illegal', longest: [0, 1], stuck: 2 })
})

void t.test('a search beyond its budget is unknown, never legal', async t => {
  const lines = Array.from({ length: 14 }, (_, i) => `${i} 0-? write x ${i}`)
  const history = registers([...lines, '20 5-6 read x 3', '20 7-8 read x 4', '20 9-10 read x 3'].join('\n'))
  t.equal(checkLinearizable(registerModel, history, 200).kind, 'unknown')
  t.equal(checkLinearizable(registerModel, history).kind, 'illegal')
})

void t.test('a long history of a correct register is checked within its budget', async t => {
  const random = new Random(5)
  const history = generateRegister(random, 2000, 8, 5)
  t.equal(checkLinearizable(registerModel, history).kind, 'legal')
})

type RegisterHistory = Operation<RegisterOp, RegisterResult>[]

/** A correct register under random concurrency: each operation takes effect at one instant of its interval. */
function generateRegister(
  random: Random,
  operations: number,
  clients: number,
  keys: number,
): RegisterHistory {
  const state = new Map<string, number | null>()
  return generate<RegisterOp, RegisterResult>(random, operations, clients, serial => {
    const key = `k${random.int(1, keys)}`
    const kind = random.pick(['read', 'read', 'write', 'cas'] as const)
    if (kind === 'read') return { op: { kind, key }, run: () => ({ kind, value: state.get(key) ?? null }) }
    if (kind === 'write') {
      return {
        op: { kind, key, value: serial },
        run: () => {
          state.set(key, serial)
          return { kind }
        },
      }
    }
    const from = random.pick([null, 0, 1, 2, 3])
    return {
      op: { kind, key, from, to: serial },
      run: () => {
        const swapped = (state.get(key) ?? null) === from
        if (swapped) state.set(key, serial)
        return { kind, swapped }
      },
    }
  })
}

function generateSet(random: Random, operations: number, clients: number): Operation<SetOp, SetResult>[] {
  const state = new Set<number>()
  return generate<SetOp, SetResult>(random, operations, clients, () => {
    const kind = random.pick(['add', 'remove', 'read', 'read'] as const)
    if (kind === 'read') {
      return { op: { kind, key: 's' }, run: () => ({ elements: [...state].sort((a, b) => a - b) }) }
    }
    const element = random.int(1, 3)
    return {
      op: { kind, key: 's', element },
      run: () => {
        if (kind === 'add') state.add(element)
        else state.delete(element)
        return { elements: null }
      },
    }
  })
}

function agree<State, Op, Result>(
  model: SequentialModel<State, Op, Result>,
  judge: SequentialModel<unknown, Op, Result>,
  seeds: number,
  make: (random: Random) => Operation<Op, Result>[],
): string | null {
  const verdicts = { legal: 0, illegal: 0 }
  for (let seed = 0; seed < seeds; seed++) {
    const random = new Random(seed)
    const correct = make(random)
    if (checkLinearizable(model, correct).kind !== 'legal')
      return `seed ${seed}: a correct history was rejected`
    let history = correct
    for (let i = random.int(1, 5); i > 0; i--) history = mutate(random, history)
    const legal = hasLegalOrder(judge, history)
    verdicts[legal ? 'legal' : 'illegal']++
    if (checkLinearizable(model, history).kind !== (legal ? 'legal' : 'illegal')) {
      return `seed ${seed}: the search disagrees with the definition on ${JSON.stringify(history)}`
    }
  }
  const varied = verdicts.legal > seeds / 10 && verdicts.illegal > seeds / 10
  return varied ? null : `too little variety: ${JSON.stringify(verdicts)}`
}

void t.test('agrees with the definition on every small history', async t => {
  const registerJudge = perKey(registerModel) as SequentialModel<unknown, RegisterOp, RegisterResult>
  const setJudge = setModel as SequentialModel<unknown, SetOp, SetResult>
  const small = (random: Random): RegisterHistory => generateRegister(random, random.int(2, 7), 3, 2)
  t.equal(agree(registerModel, registerJudge, 20_000, small), null, 'register')
  const busy = (random: Random): RegisterHistory => generateRegister(random, 7, 5, 1)
  t.equal(agree(registerModel, registerJudge, 5_000, busy), null, 'busy register')
  t.equal(
    agree(setModel, setJudge, 10_000, random => generateSet(random, random.int(5, 7), 3)),
    null,
    'set',
  )
})

void t.test('relabelling and shifting change nothing, longer intervals never make it illegal', async t => {
  let illegal = 0
  for (let seed = 0; seed < 3000; seed++) {
    const random = new Random(seed).stream('metamorphic')
    const history = mutate(random, generateRegister(random, 7, 3, 2))
    const verdict = checkLinearizable(registerModel, history).kind
    if (verdict === 'illegal') illegal++
    const moved = history.map(one => ({
      ...one,
      client: 100 - one.client,
      call: one.call * 3 + 17,
      return: one.return * 3 + 17,
      op: { ...one.op, key: `other ${one.op.key}` },
    }))
    if (checkLinearizable(registerModel, moved).kind !== verdict) t.fail(`seed ${seed}: relabelled`)
    if (checkLinearizable(registerModel, moved.toReversed()).kind !== verdict)
      t.fail(`seed ${seed}: listed backwards`)
    const longer = history.map(one => ({
      ...one,
      call: one.call - random.int(0, 3),
      return: one.return + random.int(0, 3),
    }))
    if (verdict === 'legal' && checkLinearizable(registerModel, longer).kind !== 'legal')
      t.fail(`seed ${seed}: longer`)
  }
  t.ok(illegal > 150, `${illegal} of 3000 were illegal`)
})
