import { drawDelete, drawPut, drawRange, type Draw } from './generate.js'
import { drawTxn } from './generateTxn.js'
import { call, type Step } from './steps.js'
import type { MessageTemplate, Template } from './symbols.js'

/** Few, so that a user who is gone is asked for, and one who is there added again. */
const USERS: readonly string[] = ['root', 'ann', 'bob']
const ROLES: readonly string[] = ['root', 'r', 's']
export const PASSWORDS: readonly string[] = ['pw', 'other']

/** Who calls: a user with the newest token he has got, nobody, or somebody with a token that is none. */
const CALLERS: readonly (string | undefined)[] = ['root', 'root', 'ann', 'ann', 'ann', 'bob', undefined]
const NO_TOKEN = 'nonsense'

const AUTH = 'etcdserverpb.Auth'
const auth = (method: AuthMethod, request: MessageTemplate): Extract<Step, { kind: 'call' }> =>
  call(`${AUTH}/${method}`, request)

type AuthMethod =
  | 'AuthEnable'
  | 'AuthDisable'
  | 'Authenticate'
  | 'UserAdd'
  | 'UserGet'
  | 'UserList'
  | 'UserDelete'
  | 'UserChangePassword'
  | 'UserGrantRole'
  | 'UserRevokeRole'
  | 'RoleAdd'
  | 'RoleGet'
  | 'RoleList'
  | 'RoleGrantPermission'
  | 'RoleRevokePermission'

/** Users and roles as they are in most clusters; what comes then changes them. */
export function authPrologue(draw: Draw): Step[] {
  const [pw] = PASSWORDS
  const steps: Step[] = [
    auth('UserAdd', { name: 'root', password: pw! }),
    auth('UserGrantRole', { user: 'root', role: 'root' }),
    auth('RoleAdd', { name: 'r' }),
    auth('RoleGrantPermission', { name: 'r', perm: permission(draw) }),
    auth('UserAdd', { name: 'ann', password: pw! }),
    auth('UserGrantRole', { user: 'ann', role: 'r' }),
    auth('AuthEnable', {}),
    authenticate('root', pw!),
    authenticate('ann', pw!),
  ]
  // One thing may be missing.
  return draw.chance(0.3) ? steps.toSpliced(draw.int(0, steps.length - 1), 1) : steps
}

const authenticate = (name: string, password: string): Step => auth('Authenticate', { name, password })

export function drawAuthStep(draw: Draw): Step {
  const as = draw.chance(0.03) ? NO_TOKEN : draw.pick(CALLERS)
  const step = draw.chance(0.55) ? drawKeys(draw) : drawChange(draw)
  // Who authenticates needs no token, and an old one must not keep him out; in 3.4 it does.
  return as === undefined || step.rpc === `${AUTH}/Authenticate` ? step : { ...step, as }
}

function drawKeys(draw: Draw): Extract<Step, { kind: 'call' }> {
  const at = draw.random.float()
  if (at < 0.35) return call('etcdserverpb.KV/Put', drawPut(draw))
  if (at < 0.65) return call('etcdserverpb.KV/Range', drawRange(draw))
  if (at < 0.8) return call('etcdserverpb.KV/DeleteRange', drawDelete(draw))
  return call('etcdserverpb.KV/Txn', drawTxn(draw, 2))
}

function drawChange(draw: Draw): Extract<Step, { kind: 'call' }> {
  const [user, role] = [draw.pick(USERS), draw.pick(ROLES)]
  const name = draw.chance(0.03) ? '' : user
  switch (draw.int(0, 15)) {
    case 0:
      return auth('UserAdd', {
        name,
        ...(name !== 'root' && draw.chance(0.15)
          ? { options: { no_password: true } }
          : { password: draw.pick(PASSWORDS) }),
      })
    case 1:
      return auth('UserGet', { name })
    case 2:
      return auth('UserList', {})
    case 3:
      return auth('UserDelete', { name })
    case 4:
      return auth('UserChangePassword', { name, password: draw.pick(PASSWORDS) })
    case 5:
    case 6:
      return auth('UserGrantRole', { user: name, role })
    case 7:
      return auth('UserRevokeRole', { name, role })
    case 8:
      return auth('RoleAdd', { name: draw.chance(0.05) ? '' : role })
    case 9:
      return auth('RoleGet', { role })
    case 10:
      return auth('RoleList', {})
    case 11:
      // A role that users have is not deleted: here that ends their tokens, in 3.4 it does not.
      return auth('RoleGet', { role })
    case 12:
    case 13:
      return auth('RoleGrantPermission', { name: role, perm: permission(draw) })
    case 14:
      return auth('RoleRevokePermission', { role, ...granted(draw) })
    default:
      if (draw.chance(0.25)) return auth(draw.chance(0.5) ? 'AuthEnable' : 'AuthDisable', {})
      return auth('Authenticate', { name, password: draw.pick(PASSWORDS) })
  }
}

const granted = (draw: Draw): MessageTemplate => ({
  key: draw.key(),
  ...draw.maybe(0.6, 'range_end', () => draw.end()),
})

/** Only ranges that hold a key: 3.4 takes others, too, later versions and we refuse them. */
function permission(draw: Draw): Template {
  const { key, end } = draw.pick(PERMITTED)
  return {
    ...draw.maybe(0.7, 'permType', () => draw.int(1, 2)),
    key: Buffer.from(key),
    ...(end === null ? {} : { range_end: Buffer.from(end) }),
  }
}

const PERMITTED = [
  { key: 'a', end: null },
  { key: 'a', end: 'b' },
  { key: 'a\0', end: 'k/2' },
  { key: 'k/1', end: null },
  { key: 'k', end: 'l' },
  { key: 'b', end: '\0' },
  { key: '\0', end: '\0' },
] as const
