export * from './heat.js'
export * from './middle.js'
export * from './planSplits.js'
