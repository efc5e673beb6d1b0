/** Items on their way from a stream to an async iterator. The writer waits while the queue is full. */
export class BoundedQueue<Item> {
  readonly #capacity: number
  readonly #items: Item[] = []
  readonly #readers: {
    readonly resolve: (result: IteratorResult<Item, undefined>) => void
    readonly reject: (error: unknown) => void
  }[] = []
  #writer: (() => void) | null = null
  #ended = false
  #error: { readonly cause: unknown } | null = null

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** One writer at a time. After the end items are dropped. */
  async push(item: Item): Promise<void> {
    if (this.#ended) return
    const reader = this.#readers.shift()
    if (reader !== undefined) {
      reader.resolve({ done: false, value: item })
      return
    }
    this.#items.push(item)
    if (this.#items.length >= this.#capacity) await new Promise<void>(resolve => (this.#writer = resolve))
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    const item = this.#items.shift()
    if (item !== undefined) {
      this.#release()
      return Promise.resolve({ done: false, value: item })
    }
    if (!this.#ended) return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
    const error = this.#error
    // Told once; after that the iterator is simply at its end.
    this.#error = null
    return error === null
      ? Promise.resolve({ done: true, value: undefined })
      : Promise.reject(error.cause as Error)
  }

  /** What is queued can still be read; then comes the error, where there is one, and the end. */
  end(error?: { readonly cause: unknown }): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error ?? null
    this.#release()
    for (const reader of this.#readers.splice(0)) this.next().then(reader.resolve, reader.reject)
  }

  /** Ends without what is queued. */
  discard(): void {
    this.#items.length = 0
    this.#error = null
    this.end()
    this.#release()
  }

  #release(): void {
    const writer = this.#writer
    this.#writer = null
    writer?.()
  }
}
