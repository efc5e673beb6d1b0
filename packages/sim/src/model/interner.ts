/**
 * Gives equal plain values equal numbers. A state of the model is a tree of immutable records, of which a step
 * changes a few; unchanged branches are recognised by identity, so a key costs little, and it is exact: no hash that
 * could make two states one.
 */
export class Interner {
  readonly #ids = new WeakMap<object, number>()
  readonly #table = new Map<string, number>()

  id(value: object): number {
    const known = this.#ids.get(value)
    if (known !== undefined) return known
    const text = this.#text(value)
    let id = this.#table.get(text)
    if (id === undefined) {
      id = this.#table.size
      this.#table.set(text, id)
    }
    this.#ids.set(value, id)
    return id
  }

  #text(value: object): string {
    if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('hex')}`
    if (Array.isArray(value)) {
      let text = '['
      for (const item of value as unknown[]) text += this.#part(item) + ','
      return text
    }
    let text = '{'
    for (const name of Object.keys(value)) text += name + ':' + this.#part((value as Fields)[name]) + ','
    return text
  }

  #part(value: unknown): string {
    if (typeof value === 'object' && value !== null) return `#${this.id(value)}`
    return typeof value === 'string' ? `'${value}'` : `${value as string | number}`
  }
}

type Fields = Readonly<Record<string, unknown>>
