import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import ts from 'typescript'
import { importsOf, lineOf, parse, walk, type Import } from './imports.js'
import { isDeterministic, LEVELS, mayImportFile, SOURCE_LINES_MAX } from './rooms.js'

/** One file of a room's src. */
export interface SourceFile {
  readonly room: string
  /** Relative to the room's src, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** How a file begins that a tool writes and nobody reads from end to end. */
const GENERATED = '// Generated from '

/** Sentences, each naming a file, a line and what is wrong. `dependencies`: of the room's package.json. */
export function checkSource(file: SourceFile, dependencies: readonly string[]): string[] {
  const source = parse(file.path, file.text)
  const at = (line: number, what: string): string => `${file.room}/src/${file.path}:${line}: ${what}`
  const problems = importsOf(source).flatMap(one =>
    checkImport(file, one, dependencies).map(what => at(one.line, what)),
  )
  walk(source, node => {
    const what = formProblem(node) ?? (isDeterministic(file.room, file.path) ? impurity(node) : undefined)
    if (what !== undefined) problems.push(at(lineOf(source, node), what))
  })
  const lines = file.text.split('\n').length - 1
  if (lines > SOURCE_LINES_MAX && !file.text.startsWith(GENERATED))
    problems.push(at(lines, `${lines} lines, at most ${SOURCE_LINES_MAX}`))
  return problems
}

function checkImport(file: SourceFile, { specifier }: Import, dependencies: readonly string[]): string[] {
  if (specifier.startsWith('<computed')) return [`${specifier} hides what is imported`]
  if (specifier.startsWith('#')) return [`${specifier} is for tests`]
  if (specifier.startsWith('.')) return checkRelative(file, specifier)
  if (specifier.startsWith('@kvorum/') || specifier === 'kvorum' || specifier.startsWith('kvorum/'))
    return checkRoom(file.room, specifier, dependencies)
  if (isBuiltin(specifier)) return checkBuiltin(file, specifier)
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  return dependencies.includes(name) ? [] : [`${name} is not among the room's dependencies`]
}

function checkRelative(file: SourceFile, specifier: string): string[] {
  const target = posix.join(posix.dirname(file.path), specifier)
  if (target.startsWith('..')) return [`${specifier} leaves the room`]
  if (specifier.endsWith('.json')) return []
  if (!specifier.endsWith('.js')) return [`${specifier} lacks .js`]
  if (!mayImportFile(file.room, file.path, target.replace(/\.js$/, '.ts')))
    return [`${specifier} waits for the outside world, which this file must not`]
  return []
}

function checkRoom(room: string, specifier: string, dependencies: readonly string[]): string[] {
  const [, target = '', ...deeper] = specifier.split('/')
  if (deeper.length > 0) return [`${specifier} goes past the door of ${target}`]
  const [own, theirs] = [LEVELS[room], LEVELS[target]]
  if (own === undefined || theirs === undefined) return [`${specifier} is not a room`]
  if (theirs >= own) return [`${specifier} is not below ${room}`]
  return dependencies.includes(specifier) ? [] : [`${specifier} is not among the room's dependencies`]
}

function checkBuiltin(file: SourceFile, specifier: string): string[] {
  if (isDeterministic(file.room, file.path)) return [`${specifier} in a deterministic file`]
  return specifier.startsWith('node:') ? [] : [`${specifier} lacks node:`]
}

/** Forms banned in every src: what the compiler cannot check for us, and what hides a name. */
function formProblem(node: ts.Node): string | undefined {
  if (node.kind === ts.SyntaxKind.AnyKeyword) return '"any" switches the compiler off; use unknown'
  if (ts.isExportAssignment(node)) return 'a default export has no name; use a named one'
  if (ts.isExportSpecifier(node) && node.name.text === 'default')
    return 'a default export has no name; use a named one'
  if (node.kind === ts.SyntaxKind.DefaultKeyword && !ts.isDefaultClause(node.parent))
    return 'a default export has no name; use a named one'
  return undefined
}

/** Globals through which time, chance or the process would enter. */
const IMPURE: ReadonlySet<string> = new Set([
  'Date',
  'performance',
  'process',
  'crypto',
  'globalThis',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'queueMicrotask',
])

function impurity(node: ts.Node): string | undefined {
  if (ts.isAwaitExpression(node)) return 'await in a deterministic file'
  if (ts.isForOfStatement(node) && node.awaitModifier !== undefined) return 'await in a deterministic file'
  if (ts.isMetaProperty(node)) return 'import.meta in a deterministic file'
  if (!ts.isIdentifier(node)) return undefined
  if (node.text === 'random' && isMemberOfMath(node)) return 'Math.random in a deterministic file'
  return IMPURE.has(node.text) && !isMemberName(node) ? `${node.text} in a deterministic file` : undefined
}

const isMath = (node: ts.Node): boolean => ts.isIdentifier(node) && node.text === 'Math'

function isMemberOfMath({ parent }: ts.Identifier): boolean {
  if (ts.isPropertyAccessExpression(parent)) return isMath(parent.expression)
  if (!ts.isBindingElement(parent)) return false
  const declaration = parent.parent.parent
  return (
    ts.isVariableDeclaration(declaration) &&
    declaration.initializer !== undefined &&
    isMath(declaration.initializer)
  )
}

/** Whether the identifier only names a member (`x.process`, `{ process: 1 }`), rather than referring to anything. */
function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node
  if (ts.isQualifiedName(parent)) return parent.right === node
  if (ts.isBindingElement(parent)) return parent.propertyName === node
  const named =
    ts.isPropertyAssignment(parent) ||
    ts.isPropertySignature(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isMethodSignature(parent) ||
    ts.isMethodDeclaration(parent) ||
    ts.isGetAccessor(parent)
  return named && parent.name === node
}

/** Files that import each other in a circle at run time, each circle once. */
export function findCycles(files: readonly SourceFile[]): string[][] {
  const edges = new Map(
    files.map(file => [
      file.path,
      importsOf(parse(file.path, file.text))
        .filter(one => !one.typeOnly && one.specifier.startsWith('.'))
        .map(one => posix.join(posix.dirname(file.path), one.specifier).replace(/\.js$/, '.ts')),
    ]),
  )
  const cycles: string[][] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) cycles.push([...trail.slice(start), path])
    if (start >= 0 || done.has(path)) return
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of [...edges.keys()].sort()) visit(path, [])
  return cycles
}
