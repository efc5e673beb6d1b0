export * from './cluster.js'
export * from './initial.js'
export { afterStep, canDrain, planBalance, planLeaders } from './plan.js'
