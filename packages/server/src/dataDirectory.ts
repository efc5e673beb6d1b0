import { accessSync, chmodSync, constants, mkdirSync, statSync } from 'node:fs'
import { accepted, rejected, type Parsed } from './config/flag.js'

const OWNER_ONLY = 0o700
const WORLD_WRITABLE = 0o002
const OTHERS = 0o077

/**
 * Creates the data directory, or checks the one that is there. The value is the warnings; a directory that
 * everybody may write to is refused, because then everybody may replace the log.
 */
export function prepareDataDirectory(path: string): Parsed<readonly string[]> {
  try {
    if (mkdirSync(path, { recursive: true, mode: OWNER_ONLY }) !== undefined) chmodSync(path, OWNER_ONLY)
    const found = statSync(path)
    if (!found.isDirectory()) return rejected(`The data directory ${path} is not a directory.`)
    if ((found.mode & WORLD_WRITABLE) !== 0)
      return rejected(`The data directory ${path} is writable by everybody; chmod 700 it.`)
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    return accepted(
      (found.mode & OTHERS) === 0
        ? []
        : [`The data directory ${path} is open to other users (mode ${(found.mode & 0o777).toString(8)}).`],
    )
  } catch (error) {
    return rejected(dataDirectoryProblem(path, (error as NodeJS.ErrnoException).code))
  }
}

function dataDirectoryProblem(path: string, code: string | undefined): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `The data directory ${path} cannot be written by this user.`
    case 'EROFS':
      return `The data directory ${path} is on a read-only file system.`
    case 'ENOTDIR':
    case 'EEXIST':
      return `The data directory ${path} is not a directory.`
    case 'ENOSPC':
      return `The data directory ${path} cannot be created: the disk is full.`
    default:
      return `The data directory ${path} cannot be used (${code ?? 'unknown error'}).`
  }
}
