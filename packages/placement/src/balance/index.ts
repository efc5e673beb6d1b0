export * from './cluster.js'
export * from './initial.js'
export { afterStep, canDrain, planBalance } from './plan.js'
