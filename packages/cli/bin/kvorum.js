#!/usr/bin/env node
// CommonJS on purpose: loading an ES module already starts libuv's thread pool, whose size is then fixed.
var version = process.versions.node.split('.').map(Number)
if (version[0] < 20 || (version[0] === 20 && version[1] < 19)) {
  process.stderr.write('kvorum needs Node.js 20.19 or newer; this is ' + process.version + '.\n')
  process.exitCode = 1
} else {
  // Log syncs, the state store and password hashing share the pool; with the default of 4 they wait for each other.
  process.env.UV_THREADPOOL_SIZE = process.env.UV_THREADPOOL_SIZE || '16'
  void import('../dist/main.js')
}
