// @ts-check
// Making elements. Text only ever goes in as text: names, notes and reasons are strangers' words.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | null | undefined | false} Child */

/** @param {Element} element @param {Record<string, any>} props @param {any[]} children */
function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on") && typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "style") {
      // Through the object model: a style attribute would be refused by the page's own policy.
      for (const [key, text] of Object.entries(value)) /** @type {any} */ (element).style.setProperty(key, String(text));
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * @param {string} tag "div" or "div.name.other"
 * @param {Record<string, any>} [props] attributes; `onclick` and the like are listeners
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement & any}
 */
export function h(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  fill(element, props, children);
  return element;
}

/** The same for SVG. @param {string} tag @param {Record<string, any>} [props] @param {...(Child | Child[])} children @returns {SVGElement & any} */
export function s(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElementNS(SVG, name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  fill(element, props, children);
  return element;
}

/** A button that says what it does. @param {string} label @param {() => void} act @param {Record<string, any>} [props] @param {...Child} inside */
export const button = (label, act, props = {}, ...inside) =>
  h("button.button", { type: "button", onclick: act, ...props }, ...(inside.length ? inside : [label]));

/** One of several, as a row of buttons. @param {string} label @param {[string, string][]} choices value, words @param {string} current @param {(value: string) => void} choose */
export function choice(label, choices, current, choose) {
  return h("div.choice", { role: "group", "aria-label": label },
    choices.map(([value, words]) => h("button.choice-item", { type: "button", "aria-pressed": String(value === current),
      onclick: () => choose(value) }, words)));
}

/** @param {string} label @param {[string, string][]} choices @param {string} current @param {(value: string) => void} choose */
export function select(label, choices, current, choose) {
  const box = h("select.select", { "aria-label": label, onchange: () => choose(box.value) },
    choices.map(([value, words]) => h("option", { value, selected: value === current }, words)));
  return box;
}

/** @param {Element} element @param {...any} children */
export function replace(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
}
