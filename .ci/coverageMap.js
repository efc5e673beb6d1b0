/**
 * Which tests count towards coverage: those that name what they test. Simulations and process tests run half
 * the system by accident; a line they touch is not a line they check.
 */
// oxlint-disable-next-line import/no-default-export -- tap asks for one
export default testFile => (/packages\/sim\/|\/test\/process\//.test(testFile) ? null : [])
