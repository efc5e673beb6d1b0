import t from 'tap'
import { createShard, execute, flush, restart } from './shard.js'
import { parseCommand, showOutcome } from './script.js'

/**
 * One block per scenario: a command, then what is answered ("revision answer"). Every scenario runs twice: on
 * layers only, and with every write flushed and read back from the store.
 */
const SCENARIOS: Record<string, string> = {
  'put: one revision each, also with the same value': `
    put a 1                                  | 2 put
    put a 1                                  | 3 put
    put a 2 prev                             | 4 put was a=1[2 3 2]
    put b 1 prev                             | 5 put
    get a *                                  | 5 a=2[2 4 3] b=1[5 5 1] of 2`,
  'put: version and create begin again after a delete': `
    put a 1                                  | 2 put
    put a 2                                  | 3 put
    del a                                    | 4 deleted 1
    put a 3                                  | 5 put
    get a                                    | 5 a=3[5 5 1] of 1`,
  'put: ignore_value and ignore_lease need an existing key': `
    put a 1 keepLease                        | 1 !keyNotFound
    put a keepValue                          | 1 !keyNotFound
    grant 7 60                               | 1 lease 7
    put a 1 lease=7                          | 2 put
    put a 2 keepLease                        | 3 put
    get a                                    | 3 a=2[2 3 2 L7] of 1
    put a keepValue                          | 4 put
    get a                                    | 4 a=2[2 4 3] of 1
    del a                                    | 5 deleted 1
    put a keepValue                          | 5 !keyNotFound`,
  'delete: nothing deleted does not move the revision': `
    del a                                    | 1 deleted 0
    del a *                                  | 1 deleted 0
    put a 1                                  | 2 put
    del b z                                  | 2 deleted 0
    del z a                                  | 2 deleted 0
    del a prev                               | 3 deleted 1 a=1[2 2 1]
    del a prev                               | 3 deleted 0`,
  'delete: a range, in key order, at one revision': `
    put c 3                                  | 2 put
    put a 1                                  | 3 put
    put b 2                                  | 4 put
    del a c prev                             | 5 deleted 2 a=1[3 3 1] b=2[4 4 1]
    get a *                                  | 5 c=3[2 2 1] of 1`,
  'range: limit, more and count': `
    put a 1                                  | 2 put
    put b 2                                  | 3 put
    put c 3                                  | 4 put
    get a * limit=2                          | 4 a=1[2 2 1] b=2[3 3 1] of 3 more
    get a * limit=3                          | 4 a=1[2 2 1] b=2[3 3 1] c=3[4 4 1] of 3
    get b c                                  | 4 b=2[3 3 1] of 1
    get c a                                  | 4 of 0
    get a * count                            | 4 of 3
    get a * count limit=1                    | 4 of 3
    get a * keys limit=1                     | 4 a=[2 2 1] of 3 more
    get x                                    | 4 of 0`,
  'range: filters do not change the count, limit comes after them': `
    put a 1                                  | 2 put
    put b 2                                  | 3 put
    put c 3                                  | 4 put
    put a 9                                  | 5 put
    get a * minmod=4                         | 5 a=9[2 5 2] c=3[4 4 1] of 3
    get a * minmod=3 maxmod=4                | 5 b=2[3 3 1] c=3[4 4 1] of 3
    get a * maxmod=4 limit=1                 | 5 b=2[3 3 1] of 3 more
    get a * maxmod=4 limit=2                 | 5 b=2[3 3 1] c=3[4 4 1] of 3
    get a * mincreate=3 limit=1              | 5 b=2[3 3 1] of 3 more
    get a * maxcreate=2                      | 5 a=9[2 5 2] of 3
    get a * minmod=4 desc by=mod             | 5 a=9[2 5 2] c=3[4 4 1] of 3`,
  'range: sorted, then cut': `
    put a 3                                  | 2 put
    put b 1                                  | 3 put
    put c 2                                  | 4 put
    put a 3                                  | 5 put
    get a * desc                             | 5 c=2[4 4 1] b=1[3 3 1] a=3[2 5 2] of 3
    get a * desc limit=1                     | 5 c=2[4 4 1] of 3 more
    get a * desc limit=2 minmod=5            | 5 a=3[2 5 2] of 3
    get a * asc by=value limit=2             | 5 b=1[3 3 1] c=2[4 4 1] of 3 more
    get a * desc by=value keys               | 5 a=[2 5 2] c=[4 4 1] b=[3 3 1] of 3
    get a * desc by=mod                      | 5 a=3[2 5 2] c=2[4 4 1] b=1[3 3 1] of 3
    get a * asc by=create limit=1            | 5 a=3[2 5 2] of 3 more
    get a * desc by=version                  | 5 a=3[2 5 2] b=1[3 3 1] c=2[4 4 1] of 3
    get a * asc by=version                   | 5 b=1[3 3 1] c=2[4 4 1] a=3[2 5 2] of 3`,
  'range: order none with a target is cut in key order one beyond the limit, then sorted': `
    put a 4                                  | 2 put
    put b 3                                  | 3 put
    put c 2                                  | 4 put
    put d 1                                  | 5 put
    get a * by=value                         | 5 d=1[5 5 1] c=2[4 4 1] b=3[3 3 1] a=4[2 2 1] of 4
    get a * by=value limit=2                 | 5 c=2[4 4 1] b=3[3 3 1] of 4 more
    get a * by=value limit=2 minmod=1        | 5 d=1[5 5 1] c=2[4 4 1] of 4 more
    get a * by=value limit=4                 | 5 d=1[5 5 1] c=2[4 4 1] b=3[3 3 1] a=4[2 2 1] of 4`,
  'range: at a revision, with the current one in the header': `
    put a 1                                  | 2 put
    put a 2                                  | 3 put
    put b 1                                  | 4 put
    del a                                    | 5 deleted 1
    get a * rev=1                            | 5 of 0
    get a * rev=2                            | 5 a=1[2 2 1] of 1
    get a rev=3                              | 5 a=2[2 3 2] of 1
    get a * rev=4 limit=1                    | 5 a=2[2 3 2] of 2 more
    get a * rev=4 desc limit=1               | 5 b=1[4 4 1] of 2 more
    get a * rev=4 count                      | 5 of 2
    get a rev=5                              | 5 of 0
    get a rev=6                              | 5 !futureRevision`,
  'compaction: bounds, and what stays readable': `
    put a 1                                  | 2 put
    put a 2                                  | 3 put
    put b 1                                  | 4 put
    del b                                    | 5 deleted 1
    compact 9                                | 5 !futureRevision
    compact 4                                | 5 done
    compact 4                                | 5 !compacted
    compact 3                                | 5 !compacted
    get a * rev=3                            | 5 !compacted
    get a * rev=4                            | 5 a=2[2 3 2] b=1[4 4 1] of 2
    compact 5                                | 5 done
    get a * rev=5                            | 5 a=2[2 3 2] of 1
    put b 2                                  | 6 put
    get b                                    | 6 b=2[6 6 1] of 1`,
  'compares: a missing key is zero, except for its value': `
    if version a = 0 , create a = 0 , mod a = 0 , lease a = 0 then else end | 1 yes@1 ()
    if value a = "" then else end            | 1 no@1 ()
    if value a != x then else end            | 1 no@1 ()
    if value a < x then else end             | 1 no@1 ()
    if mod a < 1 then else end               | 1 yes@1 ()
    if mod a > 0 then else end               | 1 no@1 ()
    if mod a != 0 then else end              | 1 no@1 ()`,
  'compares: every target and result': `
    grant 7 60                               | 1 lease 7
    put a m lease=7                          | 2 put
    put a m lease=7                          | 3 put
    if version a = 2 , create a = 2 , mod a = 3 , lease a = 7 , value a = m then else end | 3 yes@3 ()
    if version a > 1 , version a < 3 , version a != 1 then else end | 3 yes@3 ()
    if value a > l , value a < n , value a != x then else end       | 3 yes@3 ()
    if lease a > 6 , lease a < 8 then else end | 3 yes@3 ()
    if lease a > 7 then else end             | 3 no@3 ()
    if value a < m then else end             | 3 no@3 ()
    if mod a = 3 , mod a = 4 then else end   | 3 no@3 ()`,
  'compares: a range must hold for every key, an empty one is a missing key': `
    put a 1                                  | 2 put
    put b 1                                  | 3 put
    if value a * = 1 then else end           | 3 yes@3 ()
    if mod a c > 2 then else end             | 3 no@3 ()
    if mod a c > 1 then else end             | 3 yes@3 ()
    if version x z = 0 then else end         | 3 yes@3 ()
    if value x z != 1 then else end          | 3 no@3 ()
    if mod b a = 0 then else end             | 3 yes@3 ()
    if mod b a > 0 then else end             | 3 no@3 ()`,
  'txn: one revision for all writes, none without effect': `
    if then put a 1 ; put b 2 else end       | 2 yes@2 (put; put)
    get a *                                  | 2 a=1[2 2 1] b=2[2 2 1] of 2
    if version x > 0 then put x 1 else del x ; get a end | 2 no@2 (deleted 0; a=1[2 2 1] of 1)
    if then del x * ; del a ; del a else end | 3 yes@3 (deleted 0; deleted 1; deleted 0)
    if then else end                         | 3 yes@3 ()`,
  'txn: reads see the writes before them': `
    put a 1                                  | 2 put
    put c 1                                  | 3 put
    if then get a * ; put b 2 ; get a * ; del a ; get a * ; put c 9 ; get a * limit=1 ; get a * desc else end | 4 yes@4 (a=1[2 2 1] c=1[3 3 1] of 2; put; a=1[2 2 1] b=2[4 4 1] c=1[3 3 1] of 3; deleted 1; b=2[4 4 1] c=1[3 3 1] of 2; put; b=2[4 4 1] of 2 more; c=9[3 4 2] b=2[4 4 1] of 2)
    if then put a 5 prev ; get a ; put b 6 prev ; get b count else end | 5 yes@5 (put; a=5[5 5 1] of 1; put was b=2[4 4 1]; of 1)`,
  'txn: deletes may overlap, each key is deleted once': `
    put b 1                                  | 2 put
    put m 1                                  | 3 put
    put z 1                                  | 4 put
    if then del b n ; del a c ; get a * ; del a * ; get a * count else end | 5 yes@5 (deleted 2; deleted 0; z=1[4 4 1] of 1; deleted 1; of 0)
    put b 1                                  | 6 put
    put m 1                                  | 7 put
    if then del a c ; del m n ; del b n ; del b m ; get a * count ; del a * else end | 8 yes@8 (deleted 1; deleted 1; deleted 0; deleted 0; of 0; deleted 0)`,
  'txn: a read at a revision is of the state before it': `
    put a 1                                  | 2 put
    if then put a 2 ; get a rev=2 ; get a rev=3 else end | 2 !futureRevision
    if then put a 2 ; get a rev=2 ; get a else end | 3 yes@3 (put; a=1[2 2 1] of 1; a=2[2 3 2] of 1)
    compact 3                                | 3 done
    if then put a 3 ; get a rev=2 else end   | 3 !compacted`,
  'txn: branches are chosen on the state before, at every depth': `
    put a 1                                  | 2 put
    if then put a 2 ; if value a = 1 then put b old else put b new end else end | 3 yes@3 (put; yes@3 (put))
    get b                                    | 3 b=old[3 3 1] of 1
    if then get a ; if then get b ; if mod a = 3 then put c 1 else end else end ; get c else end | 4 yes@4 (a=2[2 3 2] of 1; yes@4 (b=old[3 3 1] of 1; yes@4 (put)); c=1[4 4 1] of 1)
    if then if then get a else end ; put z 1 else end | 5 yes@5 (yes@4 (a=2[2 3 2] of 1); put)`,
  'txn: it fails as a whole': `
    put a 1                                  | 2 put
    if then put a 2 ; put b 1 lease=7 else end | 2 !leaseNotFound
    if then put a 2 ; put b 1 keepLease else end | 2 !keyNotFound
    if then put a 2 else put b 1 lease=7 end | 3 yes@3 (put)
    get a *                                  | 3 a=2[2 3 2] of 1`,
  'txn: the machine itself refuses two changes of a key': `
    if then put a 1 ; put a 2 else end       | 1 !duplicateKey
    if then put a 1 ; del a else end         | 1 !duplicateKey
    if then if then put a 1 else end ; if then del a z else end else end | 1 !duplicateKey
    if then if then put a 1 else put a 2 end else end | 2 yes@2 (yes@2 (put))`,
  'leases: attach, move, detach, revoke': `
    put a 1 lease=7                          | 1 !leaseNotFound
    grant 7 60                               | 1 lease 7
    grant 7 60                               | 1 !leaseExists
    grant 8 60                               | 1 lease 8
    put b 1 lease=7                          | 2 put
    put a 1 lease=7                          | 3 put
    put c 1 lease=7                          | 4 put
    put c 2 lease=8                          | 5 put
    put b 2                                  | 6 put
    revoke 7                                 | 7 done
    get a *                                  | 7 b=2[2 6 2] c=2[4 5 2 L8] of 2
    revoke 7                                 | 7 !leaseNotFound
    put d 1 lease=7                          | 7 !leaseNotFound
    grant 7 60                               | 7 lease 7
    revoke 7                                 | 7 done
    del c                                    | 8 deleted 1
    revoke 8                                 | 8 done`,
  'leases: ids with the high bit, and revoke of several keys at one revision': `
    grant -9223372036854775808 60            | 1 lease -9223372036854775808
    put b 1 lease=-9223372036854775808       | 2 put
    put a 1 lease=-9223372036854775808       | 3 put
    revoke -9223372036854775808              | 4 done
    get a * rev=3 count                      | 4 of 2
    get a * count                            | 4 of 0`,
}

for (const [name, lines] of Object.entries(SCENARIOS)) {
  t.test(name, async t => {
    for (const stored of [false, true]) {
      const shard = createShard()
      for (const line of lines.trim().split('\n')) {
        const [command, expected] = line.split('|').map(part => part.trim())
        const outcome = execute(shard, parseCommand(command!), stored)
        t.equal(showOutcome(outcome), expected, `${command} (${stored ? 'from the store' : 'in layers'})`)
        if (stored) {
          flush(shard)
          restart(shard)
        }
      }
    }
  })
}

t.test('every entry moves the applied index, whatever comes of it', async t => {
  const shard = createShard()
  for (const [i, text] of ['del a', 'compact 9', 'revoke 7', 'put a 1 lease=3', 'put a 1'].entries()) {
    execute(shard, parseCommand(text))
    flush(shard)
    restart(shard)
    t.equal(shard.machine.applied, i + 1, text)
  }
})
