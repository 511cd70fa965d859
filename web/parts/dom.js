// Makes elements. Text from the server only ever becomes a text node, so nothing it says can be markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') Object.entries(value).forEach(([key, text]) => element.style.setProperty(key, text));
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

const isAttributes = (value) => value && typeof value === 'object' && !(value instanceof Node) && !Array.isArray(value);

function make(create, tag, rest) {
  const [name, ...classes] = tag.split('.');
  const element = create(name || 'div');
  if (classes.length) element.setAttribute('class', classes.join(' '));
  const attributes = isAttributes(rest[0]) ? rest.shift() : null;
  return fill(element, attributes, rest);
}

/** `h('p.note', {id: 'x'}, 'text', child)`: an HTML element. */
export const h = (tag, ...rest) => make((name) => document.createElement(name), tag, rest);

/** The same for SVG. */
export const s = (tag, ...rest) => make((name) => document.createElementNS(SVG, name), tag, rest);

/** Replaces all children. */
export function put(element, ...children) {
  element.replaceChildren(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

let ids = 0;
/** An id no other element has. */
export const uid = (prefix) => `${prefix}-${(ids += 1)}`;

/** Says something to screen readers. */
export function announce(text) {
  document.getElementById('announce').textContent = text;
}

/** The computed colour of a custom property, for canvases: `light-dark()` resolved. */
export function colour(name) {
  const probe = h('i', { style: { color: `var(${name})`, display: 'none' } });
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
