import type { ServiceError } from '@grpc/grpc-js'
import { isServiceError } from './classify.js'
import type { Stream } from './transport.js'

/** What a stream brings, to its end or the caller's; a failure of the gRPC library becomes ours. */
export async function* responsesOf<Response>(
  stream: Stream<never, Response>,
  fail: (error: ServiceError) => Error,
): AsyncGenerator<Response, void, undefined> {
  try {
    yield* stream as AsyncIterable<Response>
  } catch (error) {
    throw isServiceError(error) ? fail(error) : error
  } finally {
    stream.cancel()
  }
}
