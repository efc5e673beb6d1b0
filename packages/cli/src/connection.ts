import type { LeaseId } from '@kvorum/model'
import type { RawRequest, RawResponse } from '@kvorum/client'
import type { Init, pb, RpcName } from '@kvorum/protocol'

export interface ConnectOptions {
  readonly endpoints: readonly string[]
  readonly dialTimeoutMs: number
  /** Of one request; streams have none. */
  readonly requestTimeoutMs: number
  /** Null: nobody in particular asks. */
  readonly auth: { readonly username: string; readonly password: string } | null
  /** Null: TLS only where an endpoint says https. */
  readonly tls: TlsFiles | null
}

/** Names of files, '' where there is none. */
export interface TlsFiles {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
  readonly insecureSkipVerify: boolean
}

/**
 * The requests that the commands make, in the messages of the API. What fails rejects with an Error whose
 * message is for people.
 */
export interface Connection {
  call<Name extends RpcName>(name: Name, request: RawRequest<Name>): Promise<RawResponse<Name>>
  /** Responses with events, with progress, or with the cancellation that ends it; survives a lost server. */
  watch(request: Init<pb.WatchCreateRequest>): AsyncIterable<pb.WatchResponse>
  /** Renews at once, and again each time a third of the TTL has passed, until the caller stops reading. */
  keepAlive(lease: LeaseId): AsyncIterable<pb.LeaseKeepAliveResponse>
  /** A backup of everything the server knows, in pieces. */
  snapshot(): AsyncIterable<pb.SnapshotResponse>
  close(): Promise<void>
}
