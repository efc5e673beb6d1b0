import type { Index, Term } from '@kvorum/model'

/**
 * The terms of a log, as runs: a log of millions of entries knows a handful of terms. `runs` is ascending in
 * both fields; a run ends where the next begins, the last one at the log's last index.
 *
 *     entries 4..9 with terms 2 2 2 5 5 7   =   [{first 4, term 2}, {first 7, term 5}, {first 9, term 7}]
 */
export interface TermRun {
  readonly first: Index
  readonly term: Term
}

/** Position in `runs` of the run that holds `index`; -1 when `index` lies before all of them. */
function runOf(runs: readonly TermRun[], index: Index): number {
  // The newest run is asked for nearly always.
  let low = 0
  let high = runs.length - 1
  if (high >= 0 && (runs[high] as TermRun).first <= index) return high
  while (low <= high) {
    const middle = (low + high) >> 1
    if ((runs[middle] as TermRun).first <= index) low = middle + 1
    else high = middle - 1
  }
  return high
}

/** Term of the entry at `index`; null when it lies before the first run. The caller checks the upper end. */
export const runTerm = (runs: readonly TermRun[], index: Index): Term | null =>
  runs[runOf(runs, index)]?.term ?? null

export function extendRuns(runs: TermRun[], index: Index, term: Term): void {
  if (runs[runs.length - 1]?.term !== term) runs.push({ first: index, term })
}

/** Forgets the terms of `index` and of everything after it. */
export function truncateRuns(runs: TermRun[], index: Index): void {
  while (runs.length > 0 && (runs[runs.length - 1] as TermRun).first >= index) runs.pop()
}

/** Forgets the terms of everything up to and including `index`, where the log now ends at `last`. */
export function purgeRuns(runs: TermRun[], index: Index, last: Index): void {
  const at = runOf(runs, index + 1)
  if (index >= last) runs.length = 0
  else if (at >= 0) runs.splice(0, at + 1, { first: index + 1, term: (runs[at] as TermRun).term })
}

/**
 * The greatest index <= `index` whose term is <= `term`, or `floor` when there is none above it. With it either
 * side jumps over a whole term of conflicting entries per message (thesis 3.5, last paragraph).
 */
export function lastNotAbove(runs: readonly TermRun[], index: Index, term: Term, floor: Index): Index {
  let at = runOf(runs, index)
  let candidate = index
  while (at >= 0 && (runs[at] as TermRun).term > term) {
    candidate = (runs[at] as TermRun).first - 1
    at--
  }
  return Math.max(candidate, floor)
}
