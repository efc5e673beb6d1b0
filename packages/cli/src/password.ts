import { text, toggle } from './flag.js'
import type { GlobalValues } from './globals.js'
import type { Io } from './io.js'

/** How a command learns a password that becomes somebody's. */
export const PASSWORD_FLAGS = {
  'new-user-password': text('password', 'The password.'),
  interactive: toggle(
    '--interactive=false: read the password from the first line of the standard input.',
    true,
  ),
} as const

/** Where a new password comes from. */
export type PasswordSource =
  | { readonly kind: 'written'; readonly password: string }
  | { readonly kind: 'line' }
  | { readonly kind: 'asked' }

export function passwordSource(
  written: string | null,
  flags: { readonly 'new-user-password': string; readonly interactive: boolean },
): PasswordSource {
  if (flags['new-user-password'] !== '') return { kind: 'written', password: flags['new-user-password'] }
  if (written !== null) return { kind: 'written', password: written }
  return { kind: flags.interactive ? 'asked' : 'line' }
}

/** Asks twice at a terminal, and never shows what is typed. */
export async function newPassword(io: Io, source: PasswordSource, user: string): Promise<string> {
  switch (source.kind) {
    case 'written':
      return source.password
    case 'line':
      for await (const line of io.readLines()) return line
      throw new Error('the standard input has no password')
    case 'asked': {
      if (io.askSecret === null)
        throw new Error(
          'a password is needed: name:password, --new-user-password, a terminal, or --interactive=false',
        )
      const password = await io.askSecret(`Password of ${user}: `)
      const again = await io.askSecret(`Type password of ${user} again for confirmation: `)
      if (password !== again) throw new Error('given passwords are different')
      return password
    }
  }
}

/** Asks for the password of `--user` where it is written nowhere and there is somebody to type it. */
export async function withPassword(io: Io, globals: GlobalValues): Promise<GlobalValues> {
  const user = globals.user || io.env['KVORUM_USER'] || io.env['ETCDCTL_USER'] || ''
  const password = globals.password || io.env['KVORUM_PASSWORD'] || io.env['ETCDCTL_PASSWORD'] || ''
  if (user === '' || password !== '' || user.includes(':') || io.askSecret === null) return globals
  return { ...globals, password: await io.askSecret('Password: ') }
}
