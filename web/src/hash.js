// @ts-check
// The address of what is on screen: `#runs?q=...&sort=...`, `#run/abcd1234`. Pure. Every view and
// selection is in it, so that a link shows what its sender saw.

/** @typedef {{view: string, subject: string, options: Map<string, string>}} Place */

export const VIEWS = ["compare", "runs", "run", "sweep", "pareto"];

/** @param {string} text @returns {string} */
function unescaped(text) {
  try {
    return decodeURIComponent(text.replace(/\+/g, " "));
  } catch {
    return text;
  }
}

/** Reserved characters only: a name stays readable. @param {string} text */
const escaped = (text) => encodeURIComponent(text).replace(/%2F/g, "/").replace(/%2C/g, ",").replace(/%20/g, "+");

/** @param {string} hash @returns {Place} */
export function parse(hash) {
  const text = hash.replace(/^#/, "");
  const mark = text.indexOf("?");
  const path = mark < 0 ? text : text.slice(0, mark);
  const slash = path.indexOf("/");
  const view = slash < 0 ? path : path.slice(0, slash);
  /** @type {Map<string, string>} */
  const options = new Map();
  for (const part of mark < 0 ? [] : text.slice(mark + 1).split("&")) {
    const equals = part.indexOf("=");
    if (equals > 0) options.set(unescaped(part.slice(0, equals)), unescaped(part.slice(equals + 1)));
  }
  return {
    view: VIEWS.includes(view) ? view : "compare",
    subject: slash < 0 ? "" : unescaped(path.slice(slash + 1)),
    options,
  };
}

/** @param {Place} place @returns {string} */
export function print(place) {
  const path = place.view + (place.subject ? "/" + escaped(place.subject) : "");
  const options = [...place.options].filter(([, value]) => value !== "");
  if (!options.length) return "#" + path;
  return "#" + path + "?" + options.map(([name, value]) => escaped(name) + "=" + escaped(value)).join("&");
}

/**
 * The same place with some options changed; an empty value takes one away.
 * @param {Place} place @param {Record<string, string>} changes @returns {Place}
 */
export function changed(place, changes) {
  const options = new Map(place.options);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") options.delete(name);
    else options.set(name, value);
  }
  return { ...place, options };
}

/** @param {Place} place @param {string} name @returns {string[]} */
export function list(place, name) {
  const text = place.options.get(name);
  return text ? text.split(",").filter((item) => item !== "") : [];
}
