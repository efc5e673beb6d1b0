import type { Recovered } from '@kvorum/storage'

/** What a recovery found, as text: the same disk must give the same again. */
export const fingerprintOf = (recovered: Recovered): string =>
  JSON.stringify(recovered.kind === 'recovered' ? summary(recovered) : recovered.kind, bigints)

const summary = (recovered: Recovered & { kind: 'recovered' }): unknown => ({
  groups: recovered.groups.map(({ group, hardState, base, lastIndex, termRuns, corrupt }) => ({
    group,
    hardState,
    base,
    lastIndex,
    termRuns,
    corrupt,
  })),
  boot: recovered.boot,
  admitted: recovered.admitted,
})

const bigints = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value)
