#!/bin/sh
':' // ; MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-2}" MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-131072}" exec node "$0" "$@"
// The line above is for the shell, which comes first here: glibc reads these before the first line of JavaScript.
// Left to itself it gives every thread of the pool a heap of its own, and once large buffers have been freed it keeps
// the next ones in them: a tenth of a busy node's memory.
// CommonJS on purpose: loading an ES module already starts libuv's thread pool, whose size is then fixed.
var version = process.versions.node.split('.').map(Number)
if (version[0] < 20 || (version[0] === 20 && version[1] < 19)) {
  process.stderr.write('kvorum needs Node.js 20.19 or newer; this is ' + process.version + '.\n')
  process.exitCode = 1
} else {
  // Log syncs, the state store and password hashing share the pool; with the default of 4 they wait for each other.
  process.env.UV_THREADPOOL_SIZE = process.env.UV_THREADPOOL_SIZE || '16'
  // What waits a moment for the disk outlives V8's young generation; by default the old one may grow to four times
  // what is live before such garbage is looked for.
  require('node:v8').setFlagsFromString('--heap-growing-percent=100')
  void import('../dist/main.js')
}
