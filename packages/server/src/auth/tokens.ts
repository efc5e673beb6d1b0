import type { AuthState, AuthUser, KvNode, Result } from '@kvorum/model'

/** What makes and reads the tokens of clients. */
export interface Tokens {
  /** For a user whose password was right. */
  issue(node: KvNode, user: AuthUser, state: AuthState): Promise<Result<string>>
  /** The user's name. */
  read(node: KvNode, token: string, state: AuthState): Promise<Result<string>>
}
