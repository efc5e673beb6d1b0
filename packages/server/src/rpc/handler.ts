import type { KvError, Result, StageTimes } from '@kvorum/model'
import type { Init, pb, RpcName } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'

export type RequestOf<Name extends RpcName> = pb.Messages[pb.Rpcs[Name]['request']]
export type ResponseOf<Name extends RpcName> = Init<pb.Messages[pb.Rpcs[Name]['response']]>

/** What a client says beside the message, whatever it speaks. */
export interface CallMeta {
  /** The client would rather be refused than wait while there is no leader. */
  readonly requireLeader: boolean
  /** Not a version where it cannot be one; '' where none was sent. */
  readonly clientVersion: string
  readonly remote: string
  /** The address of `remote` without its port. */
  readonly host: string
  /**
   * The common name of the certificate that the client proved to hold on this connection, where client
   * certificates are asked for (--client-cert-auth). Always null through the gateway.
   */
  readonly certificateName: string | null
  /** Of the client's user; '' where none was sent. */
  readonly token: string
  /** `kvorum-session` as it was sent; '' where it was not. */
  readonly session: string
}

export interface Call {
  readonly meta: CallMeta
  /** Aborts when the client has gone or its deadline has passed. */
  readonly signal: AbortSignal
  /** Where the time goes that the call takes in the node; none where nobody asks. */
  readonly stages?: StageTimes
}

export type Unary<Name extends RpcName> = (
  edge: Edge,
  request: RequestOf<Name>,
  call: Call,
) => Promise<Result<ResponseOf<Name>>>

/** The side of a stream that goes to the client. */
export interface StreamOut<Response> {
  /** `taken` runs when the transport has passed the message on. */
  send(response: Response, taken?: () => void): void
  /** No more messages; an error becomes the status of the call. Later calls have no effect. */
  end(error?: KvError): void
  /** Whether to go on reading what the client sends. */
  flow(reading: boolean): void
}

/** The side of a stream that comes from the client. Nothing is called after `closed`. */
export interface StreamIn<Request> {
  receive(request: Request): void
  /** The client will send no more, and still wants answers. */
  halfClosed(): void
  /** The call is over, whoever ended it. */
  closed(): void
}

export type Streaming<Name extends RpcName> = (
  edge: Edge,
  out: StreamOut<ResponseOf<Name>>,
) => StreamIn<RequestOf<Name>>

export type Handler<Name extends RpcName> =
  /** `waits`: for other clients, for as long as it takes; that is not slow. */
  | { readonly kind: 'unary'; readonly handle: Unary<Name>; readonly waits?: true }
  | { readonly kind: 'stream'; readonly open: Streaming<Name> }
  /** In the API, and answered with Unimplemented and this text. */
  | { readonly kind: 'absent'; readonly why: string }
