// Where everything on the floor stands, in units of one GPU cell: sites hold islands, islands hold racks, racks hold
// nodes, nodes hold GPUs. Pure arithmetic, no drawing; the same floor and shape give the same places.

const NODE_GAP = 0.6;
const RACK_GAP = 1.2;
const ISLAND_PAD = 1.4;
const ISLAND_HEAD = 4;
const ISLAND_GAP = 3;
const SITE_HEAD = 9;
const SITE_GAP = 6;

/** Columns and rows of cells in a node of `gpus` devices; a node without GPUs is one cell. */
export function nodeShape(gpus) {
  if (gpus <= 4) return { columns: Math.max(1, gpus), rows: 1 };
  const columns = gpus <= 8 ? 4 : 8;
  return { columns, rows: Math.ceil(gpus / columns) };
}

/** Racks of an island: lists of node indices that share a rack number, in order. */
function racksOf(island, nodes) {
  const racks = new Map();
  for (let index = island.first; index < island.first + island.nodes; index += 1) {
    const rack = nodes[index].r ?? 0;
    if (!racks.has(rack)) racks.set(rack, []);
    racks.get(rack).push(index);
  }
  return [...racks].sort((a, b) => a[0] - b[0]);
}

/** An island's own box and the places of its nodes within it. */
function islandBox(island, nodes) {
  const shape = nodeShape(island.gpus);
  const racks = racksOf(island, nodes);
  const deep = Math.max(1, ...racks.map(([, list]) => list.length));
  const rackWidth = shape.columns + RACK_GAP;
  const rackHeight = deep * (shape.rows + NODE_GAP) - NODE_GAP + RACK_GAP;
  const across = Math.max(1, Math.min(racks.length, Math.round(Math.sqrt((racks.length * rackHeight * 1.7) / rackWidth))));
  const places = [];
  racks.forEach(([rack, list], order) => {
    const x = ISLAND_PAD + (order % across) * rackWidth;
    const y = ISLAND_HEAD + Math.floor(order / across) * rackHeight;
    list.forEach((index, slot) => places.push({ index, rack, x, y: y + slot * (shape.rows + NODE_GAP) }));
  });
  return {
    island, shape, places,
    width: Math.max(10, 2 * ISLAND_PAD + across * rackWidth - RACK_GAP),
    height: ISLAND_HEAD + Math.ceil(racks.length / across) * rackHeight - RACK_GAP + ISLAND_PAD,
  };
}

/** Sets boxes in lines no wider than `width`; answers the size used. */
function flow(boxes, width, gap) {
  let x = 0;
  let y = 0;
  let line = 0;
  let used = 0;
  for (const box of boxes) {
    if (x > 0 && x + box.width > width) { x = 0; y += line + gap; line = 0; }
    box.x = x;
    box.y = y;
    x += box.width + gap;
    line = Math.max(line, box.height);
    used = Math.max(used, x - gap);
  }
  return { width: used, height: y + line };
}

function siteBox({ site, islands }, width) {
  const size = flow(islands, width, ISLAND_GAP);
  return { site, width: Math.max(size.width, 24), height: size.height + SITE_HEAD, islands: islands.map((box) => ({ ...box })) };
}

/**
 * Lays the floor out for a canvas of this aspect (width over height): tries several widths and keeps the one in which
 * everything is largest. Answers `{width, height, sites, islands, nodes}`; `nodes[k]` is the place of node k.
 */
export function layout(floor, aspect) {
  const sites = floor.sites.map((site) => ({ site, islands: site.islands.map((island) => islandBox(island, floor.nodes)) }));
  const area = sites.reduce((sum, { islands }) => sum + islands.reduce((part, box) => part + box.width * box.height, 0), 0);
  let best = null;
  for (let stretch = 0.3; stretch < 2.6; stretch += 0.1) {
    for (const total of [1, 1.15, 1.3]) {
      const width = Math.sqrt(area * aspect) * stretch;
      const boxes = sites.map((site) => siteBox(site, width));
      const size = flow(boxes, Math.sqrt(area * aspect) * total * 1.05, SITE_GAP);
      const scale = Math.min(aspect / size.width, 1 / size.height);
      if (!best || scale > best.scale) best = { scale, size, boxes };
    }
  }
  if (!best) return { width: 1, height: 1, sites: [], islands: [], nodes: [] };
  const nodes = new Array(floor.nodes.length);
  const islands = [];
  for (const box of best.boxes) {
    for (const child of box.islands) {
      child.left = box.x + child.x;
      child.top = box.y + SITE_HEAD + child.y;
      child.site = box.site;
      islands.push(child);
      for (const { index, rack, x, y } of child.places) {
        const { columns, rows } = nodeShape(floor.nodes[index].g);
        nodes[index] = { x: child.left + x, y: child.top + y, columns, rows, rack, island: child.island, site: box.site };
      }
    }
  }
  return { width: best.size.width, height: best.size.height, sites: best.boxes, islands, nodes };
}

/** The node at a place, or -1. Looks through islands first, so that few nodes are asked. */
export function nodeAt(plan, x, y) {
  for (const box of plan.islands) {
    if (x < box.left || y < box.top || x > box.left + box.width || y > box.top + box.height) continue;
    const { first, nodes } = box.island;
    for (let index = first; index < first + nodes; index += 1) {
      const place = plan.nodes[index];
      if (x >= place.x - 0.3 && y >= place.y - 0.3 && x < place.x + place.columns + 0.3 && y < place.y + place.rows + 0.3) return index;
    }
  }
  return -1;
}
