import type { Anomaly } from './anomaly.js'
import type { Graph } from './graph.js'

/** Kinds of edges, as bits. */
export const EDGE = { ww: 1, wr: 2, rw: 4, process: 8, realtime: 16 } as const

/**
 * Names a cycle in every strongly connected component by the weakest set of edges that closes one:
 *
 *   G0        writes only: two transactions' writes interleave
 *   G1c       writes and reads: information flows in a circle
 *   G-single  one anti-dependency: read skew, lost update
 *   G2        several anti-dependencies: write skew, long fork
 *
 * and the same with -process and -realtime where the cycle needs those. The first two are forbidden by read
 * committed, G-single by snapshot isolation, G2 by serializability, the rest by its strict forms.
 */
export function classify(graph: Graph): Anomaly[] {
  const everything = EDGE.ww | EDGE.wr | EDGE.rw | EDGE.process | EDGE.realtime
  return graph.components(everything).map(component => name(graph, component))
}

const TIMES: readonly (readonly [string, number])[] = [
  ['', 0],
  ['-process', EDGE.process],
  ['-realtime', EDGE.process | EDGE.realtime],
]

function name(graph: Graph, component: readonly number[]): Anomaly {
  const within = new Set(component)
  for (const [suffix, time] of TIMES) {
    const wanted: readonly (readonly [string, () => number[] | null])[] = [
      ['G0', () => cycle(graph, within, EDGE.ww | time)],
      ['G1c', () => cycle(graph, within, EDGE.ww | EDGE.wr | time)],
      ['G-single', () => single(graph, component, within, EDGE.ww | EDGE.wr | time)],
      ['G2', () => cycle(graph, within, EDGE.ww | EDGE.wr | EDGE.rw | time)],
    ]
    for (const [kind, find] of wanted) {
      const operations = find()
      if (operations !== null)
        return { kind: `${kind}${suffix}`, operations, facts: describe(graph, operations) }
    }
  }
  throw new Error('a component of several transactions has no cycle')
}

/** Some cycle of these kinds, as its members; null if there is none. */
function cycle(graph: Graph, within: ReadonlySet<number>, kinds: number): number[] | null {
  const core = graph.components(kinds).find(([first]) => within.has(first!))
  if (core === undefined) return null
  const inside = new Set(core)
  // Any cycle will do; a short one explains better. Large components are not searched for the shortest.
  const found = core.slice(0, 50).map(node => graph.path(node, node, kinds, inside)!)
  return found.reduce((best, one) => (one.length < best.length ? one : best)).slice(0, -1)
}

/** A cycle with exactly one anti-dependency. */
function single(
  graph: Graph,
  component: readonly number[],
  within: ReadonlySet<number>,
  kinds: number,
): number[] | null {
  for (const reader of component) {
    for (const writer of graph.successors(reader, EDGE.rw)) {
      if (!within.has(writer)) continue
      const back = graph.path(writer, reader, kinds, within)
      if (back !== null) return [reader, ...back.slice(0, -1)]
    }
  }
  return null
}

function describe(graph: Graph, operations: readonly number[]): string {
  return operations
    .map((from, at) => {
      const kinds = graph.kinds(from, operations[(at + 1) % operations.length]!)
      const names = Object.entries(EDGE).flatMap(([kind, bit]) => ((kinds & bit) === 0 ? [] : [kind]))
      return names.join('+')
    })
    .join(' -> ')
}
