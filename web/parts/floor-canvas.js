// Draws the floor. One canvas, one pass of plain rectangles for everything in view; when a node changes only its own
// rectangle is drawn again. Positions are rounded to device pixels so that edges stay sharp at every scale.
//
// Colour never stands alone: a free GPU is hollow, a held one full; from a few pixels on each owner has its own notch,
// a drained node is hatched and a down one crossed.
import { nodeAt } from './floor-layout.js';

const NOTCHED_FROM = 7; // device pixels a cell needs before patterns can be read
const HOLLOW_FROM = 4;

/** The kinds a cell may be, by device: `free`, `held` or an owner's number, `drain`, `down`. */
function cellKind(node, device, byOwner) {
  const busy = Boolean((node.b >>> device) & 1);
  if (node.s === 'x') return 'down';
  if (node.s === 'd' && !busy) return 'drain';
  if (!busy) return 'free';
  return byOwner ? node.o[device] || 'held' : 'held';
}

export class FloorCanvas {
  /** `paints` answers the colours by name; it is asked again when the theme changes. */
  constructor(canvas, paints) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d', { alpha: false });
    this.paints = paints;
    this.colours = paints();
    this.view = { x: 0, y: 0, scale: 1 };
    this.byOwner = true;
    this.hover = -1;
    this.chosen = -1;
    this.lastFrame = 0;
    this.dirty = new Set();
    this.frame = 0;
  }

  /** Takes a floor and its plan. */
  set(floor, plan) {
    this.floor = floor;
    this.plan = plan;
    this.all();
  }

  resize(width, height) {
    this.ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * this.ratio);
    this.canvas.height = Math.round(height * this.ratio);
    this.all();
  }

  /** The scale at which the whole floor is seen. */
  get fitScale() {
    return Math.min(
      (this.canvas.width - 16 * this.ratio) / this.plan.width,
      (this.canvas.height - 16 * this.ratio) / this.plan.height,
    );
  }

  fit() {
    const scale = this.fitScale;
    this.view = {
      scale,
      x: (this.canvas.width - this.plan.width * scale) / 2,
      y: (this.canvas.height - this.plan.height * scale) / 2,
    };
    this.all();
  }

  /** Zooms about a point in CSS pixels. */
  zoom(factor, x, y) {
    const fit = this.fitScale;
    const scale = Math.max(fit * 0.8, Math.min(64 * this.ratio, this.view.scale * factor));
    const k = scale / this.view.scale;
    const px = x * this.ratio;
    const py = y * this.ratio;
    this.view = { scale, x: px - (px - this.view.x) * k, y: py - (py - this.view.y) * k };
    this.keep();
    this.all();
  }

  pan(dx, dy) {
    this.view.x += dx * this.ratio;
    this.view.y += dy * this.ratio;
    this.keep();
    this.all();
  }

  /** Some of the floor is always in view. */
  keep() {
    const { scale } = this.view;
    const room = 80 * this.ratio;
    this.view.x = Math.min(this.canvas.width - room, Math.max(room - this.plan.width * scale, this.view.x));
    this.view.y = Math.min(this.canvas.height - room, Math.max(room - this.plan.height * scale, this.view.y));
  }

  /** Brings a node into view. */
  reveal(index) {
    const place = this.plan.nodes[index];
    const x = place.x * this.view.scale + this.view.x;
    const y = place.y * this.view.scale + this.view.y;
    const room = 40 * this.ratio;
    if (x < room || x > this.canvas.width - room) this.view.x += this.canvas.width / 2 - x;
    if (y < room || y > this.canvas.height - room) this.view.y += this.canvas.height / 2 - y;
    this.all();
  }

  /** The node under a point in CSS pixels, or -1. */
  at(x, y) {
    return nodeAt(
      this.plan,
      (x * this.ratio - this.view.x) / this.view.scale,
      (y * this.ratio - this.view.y) / this.view.scale,
    );
  }

  /** A node's box in CSS pixels. */
  boxOf(index) {
    const { x, y, columns, rows } = this.plan.nodes[index];
    const { scale, x: left, y: top } = this.view;
    return {
      x: (x * scale + left) / this.ratio,
      y: (y * scale + top) / this.ratio,
      width: (columns * scale) / this.ratio,
      height: (rows * scale) / this.ratio,
    };
  }

  retheme() {
    this.colours = this.paints();
    this.all();
  }

  all() {
    this.whole = true;
    this.ask();
  }

  /** These nodes changed. */
  touch(indices) {
    for (const index of indices) this.dirty.add(index);
    this.ask();
  }

  mark(kind, index) {
    if (this[kind] === index) return;
    const before = this[kind];
    this[kind] = index;
    this.touch([before, index].filter((one) => one >= 0));
  }

  ask() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (!this.plan || !this.canvas.width) return;
      const began = performance.now();
      if (this.whole) this.drawAll();
      else for (const index of this.dirty) this.drawAgain(index);
      this.whole = false;
      this.dirty.clear();
      this.lastFrame = performance.now() - began;
      this.canvas.dataset.frameMs = this.lastFrame.toFixed(2);
    });
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.plan = null;
  }

  drawAll() {
    const { context: c, canvas, view, plan } = this;
    c.fillStyle = this.colours.ground;
    c.fillRect(0, 0, canvas.width, canvas.height);
    const seen = (x, y, width, height) => x < canvas.width && y < canvas.height && x + width > 0 && y + height > 0;
    for (const site of plan.sites) this.siteTitle(site);
    for (const box of plan.islands) {
      const x = box.left * view.scale + view.x;
      const y = box.top * view.scale + view.y;
      const width = box.width * view.scale;
      const height = box.height * view.scale;
      if (!seen(x, y, width, height)) continue;
      this.island(box, x, y, width, height);
      const inside = x > 0 && y > 0 && x + width < canvas.width && y + height < canvas.height;
      const { first, nodes } = box.island;
      for (let index = first; index < first + nodes; index += 1) {
        const place = plan.nodes[index];
        if (
          inside ||
          seen(
            place.x * view.scale + view.x,
            place.y * view.scale + view.y,
            place.columns * view.scale,
            place.rows * view.scale,
          )
        )
          this.node(index);
      }
    }
  }

  /** A site's name and its label, made smaller together where room is short: the label is never left out. */
  siteTitle({ site, x, y, width }) {
    const { context: c, view, colours, ratio } = this;
    const label = this.labelOf(site);
    const room = width * view.scale;
    let size = Math.max(11 * ratio, Math.min(20 * ratio, 5 * view.scale));
    const measure = () => {
      c.font = `700 ${size * 0.72}px ${colours.font}`;
      const tag = label.tag ? c.measureText(label.tag).width + 10 * ratio : 0;
      c.font = `650 ${size}px ${colours.font}`;
      return { tag, title: c.measureText(label.title).width };
    };
    let wide = measure();
    const whole = wide.title + wide.tag + 10 * ratio;
    if (whole > room) {
      size = Math.max(8 * ratio, (size * room) / whole);
      wide = measure();
    }
    let { title } = label;
    while (title.length > 1 && wide.tag + c.measureText(title).width > room)
      title = `${title.replace(/…$/, '').slice(0, -1)}…`;
    const left = x * view.scale + view.x;
    const base = (y + 6.4) * view.scale + view.y;
    c.textBaseline = 'alphabetic';
    c.fillStyle = colours.ink;
    c.fillText(title, left, base);
    if (!label.tag) return;
    const after = left + c.measureText(title).width + 10 * ratio;
    c.fillStyle = colours[label.tone];
    c.fillRect(after, base - size * 0.85, wide.tag, size * 1.1);
    c.fillStyle = colours[`${label.tone}Ink`];
    c.font = `700 ${size * 0.72}px ${colours.font}`;
    c.fillText(label.tag, after + 5 * ratio, base - size * 0.06);
  }

  island(box, x, y, width, height) {
    const { context: c, view, colours, ratio } = this;
    c.fillStyle = colours.panel;
    c.fillRect(Math.round(x), Math.round(y), Math.round(width), Math.round(height));
    c.strokeStyle = colours.line;
    c.lineWidth = Math.max(1, Math.round(ratio));
    c.strokeRect(Math.round(x) + 0.5, Math.round(y) + 0.5, Math.round(width) - 1, Math.round(height) - 1);
    const size = Math.min(13 * ratio, 2.7 * view.scale);
    if (size < 7 * ratio) return;
    c.font = `500 ${size}px ${colours.font}`;
    c.textBaseline = 'alphabetic';
    c.fillStyle = colours.mute;
    const room = width - 2.8 * view.scale;
    const label = this.islandLabel(box.island);
    const text = c.measureText(label).width > 1.25 * room ? box.island.name : label;
    c.fillText(text, x + 1.4 * view.scale, y + 2.9 * view.scale, room);
  }

  /** The width of the frame around a marked node: never so wide that it reaches the next. */
  get rim() {
    return Math.max(1, Math.min(Math.round(3 * this.ratio), Math.floor(this.view.scale * 0.28)));
  }

  /** Draws one node over whatever was there; nodes never overlap, so nothing else suffers. */
  drawAgain(index) {
    const { x, y, columns, rows } = this.plan.nodes[index];
    const { scale, x: left, y: top } = this.view;
    const rim = this.rim;
    const context = this.context;
    context.fillStyle = this.colours.panel;
    context.fillRect(
      Math.round(x * scale + left) - rim,
      Math.round(y * scale + top) - rim,
      Math.round(columns * scale) + 2 * rim,
      Math.round(rows * scale) + 2 * rim,
    );
    this.node(index);
  }

  node(index) {
    const { context: c, view, colours, byOwner } = this;
    const node = this.floor.nodes[index];
    const { x, y, columns, rows } = this.plan.nodes[index];
    const { scale } = view;
    const left = x * scale + view.x;
    const top = y * scale + view.y;
    const gap = scale >= 4 ? Math.max(1, Math.round(scale * 0.12)) : scale >= 2.5 ? 1 : 0;
    for (let device = 0; device < Math.max(1, node.g); device += 1) {
      const kind = cellKind(node, device, byOwner);
      const px = Math.round(left + (device % columns) * scale);
      const py = Math.round(top + Math.floor(device / columns) * scale);
      const wide = Math.max(1, Math.round(left + ((device % columns) + 1) * scale) - px - gap);
      const high = Math.max(1, Math.round(top + (Math.floor(device / columns) + 1) * scale) - py - gap);
      c.fillStyle = colours[kind] ?? colours.held;
      c.fillRect(px, py, wide, high);
      if (kind === 'free' && wide >= HOLLOW_FROM) {
        const rim = Math.max(1, Math.round(wide * 0.12));
        c.fillStyle = colours.panel;
        c.fillRect(px + rim, py + rim, wide - 2 * rim, high - 2 * rim);
      } else if (wide >= NOTCHED_FROM) this.notch(kind, px, py, wide, high);
    }
    if (index === this.hover || index === this.chosen) {
      c.strokeStyle = colours.ink;
      c.lineWidth = this.rim;
      const out = this.rim / 2;
      c.strokeRect(
        Math.round(left) - out,
        Math.round(top) - out,
        Math.round(columns * scale) - gap + 2 * out,
        Math.round(rows * scale) - gap + 2 * out,
      );
    }
  }

  /** The sign that tells kinds apart without colour. */
  notch(kind, x, y, wide, high) {
    const { context: c, colours } = this;
    const thin = Math.max(1, Math.round(wide * 0.14));
    c.fillStyle = colours.panel;
    if (kind === 2)
      c.fillRect(x + Math.round(wide / 2 - thin / 2), y + Math.round(high * 0.2), thin, Math.round(high * 0.6));
    else if (kind === 3)
      c.fillRect(x + Math.round(wide * 0.2), y + Math.round(high / 2 - thin / 2), Math.round(wide * 0.6), thin);
    else if (typeof kind === 'number' && kind > 3)
      c.fillRect(
        x + Math.round(wide * 0.35),
        y + Math.round(high * 0.35),
        Math.round(wide * 0.3),
        Math.round(high * 0.3),
      );
    else if (kind === 'down' || kind === 'drain') {
      c.strokeStyle = colours.panel;
      c.lineWidth = thin;
      c.beginPath();
      c.moveTo(x + thin, y + high - thin);
      c.lineTo(x + wide - thin, y + thin);
      if (kind === 'down') {
        c.moveTo(x + thin, y + thin);
        c.lineTo(x + wide - thin, y + high - thin);
      }
      c.stroke();
    }
  }
}
