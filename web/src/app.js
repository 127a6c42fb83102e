// @ts-check
// What the views share: the model, the place, and how to get elsewhere.

/**
 * @typedef {{model: import("./model.js").Model, place: import("./hash.js").Place,
 *   go: (place: import("./hash.js").Place) => void,
 *   set: (changes: Record<string, string>) => void,
 *   quietly: (changes: Record<string, string>) => void,
 *   link: (view: string, subject?: string, options?: Record<string, string>) => string}} App
 * go: shows another place. set: changes options of this place and shows it. quietly: changes them in
 * the address only, for what the view has drawn already.
 */
export {};
