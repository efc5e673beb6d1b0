"""python3-etcd3gw (JSON gateway) against one node: host port ca cert key user password, '-' for none. Ends with `N checks`."""
import sys
import threading
import time

from etcd3gw.client import Etcd3Client

host, port, ca, cert, key, user, password = [None if word == '-' else word for word in sys.argv[1:8]]
protocol = 'http' if ca is None else 'https'
client = Etcd3Client(host=host, port=int(port), protocol=protocol, ca_cert=ca, cert_cert=cert, cert_key=key,
                     timeout=30, api_path='/v3/')
if user is not None:
    # It knows nothing of users: the token is a header of its session.
    answer = client.post(client.get_url('/auth/authenticate'), json={'name': user, 'password': password})
    client.session.headers['Authorization'] = answer['token']
checks = 0


def check(actual, expected):
    global checks
    checks += 1
    if actual != expected:
        sys.exit('check %d: %r is not %r' % (checks, actual, expected))


check(client.put('k', 'v'), True)
check(client.get('k'), [b'v'])
check(client.get('none'), [])
for name in ('p/a', 'p/b', 'p/c'):
    client.put(name, name)
check([value for value, _ in client.get_prefix('p/', sort_order='descend', sort_target='key')],
      [b'p/c', b'p/b', b'p/a'])
check(len(client.get_all()) >= 4, True)
check(client.replace('k', 'v', 'w'), True)
check(client.replace('k', 'v', 'x'), False)
check(client.create('k', 'y'), False)
check(client.create('new', 'y'), True)
check(client.delete('new'), True)
check(client.delete('new'), False)
check(client.delete_prefix('p/'), True)

lease = client.lease(ttl=60)
client.put('leased', 'x', lease=lease)
check(lease.keys(), [b'leased'])
check(lease.refresh(), 60)
check(0 < lease.ttl() <= 60, True)
check(lease.revoke(), True)
check(client.get('leased'), [])

lock = client.lock(id='mutex', ttl=60)
check(lock.acquire(), True)
check(client.lock(id='mutex', ttl=60).acquire(), False)
check(lock.is_acquired(), True)
check(lock.release(), True)
with client.lock(id='mutex', ttl=60) as again:
    check(again.is_acquired(), True)

threading.Timer(1, lambda: client.put('w/1', 'one')).start()
event = client.watch_prefix_once('w/', timeout=30)
check(event['kv']['value'], b'one')
events, cancel = client.watch('w/2')
client.put('w/2', 'two')
check(next(events)['kv']['value'], b'two')
client.delete('w/2')
check(next(events)['type'], 'DELETE')
cancel()

check(sorted(member['name'] for member in client.members()), ['n1', 'n2', 'n3'])
check(client.status()['version'].split('.')[:2], ['3', '5'])
print('%d checks' % checks)
