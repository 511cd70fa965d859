// Where everything on the floor stands, in units of one GPU cell: sites hold islands, islands hold racks, racks hold
// nodes, nodes hold GPUs. Pure arithmetic, no drawing; the same floor and shape give the same places.

const NODE_GAP = 0.6;
const RACK_GAP = 1.2;
const ISLAND_PAD = 1.4;
const ISLAND_HEAD = 4;
const ISLAND_GAP = 3;
const SITE_HEAD = 9;
const SITE_GAP = 6;
const DEEPEST = 16; // nodes one above another
const ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 34, 45]; // rows of racks in each island of a site
const SITE_LEAST = 60; // room for a site's name and its label

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

/** An island's racks in so many rows: islands of equal rows stand in a line without loss. */
function islandSize(island, racks, wish) {
  const shape = nodeShape(island.gpus);
  const deep = Math.max(1, ...racks.map(([, list]) => list.length));
  const folds = Math.ceil(deep / DEEPEST); // a tall rack stands in several columns side by side
  const high = Math.ceil(deep / folds);
  const rackWidth = folds * (shape.columns + NODE_GAP) - NODE_GAP + RACK_GAP;
  const rackHeight = high * (shape.rows + NODE_GAP) - NODE_GAP + RACK_GAP;
  const across = Math.max(1, Math.ceil(racks.length / wish));
  const rows = Math.max(1, Math.ceil(racks.length / across));
  return {
    island,
    racks,
    shape,
    across,
    rackWidth,
    rackHeight,
    high,
    width: Math.max(12, 2 * ISLAND_PAD + across * rackWidth - RACK_GAP),
    height: ISLAND_HEAD + rows * rackHeight - RACK_GAP + ISLAND_PAD,
  };
}

/** The places of an island's nodes within its box. */
function placesOf({ racks, shape, across, rackWidth, rackHeight, high }) {
  return racks.flatMap(([rack, list], order) => {
    const left = ISLAND_PAD + (order % across) * rackWidth;
    const top = ISLAND_HEAD + Math.floor(order / across) * rackHeight;
    return list.map((index, slot) => ({
      index,
      rack,
      x: left + Math.floor(slot / high) * (shape.columns + NODE_GAP),
      y: top + (slot % high) * (shape.rows + NODE_GAP),
    }));
  });
}

/** Sets boxes in lines no wider than `width`; answers the size used. */
function flow(boxes, width, gap) {
  let x = 0;
  let y = 0;
  let line = 0;
  let used = 0;
  for (const box of boxes) {
    if (x > 0 && x + box.width > width + 1e-6) {
      x = 0;
      y += line + gap;
      line = 0;
    }
    box.x = x;
    box.y = y;
    x += box.width + gap;
    line = Math.max(line, box.height);
    used = Math.max(used, x - gap);
  }
  return { width: used, height: y + line };
}

/** A site's boxes: for each number of rows and of islands in a line; those that waste much room are left out. */
function siteBoxes({ site, islands }) {
  const all = ROWS.flatMap((wish) => {
    const sized = islands.map(({ island, racks }) => islandSize(island, racks, wish));
    return Array.from({ length: Math.max(1, islands.length) }, (_, index) => {
      const line = sized.slice(0, index + 1);
      const width = line.reduce((sum, box) => sum + box.width, 0) + index * ISLAND_GAP;
      const boxes = sized.map((box) => ({ ...box }));
      const size = flow(boxes, Math.max(width, ...sized.map((box) => box.width)), ISLAND_GAP);
      return { site, islands: boxes, height: size.height + SITE_HEAD, width: Math.max(size.width, SITE_LEAST) };
    });
  });
  const least = Math.min(...all.map((box) => box.width * box.height));
  return all.filter((box) => box.width * box.height < 1.5 * least);
}

/** Of a site's boxes the one that comes nearest to a height without wasting room. */
function nearest(boxes, target) {
  const cost = (box) => Math.abs(Math.log(box.height / target)) + Math.log(box.height * box.width);
  return boxes.reduce((best, box) => (cost(box) < cost(best) ? box : best));
}

/**
 * Lays the floor out for a canvas of this aspect (width over height): tries several widths and keeps the one in which
 * everything is largest. Answers `{width, height, sites, islands, nodes}`; `nodes[k]` is the place of node k.
 */
export function layout(floor, aspect) {
  const choices = floor.sites.map((site) =>
    siteBoxes({ site, islands: site.islands.map((island) => ({ island, racks: racksOf(island, floor.nodes) })) }),
  );
  const least = (boxes) => Math.min(...boxes.map((box) => box.width * box.height));
  const tall = Math.sqrt(choices.reduce((sum, boxes) => sum + least(boxes), 0) / aspect);
  let best = null;
  const attempt = (boxes) => {
    let better = false;
    for (const total of [0.7, 1, 1.15, 1.4, 9]) {
      const tried = boxes.map((box) => ({ ...box }));
      const size = flow(tried, tall * aspect * total, SITE_GAP);
      const scale = Math.min(aspect / size.width, 1 / size.height);
      if (!best || scale > best.scale) {
        best = { scale, size, boxes: tried };
        better = true;
      }
    }
    return better;
  };
  for (let stretch = 0.25; choices.length && stretch < 1.7; stretch += 0.35) {
    const boxes = choices.map((options) => nearest(options, tall * stretch));
    attempt(boxes);
    // Then one site at a time: another shape of it is kept where all becomes larger.
    choices.forEach((options, index) => {
      for (const option of options) if (attempt(boxes.with(index, option))) boxes[index] = option;
    });
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
      for (const { index, rack, x, y } of placesOf(child)) {
        const { columns, rows } = nodeShape(floor.nodes[index].g);
        nodes[index] = {
          x: child.left + x,
          y: child.top + y,
          columns,
          rows,
          rack,
          island: child.island,
          site: box.site,
        };
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
      if (
        x >= place.x - 0.3 &&
        y >= place.y - 0.3 &&
        x < place.x + place.columns + 0.3 &&
        y < place.y + place.rows + 0.3
      )
        return index;
    }
  }
  return -1;
}
