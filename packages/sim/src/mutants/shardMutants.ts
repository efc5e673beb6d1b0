import { BY_ITSELF, type Mutant, type Patch } from './mutant.js'

const RULES = 'placement/dist/revisions'

const ANY_READ_IS_OWNED: readonly Patch[] = [
  { file: 'node/dist/routing.js', text: 'return ownsOp(range, request.op);', replacement: 'return true;' },
  {
    file: 'node/dist/routing.js',
    text: 'return request.ranges.every(each => isAllKeys(each) || rangeCovers(range, each));',
    replacement: 'return true;',
  },
]

/** Those that need several shards. Numbers as in docs/testing.md. */
export const SHARD_MUTANTS: readonly Mutant[] = [
  {
    id: 'M30',
    title: 'progress is announced too early: a watch is as far as the first of its shards',
    file: `${RULES}/mergedWatch.js`,
    text: 'Math.min(...watch',
    replacement: 'Math.max(...watch',
    profile: 'shards',
    draw: 7,
    seeds: [1],
    breaks: 'I27',
  },
  {
    id: 'M35',
    title: 'a window of revisions is used twice: a new oracle begins below the ceiling',
    file: `${RULES}/oracle.js`,
    text: 'handedOut: oracle.ceiling,',
    replacement: 'handedOut: oracle.ceiling === null ? null : Math.max(0, oracle.ceiling - oracle.window),',
    profile: 'shards',
    draw: 7,
    seeds: [1],
    breaks: BY_ITSELF,
  },
  {
    id: 'M36',
    title: 'a split is not one step: the rows of the right half come later',
    file: 'machine/dist/split.js',
    text: 'for (const { key, value } of rowsOf(right))\n        write(entry, key, value);',
    replacement: 'rowsOf(right);',
    profile: 'shards',
    draw: 7,
    seeds: [5],
    breaks: 'I5',
  },
  {
    id: 'M37',
    title: 'a request with a stale epoch is served',
    file: 'machine/dist/apply.js',
    text: 'if (!ownsCommand(machine.range, command)) {',
    replacement: 'if (false) {',
    also: [
      {
        file: 'node/dist/routing.js',
        text: "return request.ranges.every(each => rangeCovers(range, each));\n        case 'read':",
        replacement: "return true;\n        case 'read':",
      },
    ],
    profile: 'shards',
    draw: 7,
    seeds: [1],
    breaks: 'I31',
  },
  {
    id: 'M38',
    title: 'the tombstone of a replica does not name it: who comes back is a new one under the old id',
    file: 'node/dist/replicas.js',
    text: 'if (group === null)\n        return;\n    note',
    replacement: 'return;\n    note',
    profile: 'moves',
    draw: 7,
    seeds: [1],
    breaks: 'I6',
  },
  {
    id: 'M39',
    title: 'a scan ends at a boundary that has moved',
    file: 'node/dist/localReads.js',
    text: 'step: readOp(reader, request.op, request.pageBytes),',
    replacement:
      "step: readOp(reader, request.op.kind !== 'range' ? request.op : { ...request.op, range: intersectRanges(request.op.range, shard.range) }, request.pageBytes),",
    also: [
      {
        file: 'node/dist/localReads.js',
        text: 'import { encodeReply,',
        replacement: 'import { intersectRanges, encodeReply,',
      },
      ...ANY_READ_IS_OWNED,
    ],
    profile: 'moves',
    draw: 7,
    virtualSeconds: 5,
    seeds: [2],
    breaks: 'I39',
  },
  {
    id: 'M40',
    title: 'a prepare is accepted after its transaction was resolved',
    file: `${RULES}/transactions.js`,
    text: "if (hasEnded(state, id))\n        return { state, vote: { kind: 'over' } };",
    replacement: '',
    profile: 'shards',
    draw: 7,
    seeds: [1],
    breaks: 'I46',
  },
  {
    id: 'M41',
    title: "a transaction's record is forgotten too early: when it is written",
    file: `${RULES}/coordinator.js`,
    text: "{ kind: 'answer', outcome },",
    replacement: "{ kind: 'answer', outcome }, { kind: 'forget', group: coordinator.primary },",
    profile: 'shards',
    draw: 7,
    seeds: [1],
    breaks: 'I46',
  },
  {
    id: 'M42',
    title: 'a resolved revision is published too early: writes that are not applied do not hold it up',
    file: `${RULES}/resolving.js`,
    text: 'pending.revision <= resolve.revision && touches(pending)',
    replacement: 'false',
    profile: 'shards',
    draw: 7,
    virtualSeconds: 5,
    seeds: [1],
    breaks: 'I39',
  },
  {
    id: 'M45',
    title: 'a resolved revision is counted without a confirmed term',
    file: `${RULES}/resolving.js`,
    text: 'isProven(resolve) && ',
    replacement: '',
    profile: 'deposed',
    draw: 7,
    seeds: [8],
    breaks: 'I29',
  },
  {
    id: 'M46',
    title: 'a block of revisions is kept for later writes',
    file: 'node/dist/leaderRevisions.js',
    text: "const request = { kind: 'oracle', ask: { kind: 'alloc', count: ask.count } };",
    replacement: `const { spare } = group.stamping;
    if (spare?.term === ask.term && spare.count >= ask.count && spare.first > group.revisions.floor) {
        const body = encodeReply({ kind: 'block', first: spare.first, count: spare.count });
        const header = { revision: spare.first, term: oracleTerm(turn.state) };
        revisionsArrived(turn, group.id, ask, { ok: true, value: { header, body } });
        return;
    }
    const request = { kind: 'oracle', ask: { kind: 'alloc', count: ask.count + 8 } };`,
    also: [
      {
        file: 'node/dist/leaderRevisions.js',
        text: 'const { first, count } = reply;',
        replacement: `const { first } = reply;
    const { count } = asked;
    group.stamping.spare = { term: asked.term, first: first + count, count: reply.count - count };`,
      },
    ],
    profile: 'shards',
    draw: 7,
    virtualSeconds: 5,
    seeds: [4],
    breaks: 'I39',
  },
  {
    id: 'M56',
    title: 'a write of a session that is sent again is judged while the first sending is under way',
    file: `${RULES}/transactions.js`,
    text: 'return other?.session === tag.session && other.sequence === tag.sequence;',
    replacement: 'return false;',
    profile: 'shards',
    draw: 7,
    seeds: [5],
    breaks: 'I41',
  },
]
