import { defineClientCommand, defineCommand, DONE, FAILED, type Command } from '../command.js'
import { choice, optionalCount, text, toggle } from '../flag.js'
import { explicit } from '../format/json.js'
import { tableText } from '../format/table.js'
import { formatBytes } from '../format/bytes.js'
import { accepted, rejected } from '../parsed.js'
import { withConnection } from '../session.js'
import { saveSnapshot } from '../snapshotFile.js'
import type { Format } from '../globals.js'
import type { Io } from '../io.js'

const save = defineClientCommand<Record<never, never>, string>({
  name: 'snapshot save',
  usage: '<file>',
  summary: "Fetches a backup of everything, in etcd's format, and checks it.",
  details: 'The file comes under its name only when it is whole.',
  flags: {},
  rest: { least: 1, most: 1 },
  prepare: ({ rest }) => accepted(rest[0]!),
  run: (io, globals, file) =>
    withConnection(io, globals, async connection => {
      const bytes = await saveSnapshot(file, connection.snapshot())
      io.write(`Snapshot saved at ${file} (${formatBytes(bytes)})\n`)
    }),
})

const STATUS_FLAGS = {
  'write-out': choice<Format>(
    { simple: 'simple', json: 'json', fields: 'fields', table: 'table' },
    'simple',
    'How to print the answer (also -w).',
  ),
}

const status = defineCommand<typeof STATUS_FLAGS, { file: string; format: Format }>({
  name: 'snapshot status',
  usage: '<file> [-w table]',
  summary: 'Reads a snapshot file, checks it, and says what is in it.',
  details: 'Simple output: hash, revision, entries, size. The hash is the one that etcd prints.',
  flags: STATUS_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest, flags }) => accepted({ file: rest[0]!, format: flags['write-out'] }),
  run: async (io, { file, format }) => {
    const { snapshotStatus } = await import('@kvorum/server')
    const found = await snapshotStatus(file)
    io.write(`${RENDER[format](found)}\n`)
    return DONE
  },
})

interface Found {
  readonly hash: number
  readonly revision: number
  readonly totalKey: number
  readonly totalSize: number
}

const rowOf = ({ hash, revision, totalKey, totalSize }: Found): string[] => [
  hash.toString(16),
  String(revision),
  String(totalKey),
  formatBytes(totalSize),
]

const RENDER: Readonly<Record<Format, (found: Found) => string>> = {
  simple: found => rowOf(found).join(', '),
  json: found => explicit({ ...found }),
  fields: ({ hash, revision, totalKey, totalSize }) =>
    [`"Hash" : ${hash}`, `"Revision" : ${revision}`, `"Keys" : ${totalKey}`, `"Size" : ${totalSize}`].join(
      '\n',
    ),
  table: found => tableText(['HASH', 'REVISION', 'TOTAL KEYS', 'TOTAL SIZE'], [rowOf(found)]),
}

const RESTORE_FLAGS = {
  'data-dir': text('path', 'The directory to make; it must be empty or not there. Default: <name>.kvorum.'),
  name: text('name', 'The name of this member.', 'default'),
  'initial-cluster': text('name=url,...', 'All members of the new cluster. Default: this one alone.'),
  'initial-cluster-token': text('token', 'Keeps this cluster apart from others.', 'kvorum-cluster'),
  'initial-advertise-peer-urls': text(
    'url,...',
    'Where the others reach this member.',
    'http://localhost:2380',
  ),
  replicas: text(
    'count',
    'Replicas of each shard, as --replicas of the servers. Default: one on every member.',
  ),
  'skip-hash-check': toggle('Take a file without a hash, such as a copy of a database file.'),
  'bump-revision': optionalCount('count', 'Added to the revision of the file; with --mark-compacted.', {
    least: 1,
    most: Number.MAX_SAFE_INTEGER / 2,
  }),
  'mark-compacted': toggle('Compact everything at the raised revision, so that watches must begin anew.'),
}

interface RestorePlan {
  readonly file: string
  /** As the server takes them. */
  readonly settings: readonly string[]
  readonly skipHashCheck: boolean
  readonly bumpRevision: number
}

const SETTINGS = [
  'data-dir',
  'name',
  'initial-cluster',
  'initial-cluster-token',
  'initial-advertise-peer-urls',
  'replicas',
] as const

const restore = defineCommand<typeof RESTORE_FLAGS, RestorePlan>({
  name: 'snapshot restore',
  usage: '<file> [flags]',
  summary: 'Makes the data directory of one member of a new cluster from a snapshot of kvorum or etcd.',
  details:
    'Run it for every member, with the same file, before the first of them is started. The new cluster has one\n' +
    'shard, which is split when it runs: by hand, or by itself (--shard-split-size of the server).',
  flags: RESTORE_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest, flags, given }) => {
    const bump = flags['bump-revision']
    if ((bump !== null) !== flags['mark-compacted'])
      return rejected('--bump-revision and --mark-compacted go together')
    return accepted({
      file: rest[0]!,
      settings: SETTINGS.filter(name => given.has(name) || flags[name] !== '').map(
        name => `--${name}=${flags[name]}`,
      ),
      skipHashCheck: flags['skip-hash-check'],
      bumpRevision: bump ?? 0,
    })
  },
  run: runRestore,
})

async function runRestore(
  io: Io,
  { file, settings, skipHashCheck, bumpRevision }: RestorePlan,
): Promise<number> {
  const { loadConfig, restoreSnapshot } = await import('@kvorum/server')
  const loaded = loadConfig({ argv: settings, environment: {}, readFile: () => '' })
  if (loaded.kind !== 'run') {
    io.say(`Error: ${loaded.kind === 'refuse' ? loaded.reason : loaded.text}`)
    return FAILED
  }
  const { config } = loaded
  const { revision, leases } = await restoreSnapshot({ file, config, skipHashCheck, bumpRevision })
  io.write(`Restored ${file} into ${config.dataDir} (revision ${revision}, ${leases} leases)\n`)
  return DONE
}

export const snapshotCommands: readonly Command[] = [save, status, restore]
