import { pino, type DestinationStream } from 'pino'

/** What the server needs of a logger; pino and most others fit. Fields never hold keys, values or secrets. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  fatal(fields: object, message: string): void
}

export interface ProcessLogger extends Logger {
  /** Writes what is buffered, at once; for the moment before the process ends. */
  flush(): void
}

/** Lines are gathered to this size, or for this long, before they are written. */
const BUFFER_BYTES = 4096
const FLUSH_MS = 200

export interface LogOptions {
  readonly level: string
  readonly format: 'json' | 'console'
  /** A file descriptor or a path; standard error by default, as in etcd. */
  readonly destination?: number | string
}

/** Writes in the background, so that a slow terminal does not stop the event loop. */
export function createLogger(options: LogOptions): ProcessLogger {
  const sink = pino.destination({
    dest: options.destination ?? 2,
    sync: false,
    minLength: BUFFER_BYTES,
    periodicFlush: FLUSH_MS,
  })
  // A closed pipe behind standard error must not end the server.
  sink.on('error', () => {})
  const target: DestinationStream =
    options.format === 'json' ? sink : { write: line => sink.write(consoleLine(line)) }
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
    },
    target,
  )
  return Object.assign(logger, { flush: () => flushNow(sink) }) as unknown as ProcessLogger
}

function flushNow(sink: { flushSync(): void }): void {
  try {
    sink.flushSync()
  } catch {
    // The destination never opened or is gone; there is nobody left to tell.
  }
}

/** One record as text for people: time, level, message, then the fields. */
export function consoleLine(json: string): string {
  const { time, level, msg, ...fields } = JSON.parse(json) as Record<string, unknown>
  const rest = Object.entries(fields).map(
    ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  return `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${String(msg)}${rest.join('')}\n`
}

export const SILENT: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  fatal: () => {},
}
