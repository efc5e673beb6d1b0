import { readFileSync } from 'node:fs'
import { loadConfig } from './config/load.js'
import { createLogger, type ProcessLogger } from './logging.js'
import { startServer, type RunningServer } from './server.js'
import { StartError, type CreateNode } from './wiring.js'

/** Exit statuses: 1 it could not start or could not go on, 2 it was asked for something it does not know. */
const FAILED = 1
const USAGE = 2

/** Longest a stopping process waits for its node before it goes all the same. */
const STOP_MS = 30_000
const THREADS_MIN = 8

export interface ProcessParts {
  readonly createNode: CreateNode
  /** Without the program's name and the command. */
  readonly argv: readonly string[]
}

/** The process of one server, from its arguments to its exit status. Resolves once it runs, or exits. */
export async function runServerProcess({ createNode, argv }: ProcessParts): Promise<void> {
  const outcome = loadConfig({
    argv,
    environment: process.env,
    readFile: path => readFileSync(path, 'utf8'),
  })
  if (outcome.kind === 'print') {
    process.stdout.write(outcome.text)
    return
  }
  if (outcome.kind === 'refuse') {
    process.stderr.write(`kvorum: ${outcome.reason}\n`)
    process.exitCode = USAGE
    return
  }
  const { config, warnings } = outcome
  const logger = createLogger({ level: config.logLevel, format: config.logFormat })
  const fatal = createFatal(logger)
  process.on('unhandledRejection', reason => fatal(`a promise failed unheard: ${describe(reason)}`))
  process.on('uncaughtException', error => fatal(`an error was not caught: ${describe(error)}`))
  for (const warning of warnings) logger.warn({}, warning)
  adviseThreads(logger)
  try {
    onSignals(await startServer(config, { createNode, logger, fatal }), logger)
  } catch (error) {
    logger.flush()
    if (!(error instanceof StartError)) return fatal(`the server could not start: ${describe(error)}`)
    process.stderr.write(`kvorum: ${error.message}\n`)
    process.exit(FAILED)
  }
}

const describe = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)

/** Logs why, and ends the process at once: what is durable is on disk, and nothing else may be trusted. */
function createFatal(logger: ProcessLogger): (reason: string) => void {
  return reason => {
    logger.fatal({ reason }, 'this server cannot go on')
    logger.flush()
    process.exit(FAILED)
  }
}

/** The first signal stops in good order, the second one at once. */
function onSignals(server: RunningServer, logger: ProcessLogger): void {
  let stopping = false
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) {
      logger.warn({ signal }, 'stopping at once')
      logger.flush()
      process.exit(FAILED)
    }
    stopping = true
    logger.info({ signal }, 'stopping')
    const late = setTimeout(() => {
      logger.error({ afterMs: STOP_MS }, 'stopping took too long')
      logger.flush()
      process.exit(FAILED)
    }, STOP_MS)
    void server.stop().then(() => {
      clearTimeout(late)
      logger.info({}, 'stopped')
      logger.flush()
      process.exit(0)
    })
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

/** The thread pool is shared by fsync, the state store and name lookups, and is sized before Node starts. */
function adviseThreads(logger: ProcessLogger): void {
  const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? '4')
  if (threads < THREADS_MIN)
    logger.warn(
      { threads },
      `UV_THREADPOOL_SIZE is below ${THREADS_MIN}: syncs of the log may wait behind reads of the state store`,
    )
}
