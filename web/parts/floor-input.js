// Hands on the floor: drag and pinch to move, wheel to zoom, arrows from node to node, hover to look.

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The nearest node from `index` in a direction, judged by distance with sideways steps counted thrice. */
function neighbour(plan, index, [dx, dy]) {
  const here = plan.nodes[index];
  let best = index;
  let least = Infinity;
  for (let other = 0; other < plan.nodes.length; other += 1) {
    const along = (plan.nodes[other].x - here.x) * dx + (plan.nodes[other].y - here.y) * dy;
    if (along <= 0.01) continue;
    const aside = Math.abs((plan.nodes[other].x - here.x) * dy + (plan.nodes[other].y - here.y) * dx);
    const far = along + 3 * aside;
    if (far < least) {
      least = far;
      best = other;
    }
  }
  return best;
}

/** What a key does; true when it did something. */
function pressed(drawing, key, choose) {
  const middle = [drawing.canvas.clientWidth / 2, drawing.canvas.clientHeight / 2];
  if (KEYS[key]) {
    const next = drawing.chosen < 0 ? 0 : neighbour(drawing.plan, drawing.chosen, KEYS[key]);
    choose(next);
    drawing.reveal(next);
  } else if (key === '+' || key === '=') drawing.zoom(1.4, ...middle);
  else if (key === '-') drawing.zoom(1 / 1.4, ...middle);
  else if (key === '0') drawing.fit();
  else if (key === 'Escape') choose(-1);
  else return false;
  return true;
}

/**
 * Listens on the drawing's canvas. `look(index, x, y)` is told what is under the pointer (-1 for nothing), `choose`
 * what was clicked or walked to. Answers a function that stops listening.
 */
export function handle(drawing, { look, choose }) {
  const { canvas } = drawing;
  const stop = new AbortController();
  const on = (name, fn, options = {}) => canvas.addEventListener(name, fn, { signal: stop.signal, ...options });
  const fingers = new Map();
  let moved = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  on('pointerdown', (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    if (fingers.size === 1) moved = 0;
  });
  on('pointermove', (event) => {
    const [x, y] = place(event);
    const before = fingers.get(event.pointerId);
    if (!before) {
      const index = drawing.at(x, y);
      drawing.mark('hover', index);
      look(index, x, y);
      return;
    }
    if (fingers.size === 2) {
      const [other] = [...fingers].find(([id]) => id !== event.pointerId).slice(1);
      const gap = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      drawing.zoom(gap([x, y]) / gap(before), (x + other[0]) / 2, (y + other[1]) / 2);
    } else drawing.pan(x - before[0], y - before[1]);
    moved += Math.hypot(x - before[0], y - before[1]);
    fingers.set(event.pointerId, [x, y]);
    if (moved > 4) look(-1, 0, 0);
  });
  const lift = (event) => {
    const was = fingers.delete(event.pointerId);
    if (was && event.type === 'pointerup' && moved < 5) choose(drawing.at(...place(event)));
  };
  on('pointerup', lift);
  on('pointercancel', lift);
  on('pointerleave', () => {
    drawing.mark('hover', -1);
    look(-1, 0, 0);
  });
  on(
    'wheel',
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      drawing.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), ...place(event));
      look(-1, 0, 0);
    },
    { passive: false },
  );
  on('keydown', (event) => {
    if (pressed(drawing, event.key, choose)) event.preventDefault();
  });
  return () => stop.abort();
}
