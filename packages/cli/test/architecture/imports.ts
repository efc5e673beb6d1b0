import ts from 'typescript'

export interface Import {
  readonly specifier: string
  readonly line: number
  /** Gone after compilation, so that it cannot close a cycle at run time. */
  readonly typeOnly: boolean
}

export const parse = (path: string, text: string): ts.SourceFile =>
  ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)

export const lineOf = (source: ts.SourceFile, node: ts.Node): number =>
  source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1

export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node)
  ts.forEachChild(node, child => walk(child, visit))
}

/** Everything the file names as another module: import, export from, import(), import types and require(). */
export function importsOf(source: ts.SourceFile): Import[] {
  const found: Import[] = []
  walk(source, node => {
    const target = targetOf(node)
    if (target === undefined) return
    const specifier = ts.isStringLiteralLike(target) ? target.text : `<computed: ${target.getText(source)}>`
    found.push({ specifier, line: lineOf(source, node), typeOnly: isTypeOnly(node) })
  })
  return found
}

function targetOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isImportTypeNode(node))
    return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : node.argument
  if (ts.isExternalModuleReference(node)) return node.expression
  if (!ts.isCallExpression(node)) return undefined
  const isImport = node.expression.kind === ts.SyntaxKind.ImportKeyword
  const isRequire = ts.isIdentifier(node.expression) && node.expression.text === 'require'
  return isImport || isRequire ? node.arguments[0] : undefined
}

function isTypeOnly(node: ts.Node): boolean {
  if (ts.isImportTypeNode(node)) return true
  if (ts.isExportDeclaration(node)) return node.isTypeOnly
  if (!ts.isImportDeclaration(node) || node.importClause === undefined) return false
  const { isTypeOnly: whole, name, namedBindings } = node.importClause
  if (whole) return true
  if (name !== undefined || namedBindings === undefined || !ts.isNamedImports(namedBindings)) return false
  return namedBindings.elements.length > 0 && namedBindings.elements.every(element => element.isTypeOnly)
}
