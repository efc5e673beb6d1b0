/** Milliseconds as Go writes durations: `2.5ms`, `1m0.5s`; to the nanosecond. */
export function durationText(ms: number): string {
  const nanoseconds = Math.round(ms * 1e6)
  if (nanoseconds < 1000) return nanoseconds === 0 ? '0s' : `${nanoseconds}ns`
  if (nanoseconds < 1e6) return `${nanoseconds / 1e3}µs`
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`
  const minutes = Math.floor(nanoseconds / 60e9)
  const seconds = `${(nanoseconds - minutes * 60e9) / 1e9}s`
  if (minutes === 0) return seconds
  const hours = Math.floor(minutes / 60)
  return hours === 0 ? `${minutes}m${seconds}` : `${hours}h${minutes % 60}m${seconds}`
}
