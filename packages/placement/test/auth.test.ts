import fc from 'fast-check'
import t from 'tap'
import {
  ALL_KEYS,
  compareBytes,
  groupId,
  MalformedError,
  nodeId,
  pointRange,
  prefixRange,
  rangeContains,
  toHex,
  utf8,
  NO_LEASE,
  leaseId,
  type AuthState,
  type ErrorCode,
  type KeyRange,
  type Op,
  type Permission,
  type PutOp,
  type RangeOp,
  type StoreAnswer,
  type StoreNeed,
  type StorePage,
  type StoreScan,
  type StoreWrite,
} from '@kvorum/model'
import {
  applyAuthCommand,
  applyMetaCommand,
  authorise,
  createMetaState,
  decodeMetaCommand,
  EMPTY_AUTH,
  encodeMetaCommand,
  encodeMetaState,
  loadMetaKeys,
  loadMetaState,
  mergeRanges,
  metaAuthRevision,
  metaWrites,
  requirementOf,
  setCovers,
  withMetaAuthRevision,
  type AuthCommand,
  type MetaState,
  type Requirement,
} from '@kvorum/placement'

t.setTimeout(300_000)

const password = utf8('hash of a password')
const permission = (type: Permission['type'], key: string, rangeEnd = ''): Permission => ({
  type,
  key: utf8(key),
  rangeEnd: utf8(rangeEnd),
})
const HASH = 'ab'.repeat(32)
const OTHER = 'cd'.repeat(32)

/** Applies commands; one that is refused is an error of the test. */
function after(state: AuthState, ...commands: AuthCommand[]): AuthState {
  return commands.reduce((now, command) => {
    const outcome = applyAuthCommand(now, command, 7)
    if (!outcome.ok) throw new Error(`${command.kind}: ${outcome.error.code}`)
    return outcome.value.state
  }, state)
}

function refusal(state: AuthState, command: AuthCommand): ErrorCode | 'accepted' {
  const outcome = applyAuthCommand(state, command, 7)
  return outcome.ok ? 'accepted' : outcome.error.code
}

const withRoot = after(
  EMPTY_AUTH,
  { kind: 'userAdd', name: 'root', password },
  { kind: 'userGrantRole', name: 'root', role: 'root' },
)
/** reader: [a, b) and "k"; writer: [b, c); both together may do everything to "p". */
const on = after(
  withRoot,
  { kind: 'roleAdd', role: 'reader' },
  { kind: 'roleAdd', role: 'writer' },
  { kind: 'roleGrant', role: 'reader', permission: permission('read', 'a', 'b') },
  { kind: 'roleGrant', role: 'reader', permission: permission('read', 'k') },
  { kind: 'roleGrant', role: 'reader', permission: permission('readwrite', 'p') },
  { kind: 'roleGrant', role: 'writer', permission: permission('write', 'b', 'c') },
  { kind: 'userAdd', name: 'alice', password },
  { kind: 'userGrantRole', name: 'alice', role: 'reader' },
  { kind: 'userAdd', name: 'bob', password },
  { kind: 'userGrantRole', name: 'bob', role: 'writer' },
  { kind: 'enable' },
)
const issue = (user: string, hash = HASH, now = 0): AuthCommand => ({
  kind: 'tokenIssue',
  user,
  hash,
  credentialRevision: on.users.get(user)?.credentialRevision ?? 0,
  now,
  expires: now + 1000,
})

t.test('refusals, in the words of the error table', async t => {
  const cases: [AuthState, AuthCommand, ErrorCode][] = [
    [EMPTY_AUTH, { kind: 'enable' }, 'rootUserMissing'],
    [after(EMPTY_AUTH, { kind: 'userAdd', name: 'root', password }), { kind: 'enable' }, 'rootRoleMissing'],
    [on, { kind: 'userAdd', name: '', password }, 'userNameEmpty'],
    [on, { kind: 'userAdd', name: 'alice', password }, 'userExists'],
    [on, { kind: 'userDelete', name: 'nobody' }, 'userNotFound'],
    [on, { kind: 'userDelete', name: 'root' }, 'authManagementInvalid'],
    [on, { kind: 'userChangePassword', name: 'nobody', password }, 'userNotFound'],
    [on, { kind: 'userGrantRole', name: 'nobody', role: 'reader' }, 'userNotFound'],
    [on, { kind: 'userGrantRole', name: 'alice', role: 'none' }, 'roleNotFound'],
    [on, { kind: 'userRevokeRole', name: 'nobody', role: 'reader' }, 'userNotFound'],
    [on, { kind: 'userRevokeRole', name: 'alice', role: 'writer' }, 'roleNotGranted'],
    [on, { kind: 'userRevokeRole', name: 'root', role: 'root' }, 'authManagementInvalid'],
    [on, { kind: 'roleAdd', role: '' }, 'roleNameEmpty'],
    [on, { kind: 'roleAdd', role: 'reader' }, 'roleExists'],
    [on, { kind: 'roleDelete', role: 'none' }, 'roleNotFound'],
    [on, { kind: 'roleDelete', role: 'root' }, 'authManagementInvalid'],
    [on, { kind: 'roleGrant', role: 'none', permission: permission('read', 'x') }, 'roleNotFound'],
    [on, { kind: 'roleGrant', role: 'reader', permission: permission('read', '') }, 'authManagementInvalid'],
    [
      on,
      { kind: 'roleGrant', role: 'reader', permission: permission('read', 'b', 'a') },
      'authManagementInvalid',
    ],
    [on, { kind: 'roleRevoke', role: 'none', key: utf8('x'), rangeEnd: utf8('') }, 'roleNotFound'],
    [on, { kind: 'roleRevoke', role: 'reader', key: utf8('a'), rangeEnd: utf8('') }, 'permissionNotGranted'],
    [withRoot, issue('alice'), 'authNotEnabled'],
    [after(on, { kind: 'userChangePassword', name: 'alice', password }), issue('alice'), 'authFailed'],
  ]
  for (const [state, command, code] of cases)
    t.equal(refusal(state, command), code, `${command.kind}: ${code}`)
  t.equal(refusal(withRoot, { kind: 'userDelete', name: 'root' }), 'accepted', 'while authentication is off')
})

t.test('the revision counts changes, the fence counts what decides', async t => {
  t.equal(EMPTY_AUTH.revision, 1)
  t.equal(withRoot.revision, 3)
  t.equal(withRoot.fence, 0, 'nothing is decided while authentication is off')
  t.equal(on.fence, 1)
  t.equal(after(on, { kind: 'enable' }), on, 'once more changes nothing')
  t.equal(after(withRoot, { kind: 'disable' }), withRoot)
  const granted = after(on, { kind: 'userGrantRole', name: 'alice', role: 'writer' })
  t.match(granted, { revision: on.revision + 1, fence: 2 })
  t.equal(after(granted, { kind: 'userGrantRole', name: 'alice', role: 'writer' }), granted)
  const off = after(granted, { kind: 'disable' })
  t.match(off, { enabled: false, revision: granted.revision + 1, fence: 3 })
  t.match(after(off, { kind: 'enable' }), { revision: off.revision, fence: 4 }, 'enabling is no new revision')
  t.match(after(on, issue('alice')), { revision: on.revision, fence: 1 }, 'a token changes no decision')
})

t.test('tokens end with what they stand for', async t => {
  const both = after(on, issue('alice'), issue('bob', 'cd'.repeat(32)))
  const left = (...commands: AuthCommand[]): string[] =>
    [...after(both, ...commands).tokens.values()].map(({ user }) => user)
  t.strictSame(left(), ['alice', 'bob'])
  t.equal(both.tokens.get(HASH)?.index, 7, 'the entry that issued it')
  t.strictSame(left({ kind: 'userChangePassword', name: 'alice', password }), ['bob'])
  t.strictSame(left({ kind: 'userDelete', name: 'alice' }), ['bob'])
  t.strictSame(left({ kind: 'disable' }), [])
  const kept = ['alice', 'bob']
  t.strictSame(
    left({ kind: 'userRevokeRole', name: 'alice', role: 'reader' }),
    kept,
    'roles are no credentials',
  )
  t.strictSame(left({ kind: 'roleDelete', role: 'reader' }), kept)
  t.strictSame(left({ kind: 'userGrantRole', name: 'alice', role: 'writer' }), ['alice', 'bob'])
  const renewed = { kind: 'tokenRenew', hashes: [HASH, 'ee'.repeat(32)], now: 999, expires: 5000 } as const
  t.strictSame(left(renewed), ['alice', 'bob'])
  t.strictSame(left(renewed, { ...renewed, hashes: [], now: 1001 }), ['alice'], 'the other one ran out')
})

t.test('of too many tokens the oldest goes', async t => {
  let state = on
  for (let i = 0; i < 4_097; i++) {
    state = after(state, issue('alice', i.toString(16).padStart(64, '0')))
  }
  t.equal(state.tokens.size, 4_096)
  t.notOk(state.tokens.has('0'.repeat(64)))
})

t.test('a user without a password does not get one by a change', async t => {
  const state = after(
    on,
    { kind: 'userAdd', name: 'cn', password: utf8('') },
    { kind: 'userChangePassword', name: 'cn', password },
  )
  t.equal(state.users.get('cn')?.password.length, 0)
})

const put = (key: string, facts: Partial<PutOp> = {}): PutOp => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(''),
  lease: NO_LEASE,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
  ...facts,
})
const get = (range: KeyRange): RangeOp => ({
  kind: 'range',
  range,
  limit: 0,
  revision: 0,
  order: 'none',
  target: 'key',
  keysOnly: false,
  countOnly: false,
  minMod: 0,
  maxMod: 0,
  minCreate: 0,
  maxCreate: 0,
})
const txn = (success: Op[], failure: Op[] = [], keys: string[] = []): Op => ({
  kind: 'txn',
  compares: keys.map(key => ({
    range: pointRange(utf8(key)),
    result: 'equal',
    target: 'version',
    operand: 0,
  })),
  success,
  failure,
})
const A_TO_B = { start: utf8('a'), end: utf8('b') }
const FROM_A = { start: utf8('a'), end: null }

t.test('what each operation needs', async t => {
  const allowed: [string, Op][] = [
    ['alice', get(A_TO_B)],
    ['alice', get(prefixRange(utf8('a/')))],
    ['alice', get(pointRange(utf8('k')))],
    ['alice', put('p', { prevKv: true })],
    ['alice', txn([get(A_TO_B)], [put('p')], ['k'])],
    ['bob', put('b')],
    ['bob', { kind: 'delete', range: { start: utf8('b'), end: utf8('c') }, prevKv: false }],
    ['root', { kind: 'delete', range: ALL_KEYS, prevKv: true }],
  ]
  const denied: [string, Op][] = [
    ['alice', get(FROM_A)],
    ['alice', get(ALL_KEYS)],
    ['alice', get(pointRange(utf8('b')))],
    ['alice', get(prefixRange(utf8('k')))],
    ['alice', put('k')],
    ['bob', put('b', { prevKv: true })],
    ['bob', get(pointRange(utf8('b')))],
    ['bob', { kind: 'delete', range: { start: utf8('b'), end: utf8('c') }, prevKv: true }],
    ['bob', { kind: 'delete', range: { start: utf8('b'), end: utf8('c\0') }, prevKv: false }],
    ['bob', { kind: 'delete', range: { start: utf8('a'), end: utf8('z') }, prevKv: false }],
    ['nobody', get(pointRange(utf8('k')))],
    ['alice', txn([], [], ['b'])],
    ['alice', txn([], [put('b')])],
    ['bob', txn([put('b')], [get(pointRange(utf8('b')))])],
  ]
  for (const [user, op] of allowed)
    t.equal(authorise(on, user, requirementOf(op)), null, `${user} ${op.kind}`)
  for (const [user, op] of denied)
    t.equal(authorise(on, user, requirementOf(op))?.code, 'permissionDenied', `${user} ${op.kind}`)
})

t.test(
  'CVE-2026-33343: what is nested needs what it needs outside, at every depth and in both branches',
  async t => {
    const secrets: Op[] = [
      put('secret'),
      get(pointRange(utf8('secret'))),
      { kind: 'delete', range: pointRange(utf8('secret')), prevKv: false },
      txn([], [], ['secret']),
    ]
    for (const secret of secrets) {
      let success = txn([put('p'), secret])
      let failure = txn([put('p')], [secret])
      for (let depth = 1; depth <= 3; depth++) {
        t.equal(authorise(on, 'alice', requirementOf(success))?.code, 'permissionDenied', `success, ${depth}`)
        t.equal(authorise(on, 'alice', requirementOf(failure))?.code, 'permissionDenied', `failure, ${depth}`)
        success = txn([success])
        failure = txn([], [failure])
      }
    }
  },
)

t.test('a permission that is granted again', async t => {
  const grant = (state: AuthState, given: Permission): AuthState =>
    after(state, { kind: 'roleGrant', role: 'reader', permission: given })
  // Two that begin with one key: each is found by its whole range.
  const point = grant(on, permission('read', 'a'))
  const both = grant(point, permission('read', 'a', 'b'))
  const changed = grant(both, permission('write', 'a', 'b'))
  t.equal(changed.roles.get('reader')!.permissions.length, both.roles.get('reader')!.permissions.length)
  const reading = (state: AuthState, key: string): string | undefined =>
    authorise(state, 'alice', requirementOf(get(pointRange(utf8(key)))))?.code
  t.equal(reading(both, 'aa'), undefined)
  t.equal(reading(changed, 'aa'), 'permissionDenied')
  t.equal(reading(changed, 'a'), undefined, 'by the other one')
})

t.test('CVE-2026-44283: previous values and leases count inside transactions, too', async t => {
  t.equal(authorise(on, 'bob', requirementOf(txn([put('b')]))), null)
  t.equal(
    authorise(on, 'bob', requirementOf(txn([txn([put('b', { prevKv: true })])])))?.code,
    'permissionDenied',
  )
  t.equal(requirementOf(txn([], [txn([put('b', { lease: leaseId(1n) })])])).leases, true)
  t.equal(requirementOf(txn([put('b')])).leases, false)
})

t.test('who may what beside keys', async t => {
  const rows: [string | null, Requirement, ErrorCode | null][] = [
    [null, { kind: 'nothing' }, null],
    [null, { kind: 'user' }, 'userNameEmpty'],
    ['', { kind: 'root' }, 'userNameEmpty'],
    ['nobody', { kind: 'user' }, 'permissionDenied'],
    ['alice', { kind: 'user' }, null],
    ['alice', { kind: 'root' }, 'permissionDenied'],
    ['root', { kind: 'root' }, null],
    ['alice', { kind: 'self', user: 'alice' }, null],
    ['alice', { kind: 'self', user: 'bob' }, 'permissionDenied'],
    ['root', { kind: 'self', user: 'bob' }, null],
    ['alice', { kind: 'role', role: 'reader' }, null],
    ['alice', { kind: 'role', role: 'writer' }, 'permissionDenied'],
  ]
  for (const [user, requirement, code] of rows) {
    t.equal(authorise(on, user, requirement)?.code ?? null, code, `${user} ${requirement.kind}`)
    t.equal(authorise(withRoot, user, requirement), null, 'off: everybody may')
  }
})

t.test('merged ranges hold exactly the keys of the ranges', async t => {
  const key = fc.uint8Array({ maxLength: 2 })
  const range = fc.record({ start: key, end: fc.option(key) })
  fc.assert(
    fc.property(fc.array(range, { maxLength: 6 }), range, key, (ranges, inner, probe) => {
      const merged = mergeRanges(ranges)
      const apart = merged.every((each, i) => {
        const next = merged[i + 1]
        return next === undefined || (each.end !== null && compareBytes(each.end, next.start) < 0)
      })
      const contains = (list: readonly KeyRange[]) => list.some(each => rangeContains(each, probe))
      const covered = !setCovers(merged, inner) || !rangeContains(inner, probe) || contains(ranges)
      return apart && covered && contains(merged) === contains(ranges)
    }),
    { numRuns: 2_000 },
  )
  const split = mergeRanges([
    { start: utf8('a'), end: utf8('c') },
    { start: utf8('c'), end: utf8('e') },
  ])
  t.ok(setCovers(split, { start: utf8('b'), end: utf8('d') }), 'over the seam of two roles')
})

const newMeta = (): MetaState =>
  createMetaState([], [{ group: groupId(1), range: ALL_KEYS, epoch: 1, replicas: [] }])

/** A store of nothing else, which gives a few rows at a time. */
class Rows {
  readonly rows = new Map<string, Uint8Array>()
  readonly #pageRows: number

  constructor(pageRows = 1_000) {
    this.#pageRows = pageRows
  }

  write(writes: readonly StoreWrite[]): void {
    for (const { key, value } of writes) {
      if (value === null) this.rows.delete(toHex(key))
      else this.rows.set(toHex(key), value)
    }
  }

  load(): MetaState | null {
    const keys = this.#run(loadMetaKeys()).map(toHex)
    t.strictSame(keys, [...this.rows.keys()].sort())
    return this.#run(loadMetaState())
  }

  dump(): string[] {
    return [...this.rows].slice(1).map(([key, value]) => `${key} ${toHex(value)}`)
  }

  #run<Value>(step: Generator<StoreNeed, Value, StoreAnswer>): Value {
    for (let next = step.next(); ;) {
      if (next.done === true) return next.value
      const { gets, scans } = next.value
      const values = gets.map(key => this.rows.get(toHex(key)) ?? null)
      next = step.next({ values, pages: scans.map(scan => this.#scan(scan)) })
    }
  }

  #scan({ gte, lt }: StoreScan): StorePage {
    const names = [...this.rows.keys()].sort().filter(name => name >= toHex(gte) && name < toHex(lt))
    const rows = names
      .slice(0, this.#pageRows)
      .map(name => ({ key: fromHex(name), value: this.rows.get(name)! }))
    return { rows, more: names.length > rows.length }
  }
}

const fromHex = (text: string): Uint8Array => Buffer.from(text, 'hex')

/** Rows of users, roles and tokens. They are on disks: a difference here is a change of format. */
const GOLDEN_ROWS = [
  '4d55726f6f74 021268617368206f6620612070617373776f7264020104726f6f74',
  '4d55616c696365 021268617368206f6620612070617373776f72640a0106726561646572',
  '4d55626f62 021268617368206f6620612070617373776f72640c0106777269746572',
  '4d52726561646572 0203000161016200016b0002017000',
  '4d52777269746572 02010101620163',
  `4d54${HASH} 0205616c69636507e807`,
]

t.test('state and commands as bytes', async t => {
  const meta = { ...newMeta(), auth: after(on, issue('alice')) }
  const store = new Rows()
  store.write(metaWrites(meta, EMPTY_AUTH))
  t.strictSame(store.load()?.auth, meta.auth)
  for (const [key, value] of [...store.rows].slice(1)) {
    store.rows.delete(key)
    t.throws(() => store.load(), MalformedError, 'a row is missing')
    for (let cut = 0; cut < value.length; cut++) {
      store.rows.set(key, value.subarray(0, cut))
      t.throws(() => store.load(), MalformedError)
    }
    store.rows.set(key, value)
  }
  t.strictSame(store.dump(), GOLDEN_ROWS)
  const commands: [AuthCommand, string][] = [
    [{ kind: 'enable' }, '010a0001'],
    [{ kind: 'disable' }, '010a0002'],
    [{ kind: 'userAdd', name: 'u', password: Uint8Array.of(9) }, '010a000301750109'],
    [{ kind: 'userDelete', name: 'u' }, '010a00040175'],
    [{ kind: 'userChangePassword', name: 'u', password: Uint8Array.of(9) }, '010a000501750109'],
    [{ kind: 'userGrantRole', name: 'u', role: 'r' }, '010a000601750172'],
    [{ kind: 'userRevokeRole', name: 'u', role: 'r' }, '010a000701750172'],
    [{ kind: 'roleAdd', role: 'r' }, '010a00080172'],
    [{ kind: 'roleDelete', role: 'r' }, '010a00090172'],
    [
      { kind: 'roleGrant', role: 'r', permission: permission('readwrite', 'a', 'b') },
      '010a000a01720201610162',
    ],
    [{ kind: 'roleRevoke', role: 'r', key: utf8('a'), rangeEnd: utf8('') }, '010a000b0172016100'],
    [
      { kind: 'tokenIssue', user: 'u', hash: HASH, credentialRevision: 3, now: 4, expires: 5 },
      `010a000c017520${HASH}030405`,
    ],
    [{ kind: 'tokenRenew', hashes: [HASH], now: 4, expires: 5 }, `010a000d0120${HASH}0405`],
  ]
  for (const [command, hex] of commands) {
    t.equal(toHex(encodeMetaCommand({ kind: 'auth', command })), hex, command.kind)
    const back = decodeMetaCommand(Buffer.from(hex, 'hex'))
    t.equal(toHex(encodeMetaCommand(back)), hex)
  }
  const allowed = withMetaAuthRevision(Buffer.from('010a0001', 'hex'), 300)
  t.equal(toHex(allowed), '010a01ac0201')
  t.equal(metaAuthRevision(allowed), 300)
  t.equal(toHex(encodeMetaCommand({ kind: 'auth', command: { kind: 'enable' } }, 300)), toHex(allowed))
})

t.test('the meta group decides changes by the newest roles', async t => {
  const meta = createMetaState([], [{ group: groupId(1), range: ALL_KEYS, epoch: 1, replicas: [] }])
  const before = toHex(encodeMetaState(meta))
  const add = (name: string, revision: number | null) =>
    applyMetaCommand(meta, { kind: 'auth', command: { kind: 'userAdd', name, password } }, revision)
  t.ok(add('early', null).ok, 'off: nobody is asked')
  t.not(toHex(encodeMetaState(meta)), before)
  meta.auth = on
  t.match(add('u1', null), { ok: false, error: { code: 'authOutdated', outcome: 'notApplied' } })
  t.match(add('u1', on.fence - 1), { ok: false, error: { code: 'authOutdated' } })
  t.ok(add('u1', on.fence).ok)
  t.match(add('u2', on.fence), { ok: false, error: { code: 'authOutdated' } }, 'that was a change')
  t.ok(add('u2', Number.MAX_SAFE_INTEGER).ok, 'what a node does itself')
  const remove = { kind: 'removeMember', node: nodeId(1n), strict: false } as const
  t.match(applyMetaCommand(meta, remove), { ok: false, error: { code: 'authOutdated' } }, 'members, too')
  t.ok(applyMetaCommand(meta, { kind: 'setClusterVersion', version: '3.5.0' }).ok, 'and says of itself')
  const store = new Rows()
  store.write(metaWrites(meta, EMPTY_AUTH))
  t.strictSame(store.load()?.auth, meta.auth)
})

t.test('a change writes the rows of what it changes', async t => {
  const meta = newMeta()
  const store = new Rows(2)
  const given = permission('read', 'a', 'b')
  const commands: [AuthCommand, number][] = [
    [{ kind: 'userAdd', name: 'root', password }, 1],
    [{ kind: 'userGrantRole', name: 'root', role: 'root' }, 1],
    [{ kind: 'roleAdd', role: 'r' }, 1],
    [{ kind: 'userAdd', name: 'u', password }, 1],
    [{ kind: 'userAdd', name: 'v', password }, 1],
    [{ kind: 'userGrantRole', name: 'u', role: 'r' }, 1],
    [{ kind: 'roleGrant', role: 'r', permission: given }, 1],
    [{ kind: 'enable' }, 0],
    [{ kind: 'tokenIssue', user: 'u', hash: HASH, credentialRevision: 5, now: 1, expires: 9 }, 1],
    [{ kind: 'tokenIssue', user: 'u', hash: OTHER, credentialRevision: 5, now: 2, expires: 20 }, 1],
    [{ kind: 'tokenRenew', hashes: [HASH], now: 2, expires: 10 }, 1],
    [{ kind: 'tokenRenew', hashes: [OTHER], now: 10, expires: 20 }, 2],
    [{ kind: 'userChangePassword', name: 'u', password: utf8('other') }, 2],
    [{ kind: 'roleRevoke', role: 'r', key: given.key, rangeEnd: given.rangeEnd }, 1],
    [{ kind: 'userRevokeRole', name: 'u', role: 'r' }, 1],
    [{ kind: 'userGrantRole', name: 'v', role: 'r' }, 1],
    [{ kind: 'roleDelete', role: 'r' }, 2],
    [{ kind: 'userDelete', name: 'u' }, 1],
    [{ kind: 'disable' }, 0],
  ]
  for (const [command, rows] of commands) {
    const { auth } = meta
    meta.applied++
    t.ok(applyMetaCommand(meta, { kind: 'auth', command }, Number.MAX_SAFE_INTEGER).ok, command.kind)
    const writes = metaWrites(meta, auth)
    t.equal(writes.length, 1 + rows, command.kind)
    store.write(writes)
    t.strictSame(store.load()?.auth, meta.auth, command.kind)
  }
  t.equal(store.rows.size, 1 + 2)
})

t.test('tokens come back in the order in which they were issued', async t => {
  const tokens = new Map(
    Array.from({ length: 40 }, (_, i) => [
      `${(i * 7) % 40}`.padStart(64, '0'),
      { user: 'alice', index: i + 1, expires: 100 },
    ]),
  )
  const meta = { ...newMeta(), auth: { ...on, tokens } }
  const store = new Rows(7)
  store.write(metaWrites(meta, EMPTY_AUTH))
  t.strictSame([...store.load()!.auth.tokens.keys()], [...tokens.keys()])
})
