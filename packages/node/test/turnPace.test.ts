import { LIMITS, nodeId, refuse } from '@kvorum/model'
import t from 'tap'
import { Inbox } from '#src/driver/inbox.js'
import { TurnPace } from '#src/driver/turnPace.js'
import type { Input, Parcel } from '#src/types.js'

const HALF = 8_001
const peer = nodeId(7n)

t.test('a process begins with small turns, and full ones that end soon grow to the bound', async t => {
  const pace = new TurnPace()
  t.ok(pace.bounds().inputs < LIMITS.turnInputsMax / 4)
  t.ok(pace.bounds().applyBytes < LIMITS.turnApplyBytesMax / 4)
  for (let i = 0; i < 100; i++) pace.took(1_000, true)
  t.same(pace.bounds(), { inputs: LIMITS.turnInputsMax, applyBytes: LIMITS.turnApplyBytesMax })
})

t.test('turns that were not full say nothing', async t => {
  const pace = new TurnPace()
  const before = pace.bounds()
  for (let i = 0; i < 100; i++) pace.took(100, false)
  t.same(pace.bounds(), before)
})

t.test('a long turn halves the next, down to a bound', async t => {
  const pace = new TurnPace()
  for (let i = 0; i < 100; i++) pace.took(1_000, true)
  pace.took(HALF, true)
  t.equal(pace.bounds().inputs, LIMITS.turnInputsMax / 2)
  pace.took(5_000, true)
  t.equal(pace.bounds().inputs, LIMITS.turnInputsMax / 2, 'in between nothing changes')
  for (let i = 0; i < 100; i++) pace.took(HALF, false)
  t.equal(pace.bounds().inputs, LIMITS.turnInputsMax / 16)
  t.ok(pace.bounds().applyBytes > 0)
})

t.test('the inbox gives its inputs in order, as many as are asked for', async t => {
  const inbox = new Inbox()
  for (const id of [1, 2, 3]) inbox.put({ kind: 'cancel', id })
  t.same(idsOf(inbox.take(2)), [1, 2])
  t.equal(inbox.length, 1)
  t.same(idsOf(inbox.take(2)), [3])
  t.same(inbox.take(2), [])
})

t.test('a frame of many parcels is taken in pieces, and nothing overtakes it', async t => {
  const inbox = new Inbox()
  const parcels = [1, 2, 3, 4, 5].map(reply)
  inbox.put({ kind: 'cancel', id: 9 })
  inbox.put({ kind: 'parcels', from: peer, parcels })
  inbox.put({ kind: 'cancel', id: 10 })
  const pieces: (readonly Input[])[] = []
  while (inbox.length > 0) pieces.push(inbox.take(3))
  t.same(
    pieces.map(piece =>
      piece.flatMap(input => (input.kind === 'parcels' ? idsIn(input.parcels) : idOf(input))),
    ),
    [[9, 1, 2], [3, 4, 5], [10]],
  )
})

const reply = (id: number): Parcel => ({ kind: 'reply', id, result: refuse('stopped') })
const idsIn = (parcels: readonly Parcel[]): number[] =>
  parcels.map(parcel => (parcel.kind === 'reply' ? parcel.id : -1))
const idOf = (input: Input): number => (input.kind === 'cancel' ? input.id : -1)
const idsOf = (inputs: readonly Input[]): number[] => inputs.map(idOf)
