/** The package `kvorum` is its client; the command is in bin. */
export * from '@kvorum/client'
