import type { Entry, GroupId, HardState, LogBase } from '@kvorum/model'
import { groupId } from '@kvorum/model'
import type { LogBatch, LogState } from '@kvorum/storage'
import { describe, entry, hard, peer, persist, pick } from './rig.js'
import type { View } from './rig.js'

/** What a log should remember, kept the simple way; and random batches that fit it. */
export interface Model {
  groups: Map<GroupId, { hardState: HardState; base: LogBase; entries: Entry[] }>
  boot: string | null
  peers: Map<string, string>
  admitted: boolean
}

export const emptyModel = (): Model => ({ groups: new Map(), boot: null, peers: new Map(), admitted: false })

export const copyModel = (model: Model): Model => ({
  groups: new Map([...model.groups].map(([id, group]) => [id, { ...group, entries: [...group.entries] }])),
  boot: model.boot,
  peers: new Map(model.peers),
  admitted: model.admitted,
})

export function applyBatch(model: Model, batch: LogBatch): void {
  for (const id of batch.removed ?? []) model.groups.delete(id)
  for (const { group: id, persist: each } of batch.groups ?? []) {
    const group = model.groups.get(id) ?? {
      hardState: hard(0, 0, 0),
      base: { index: 0, term: 0 },
      entries: [],
    }
    model.groups.set(id, group)
    if (each.reset !== null) {
      const { base, keep } = each.reset
      group.base = base
      group.entries = keep ? group.entries.filter(({ index }) => index > base.index) : []
    }
    const first = each.entries[0]?.index
    if (first !== undefined)
      group.entries = [...group.entries.filter(({ index }) => index < first), ...each.entries]
    if (each.hardState !== null) group.hardState = each.hardState
  }
  for (const p of batch.peers ?? [])
    model.peers.set(`${p.node}`, `${p.node}:${p.incarnation}:${p.boot}:${p.nonce}`)
  if (batch.boot != null) model.boot = `${batch.boot.boot}:${batch.boot.nonce}`
  if (batch.admitted === true) model.admitted = true
}

export const modelView = (model: Model): View => ({
  groups: Object.fromEntries(
    [...model.groups]
      .sort(([a], [b]) => a - b)
      .map(([id, { hardState, base, entries }]) => [id, { hardState, base, entries: entries.map(describe) }]),
  ),
  boot: model.boot,
  peers: [...model.peers.values()].sort(),
  admitted: model.admitted,
})

export interface Shape {
  readonly groups: number
  readonly entryBytesMax: number
}

/** A batch that a node could write after `model`. */
export function randomBatch(model: Model, random: () => number, shape: Shape): LogBatch {
  const groups: NonNullable<LogBatch['groups']>[number][] = []
  const removed: GroupId[] = []
  for (let id = 0; id < shape.groups; id++) {
    if (random() < 0.5) continue
    const group = groupId(id)
    if (model.groups.has(group) && random() < 0.03) removed.push(group)
    else groups.push(randomPersist(model, group, random, shape))
  }
  const peers = random() < 0.1 ? [peer(BigInt(pick(random, 3)) + 1n, pick(random, 100))] : []
  const boot =
    random() < 0.05
      ? { incarnation: 1n as never, boot: pick(random, 1000), nonce: BigInt(pick(random, 1000)) }
      : null
  return { groups, removed, peers, boot, admitted: random() < 0.02 }
}

function randomPersist(
  model: Model,
  group: GroupId,
  random: () => number,
  shape: Shape,
): ReturnType<typeof persist> {
  const known = model.groups.get(group)
  let base = known?.base.index ?? 0
  let last = known?.entries.at(-1)?.index ?? base
  const term = Math.max(known?.hardState.term ?? 1, 1) + (random() < 0.1 ? 1 : 0)
  let reset: { base: LogBase; keep: boolean } | undefined
  const dice = random()
  if (known !== undefined && dice < 0.08 && last > base) {
    const index = base + 1 + pick(random, last - base)
    reset = { base: { index, term: known.entries.find(e => e.index === index)!.term }, keep: true }
    base = index
  } else if (dice < 0.12) {
    base = last = last + 1 + pick(random, 20)
    reset = { base: { index: base, term }, keep: false }
  }
  const count = random() < 0.8 ? 1 + pick(random, 4) : 0
  // Now and then the tail is replaced, as by a new leader.
  const first = random() < 0.15 && last > base ? base + 1 + pick(random, last - base) : last + 1
  const entries = Array.from({ length: count }, (_, i) => {
    const text = `${group}:${first + i}@${term}#${pick(random, 1e6)}`.padEnd(
      pick(random, shape.entryBytesMax),
      '~',
    )
    return entry(first + i, term, text, random() < 0.05 ? 'config' : 'normal')
  })
  const end = count > 0 ? first + count - 1 : last
  const hardState =
    random() < 0.7 ? hard(term, pick(random, 4), Math.min(end, pick(random, end + 1))) : undefined
  return persist(group, {
    entries,
    ...(hardState === undefined ? {} : { hardState }),
    ...(reset === undefined ? {} : { reset }),
  })
}

/** What is released in memory only is known to the log, and to the disk with the next purge. */
export function release(
  model: Model,
  log: LogState,
  random: () => number,
): { group: GroupId; index: number } | null {
  const ids = [...model.groups.keys()]
  const group = ids[pick(random, ids.length)]
  const known = group === undefined ? undefined : model.groups.get(group)
  if (group === undefined || known === undefined || known.entries.length === 0) return null
  const at = pick(random, known.entries.length)
  const { index, term } = known.entries[at]!
  known.base = { index, term }
  known.entries = known.entries.slice(at + 1)
  return log.groups.has(group) ? { group, index } : null
}
