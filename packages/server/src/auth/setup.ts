import type { ServerConfig } from '../config/config.js'
import type { Logger } from '../logging.js'
import { StartError } from '../wiring.js'
import { AuditLog } from './audit.js'
import { JwtTokens, readKeys } from './jwtTokens.js'
import { SimpleTokens } from './simpleTokens.js'
import type { Tokens } from './tokens.js'

/** What the flags say about tokens and the audit log. Rejects with a StartError. */
export async function openUsers(config: ServerConfig, logger: Logger) {
  return { tokens: tokensOf(config), audit: await openAudit(config.auditLog, logger) }
}

function tokensOf({ tokens }: ServerConfig): Tokens {
  if (tokens.kind === 'simple') return new SimpleTokens(tokens.ttlMs)
  try {
    return new JwtTokens(tokens.jwt, readKeys(tokens.jwt))
  } catch (error) {
    throw new StartError(`--auth-token: a key cannot be read (${(error as Error).message}).`)
  }
}

async function openAudit(path: string, logger: Logger): Promise<AuditLog | null> {
  if (path === '') return null
  try {
    return await AuditLog.open(path, logger)
  } catch (error) {
    throw new StartError(`--audit-log: ${path} cannot be opened (${(error as NodeJS.ErrnoException).code}).`)
  }
}
