"""python3-etcd3 (gRPC) against one node: host port ca cert key user password, '-' for none. Ends with `N checks`."""
import os
import sys
import threading

import etcd3

host, port, ca, cert, key, user, password = [None if word == '-' else word for word in sys.argv[1:8]]
client = etcd3.client(host=host, port=int(port), ca_cert=ca, cert_cert=cert, cert_key=key, timeout=30,
                      user=user, password=password)
checks = 0


def check(actual, expected):
    global checks
    checks += 1
    if actual != expected:
        sys.exit('check %d: %r is not %r' % (checks, actual, expected))


for left in ('k', 't'):
    client.delete(left)
client.put('k', 'v')
value, meta = client.get('k')
check(value, b'v')
check(meta.version, 1)
check(client.get('none'), (None, None))
check(client.put('k', 'w', prev_kv=True).prev_kv.value, b'v')
for name in ('p/a', 'p/b', 'p/c'):
    client.put(name, name)
check([v for v, _ in client.get_prefix('p/', sort_order='descend')], [b'p/c', b'p/b', b'p/a'])
check([v for v, _ in client.get_range('p/a', 'p/c')], [b'p/a', b'p/b'])
check(client.replace('k', 'w', 'x'), True)
check(client.replace('k', 'w', 'y'), False)
check(client.put_if_not_exists('k', 'z'), False)
check(client.delete('k'), True)
check(client.delete('k'), False)
check(client.delete_prefix('p/').deleted, 3)

done, answers = client.transaction(
    compare=[client.transactions.version('t') == 0],
    success=[client.transactions.put('t', '1'), client.transactions.get('t')],
    failure=[client.transactions.delete('t')])
check(done, True)
check(answers[1][0][0], b'1')

events, cancel = client.watch_prefix('w/')
client.put('w/1', 'one')
event = next(events)
check((event.key, event.value, type(event).__name__), (b'w/1', b'one', 'PutEvent'))
client.delete('w/1')
check(type(next(events)).__name__, 'DeleteEvent')
cancel()
once = threading.Timer(0.5, lambda: client.put('once', 'x'))
once.start()
check(client.watch_once('once', timeout=30).value, b'x')
once.join()
revision = client.get('once')[1].mod_revision
past, cancel = client.watch('once', start_revision=revision)
check(next(past).value, b'x')
cancel()

lease = client.lease(60)
client.put('leased', 'x', lease=lease)
check(list(lease.keys), [b'leased'])
check([answer.TTL for answer in lease.refresh()], [60])
check(lease.granted_ttl, 60)
lease.revoke()
check(client.get('leased')[0], None)

# Waiting for a lock is not tried: this version's own retries do not work with Debian's python3-tenacity.
with client.lock('mutex', ttl=60) as lock:
    check(lock.is_acquired(), True)
with client.lock('mutex', ttl=60) as again:
    check(again.is_acquired(), True)

check(sorted(member.name for member in client.members), ['n1', 'n2', 'n3'])
status = client.status()
check(status.version.split('.')[:2], ['3', '5'])
check(status.leader.name in ('n1', 'n2', 'n3'), True)
check(list(client.list_alarms()), [])
client.compact(revision)
client.close()
print('%d checks' % checks)
sys.stdout.flush()
# The library's watcher is a daemon thread that its closing does not end. What it then says while the interpreter is being
# taken down (a traceback, to a stderr that is locked) may kill the process.
os._exit(0)
