/**
 * What travels between clients and the edges, in both directions:
 *
 *   bytes --codec--> message --toClientRequest, toWatchRequest--> the model's request --> node
 *   JSON  --codec-->                                                                       |
 *   bytes, JSON <--codec-- message <--toResponse, toWatchResponse-- the model's reply <----+
 *   status and text <--errorFor-- the model's refusal
 *
 * Messages are records typed by `pb`; the table of remote procedures is RPCS.
 */
export * as pb from './messages.js'
export * from './answerEncoder.js'
export * from './codec.js'
export { descriptorFiles, type DescriptorFile } from './descriptors.js'
export * from './errorTable.js'
export { type JsonRecord, type JsonValue } from './json.js'
export * from './jsonSequence.js'
export * from './jsonText.js'
export * from './rpcs.js'
export { messageNames, schema, type MessageName } from './schema.js'
export * from './toMessages.js'
export * from './toOps.js'
export * from './toRequests.js'
export * from './toShards.js'
export * from './toWatch.js'
