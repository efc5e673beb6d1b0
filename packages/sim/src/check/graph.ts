/**
 * A directed multigraph over 0..n-1 whose edges carry a bit of their kind, strongly connected components
 * (Tarjan, without recursion) and shortest cycles, all restricted to a set of kinds.
 */
export class Graph {
  readonly size: number
  readonly #out: Map<number, number>[]

  constructor(size: number) {
    this.size = size
    this.#out = Array.from({ length: size }, () => new Map<number, number>())
  }

  /** Loops say nothing and are left out. */
  add(from: number, to: number, kind: number): void {
    if (from === to) return
    const out = this.#out[from]!
    out.set(to, (out.get(to) ?? 0) | kind)
  }

  kinds(from: number, to: number): number {
    return this.#out[from]!.get(to) ?? 0
  }

  *successors(from: number, kinds: number): Generator<number> {
    for (const [to, have] of this.#out[from]!) if ((have & kinds) !== 0) yield to
  }

  /** Components with more than one member. */
  components(kinds: number): number[][] {
    const tarjan = new Tarjan(this, kinds)
    for (let node = 0; node < this.size; node++) tarjan.visit(node)
    return tarjan.components
  }

  /** A shortest path from `from` to `to` inside `within`, both ends included; null if there is none. */
  path(from: number, to: number, kinds: number, within: ReadonlySet<number>): number[] | null {
    const cameFrom = new Map<number, number>()
    let frontier = [from]
    while (frontier.length > 0) {
      const next: number[] = []
      for (const node of frontier) {
        for (const other of this.successors(node, kinds)) {
          if (!within.has(other) || cameFrom.has(other)) continue
          cameFrom.set(other, node)
          if (other === to) return unwind(cameFrom, from, to)
          next.push(other)
        }
      }
      frontier = next
    }
    return null
  }
}

function unwind(cameFrom: ReadonlyMap<number, number>, from: number, to: number): number[] {
  const path = [to]
  let node = to
  do {
    node = cameFrom.get(node)!
    path.push(node)
  } while (node !== from)
  return path.reverse()
}

interface Frame {
  readonly node: number
  readonly rest: Generator<number>
}

class Tarjan {
  readonly components: number[][] = []
  readonly #graph: Graph
  readonly #kinds: number
  readonly #index: Int32Array
  readonly #low: Int32Array
  readonly #onStack: Uint8Array
  readonly #stack: number[] = []
  #counter = 0

  constructor(graph: Graph, kinds: number) {
    this.#graph = graph
    this.#kinds = kinds
    this.#index = new Int32Array(graph.size).fill(-1)
    this.#low = new Int32Array(graph.size)
    this.#onStack = new Uint8Array(graph.size)
  }

  visit(root: number): void {
    if (this.#index[root] !== -1) return
    const frames = [this.#enter(root)]
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const { done, value } = frame.rest.next()
      if (!done) {
        if (this.#index[value] === -1) frames.push(this.#enter(value))
        else if (this.#onStack[value]) this.#lower(frame.node, this.#index[value]!)
        continue
      }
      frames.pop()
      const parent = frames.at(-1)
      if (parent !== undefined) this.#lower(parent.node, this.#low[frame.node]!)
      if (this.#low[frame.node] === this.#index[frame.node]) this.#leave(frame.node)
    }
  }

  #enter(node: number): Frame {
    this.#index[node] = this.#low[node] = this.#counter++
    this.#stack.push(node)
    this.#onStack[node] = 1
    return { node, rest: this.#graph.successors(node, this.#kinds) }
  }

  #lower(node: number, to: number): void {
    this.#low[node] = Math.min(this.#low[node]!, to)
  }

  #leave(root: number): void {
    const component: number[] = []
    let node: number
    do {
      node = this.#stack.pop()!
      this.#onStack[node] = 0
      component.push(node)
    } while (node !== root)
    if (component.length > 1) this.components.push(component.reverse())
  }
}
