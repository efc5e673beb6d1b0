import t from 'tap'
import { Passwords } from '#src/auth/passwords.js'

/** Made by an etcd from the password "pw", as a snapshot brings it. */
const HASH = Buffer.from('$2a$10$uBV6jt.Ny8wK9cujN2oCQ.atkSP.tePL0dnt.PgwWwU4WSXyz7lnu')

t.test("etcd's hashes of passwords are verified, beside our own", async t => {
  const passwords = new Passwords()
  t.same(await passwords.verify('pw', HASH), { ok: true, value: true })
  t.same(await passwords.verify('pW', HASH), { ok: true, value: false })
  t.same(await passwords.verify('', HASH), { ok: true, value: false })
  const own = await passwords.hash('pw')
  t.ok(own.ok)
  if (own.ok) t.same(await passwords.verify('pw', own.value), { ok: true, value: true })
})

t.test('what only looks like one opens nothing, and one that costs too much is not computed', async t => {
  const passwords = new Passwords()
  for (const text of ['$2a$31$uBV6jt.Ny8wK9cujN2oCQ.atkSP.tePL0dnt.PgwWwU4WSXyz7lnu', '$2a$10$', '$']) {
    t.same(await passwords.verify('pw', Buffer.from(text)), { ok: true, value: false })
  }
})
