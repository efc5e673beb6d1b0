export * from './applyAuth.js'
export type { AuthCommand } from './authCommand.js'
export {
  createEncodedAuth,
  decodeAuthState,
  EMPTY_AUTH,
  encodeAuthState,
  ROOT,
  type EncodedAuth,
} from './authState.js'
export * from './authorise.js'
export * from './rangeSet.js'
