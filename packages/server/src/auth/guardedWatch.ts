import type {
  KvError,
  KvNode,
  WatchCreate,
  WatchRefusal,
  WatchRequest,
  WatchResponse,
  WatchStream,
} from '@kvorum/model'
import { LIMITS, refuse } from '@kvorum/model'
import { decide, type Requirement } from '@kvorum/placement'
import { errorFor, grpcErrorText } from '@kvorum/protocol'
import type { AuthService, Caller } from './authService.js'

/** What is known of one watch while it is open. */
interface Watching {
  readonly requirement: Requirement
  /** Null: made while authentication was off, by whoever the caller says he is. */
  readonly user: string | null
  /** Of the user's password at the time; a new one ends what was opened with the old. */
  readonly credential: number
}

const refusalOf = (error: KvError): WatchRefusal => ({ reason: reasonOf(error), code: error.code })
const reasonOf = (error: KvError): string => grpcErrorText(errorFor(error))

/** Watches of one stream: each is decided when it is made, and again when users or roles have changed. */
export class GuardedWatch implements WatchStream {
  readonly #node: KvNode
  readonly #auth: AuthService
  readonly #caller: Caller
  readonly #inner: WatchStream
  /** Not answered yet; answers come in the order of the requests. */
  readonly #creating: (Watching | null)[] = []
  readonly #open = new Map<number, Watching>()
  readonly #unlist: () => void
  #queue: Promise<void> = Promise.resolve()
  #queued = 0
  #fence: number
  #looking = false
  #closed = false

  constructor(node: KvNode, auth: AuthService, caller: Caller, receive: (response: WatchResponse) => void) {
    this.#node = node
    this.#auth = auth
    this.#caller = caller
    this.#fence = node.auth()?.fence ?? -1
    this.#inner = node.openWatch(response => {
      this.#note(response)
      receive(response)
    })
    this.#unlist = auth.everyNowAndThen(() => void this.#look())
  }

  send(request: WatchRequest): void {
    if (this.#queued === 0 && (request.kind !== 'create' || this.#isOff())) {
      this.#pass(request)
      return
    }
    // Creations are bounded by the watchers of a stream, and nobody has use for more than as many other requests.
    if (request.kind !== 'create' && this.#queued >= 2 * LIMITS.watchersPerStreamMax) return
    this.#queued++
    this.#queue = this.#queue.then(async () => {
      const decided = request.kind === 'create' ? await this.#decide(request.create) : null
      this.#queued--
      if (this.#closed) return
      if (decided === null) this.#pass(request)
      else this.#createShared(decided.create, decided.watching)
    })
  }

  consumed(bytes: number): void {
    this.#inner.consumed(bytes)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#unlist()
    for (const watching of [...this.#creating, ...this.#open.values()]) this.#giveBack(watching)
    this.#inner.close()
  }

  #isOff(): boolean {
    return this.#node.auth()?.enabled === false
  }

  #pass(request: WatchRequest): void {
    if (request.kind === 'create') this.#create(request.create, this.#watching(request.create, null, 0))
    else this.#inner.send(request)
  }

  #create(create: WatchCreate, watching: Watching | null): void {
    this.#creating.push(watching)
    this.#inner.send({ kind: 'create', create })
  }

  /** One of the watches that its user may have at this member. */
  #createShared(create: WatchCreate, watching: Watching | null): void {
    const user = watching?.user ?? null
    if (user === null || this.#auth.watchers.take(user)) this.#create(create, watching)
    else this.#create({ ...create, refusal: refusalOf(refuse('tooManyRequests').error) }, null)
  }

  #giveBack(watching: Watching | null | undefined): void {
    const user = watching?.user ?? null
    if (user !== null) this.#auth.watchers.giveBack(user)
  }

  #watching({ range }: WatchCreate, user: string | null, credential: number): Watching {
    const requirement: Requirement = { kind: 'keys', reads: [range], writes: [], leases: false }
    return { requirement, user, credential }
  }

  async #decide(create: WatchCreate): Promise<{ create: WatchCreate; watching: Watching | null }> {
    const { requirement } = this.#watching(create, null, 0)
    const decision = await this.#auth.decide(this.#node, this.#caller, requirement)
    if (!decision.ok) return { create: { ...create, refusal: refusalOf(decision.error) }, watching: null }
    const { authority, rights } = decision.value
    if (authority === undefined || rights === null)
      return { create, watching: this.#watching(create, null, 0) }
    const { name, credentialRevision } = rights.user
    return {
      create: { ...create, authRevision: authority.fence },
      watching: this.#watching(create, name, credentialRevision),
    }
  }

  #note(response: WatchResponse): void {
    if (this.#closed) return
    if (response.kind === 'created' || response.kind === 'refused') {
      const watching = this.#creating.shift()
      if (response.kind === 'created' && watching !== undefined && watching !== null)
        this.#open.set(response.watchId, watching)
      else this.#giveBack(watching)
    }
    if (response.kind === 'canceled') {
      this.#giveBack(this.#open.get(response.watchId))
      this.#open.delete(response.watchId)
    }
  }

  /** Ends the watches that would not be allowed any more. */
  async #look(): Promise<void> {
    const state = this.#node.auth()
    if (this.#looking || this.#closed || state === null || state.fence === this.#fence) return
    this.#looking = true
    const name = state.enabled ? await this.#auth.nameOf(this.#node, this.#caller, state) : null
    this.#looking = false
    // Those on their way are looked at when they are open.
    if (this.#creating.length === 0 && this.#queued === 0) this.#fence = state.fence
    if (!state.enabled || name === null) return
    for (const [watchId, watching] of this.#open) {
      // A token may run out while a watch is open; it is the user that counts.
      const user = watching.user ?? (name.ok ? name.value : '')
      const error = user === '' ? refuse('userNameEmpty').error : this.#problem(state.fence, user, watching)
      if (error !== null) this.#inner.send({ kind: 'cancel', watchId, reason: reasonOf(error) })
    }
  }

  #problem(fence: number, user: string, watching: Watching): KvError | null {
    const state = this.#node.auth()
    // It has changed once more: the next look decides.
    if (state === null || state.fence !== fence) return null
    const rights = this.#auth.rights(state, user)
    if (rights !== null && watching.user !== null && rights.user.credentialRevision !== watching.credential)
      return refuse('authTokenInvalid').error
    return decide(rights, watching.requirement)
  }
}
