import { drawDelete, drawPut, drawRange, LEASES, type Draw } from './draw.js'
import { drawTxn } from './generateTxn.js'
import { call, type Step } from './steps.js'
import { revision, type MessageTemplate, type Template } from './symbols.js'

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
  | 'RoleDelete'
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
  const step = draw.chance(0.55) ? drawKeys(draw) : drawChange(draw)
  const drawn = draw.chance(0.03) ? NO_TOKEN : draw.pick(CALLERS)
  // 3.4 asks nobody who he is for a lease, later versions and we do.
  const as = drawn === undefined && step.rpc.startsWith('etcdserverpb.Lease/') ? 'ann' : drawn
  // Who authenticates needs no token, and an old one must not keep him out; in 3.4 it does.
  return as === undefined || step.rpc === `${AUTH}/Authenticate` ? step : { ...step, as }
}

function drawKeys(draw: Draw): Extract<Step, { kind: 'call' }> {
  const at = draw.random.float()
  if (at < 0.35) return call('etcdserverpb.KV/Put', drawPut(draw))
  if (at < 0.65) return call('etcdserverpb.KV/Range', drawRange(draw))
  if (at < 0.75) return call('etcdserverpb.KV/DeleteRange', drawDelete(draw))
  if (at < 0.85) return drawLease(draw)
  return call('etcdserverpb.KV/Txn', drawTxn(draw, 2))
}

/** Who revokes a lease, or puts a key to it, needs to write all its keys. */
function drawLease(draw: Draw): Extract<Step, { kind: 'call' }> {
  const id = { ID: draw.pick(AUTH_LEASES) }
  const method = draw.pick(['LeaseGrant', 'LeaseRevoke'] as const)
  return call(`etcdserverpb.Lease/${method}`, method === 'LeaseGrant' ? { ...id, TTL: 3600 } : id)
}

const AUTH_LEASES: readonly bigint[] = LEASES.slice(0, 3)

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
      return auth('RoleDelete', { role })
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

const WATCHERS: readonly string[] = ['root', 'ann', 'ann', 'bob']

/** Users and what they may see: nobody loses his token, and root stays who he is. */
export function authWatchPrologue(draw: Draw): Step[] {
  const [pw] = PASSWORDS
  return [
    auth('UserAdd', { name: 'root', password: pw! }),
    auth('UserGrantRole', { user: 'root', role: 'root' }),
    ...['r', 's'].flatMap(name => [
      auth('RoleAdd', { name }),
      auth('RoleGrantPermission', { name, perm: permission(draw) }),
    ]),
    ...['ann', 'bob'].flatMap(name => [
      auth('UserAdd', { name, password: pw! }),
      auth('UserGrantRole', { user: name, role: draw.pick(['r', 's']) }),
    ]),
    auth('AuthEnable', {}),
    ...['root', 'ann', 'bob'].map(name => authenticate(name, pw!)),
    watchOf('root', draw),
  ]
}

/** Every user has a stream of his own. No ranges without an end: 3.4 takes them for the key alone. */
function watchOf(as: string, draw: Draw): Step {
  const { key, end } = draw.pick(PERMITTED.filter(({ end }) => end !== '\0'))
  return {
    kind: 'watch',
    stream: USERS.indexOf(as),
    as,
    request: {
      key: Buffer.from(key),
      ...(end === null ? {} : { range_end: Buffer.from(end) }),
      ...draw.maybe(0.3, 'start_revision', () => revision('start', draw.int(1, 10))),
      ...draw.flag(0.4, 'prev_kv'),
    },
  }
}

export function drawAuthWatchStep(draw: Draw): Step {
  const at = draw.random.float()
  if (at < 0.2) return watchOf(draw.pick(WATCHERS), draw)
  if (at < 0.7) return { ...drawKeys(draw), as: draw.pick(WATCHERS) }
  const role = draw.pick(['r', 's'])
  const changes = [
    auth('UserGrantRole', { user: draw.pick(['ann', 'bob']), role }),
    auth('UserRevokeRole', { name: draw.pick(['ann', 'bob']), role }),
    auth('RoleAdd', { name: role }),
    auth('RoleDelete', { role }),
    auth('RoleGrantPermission', { name: role, perm: permission(draw) }),
    auth('RoleGrantPermission', { name: role, perm: permission(draw) }),
  ]
  return { ...draw.pick(changes), as: 'root' }
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

/** No two begin alike: etcd adds a permission where it should change one (`auth-regrant`). */
const PERMITTED = [
  { key: 'ab', end: null },
  { key: 'a', end: 'b' },
  { key: 'a\0', end: 'k/2' },
  { key: 'k/1', end: null },
  { key: 'k', end: 'l' },
  { key: 'b', end: '\0' },
  { key: '\0', end: '\0' },
] as const
