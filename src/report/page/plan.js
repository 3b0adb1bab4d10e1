// The plan of an action as a graph: dagre lays it out, rows flow downwards.
const NODE = { width: 216, height: 66, pad: 12 };
const LEAST_SCALE = 0.7; // of a plan that is wider than the page: what is wider still is scrolled
const EXCHANGING = new Set(["shuffle", "reduce", "combine", "group", "join", "distinct", "sort", "top", "window"]);
const measure = document.createElement("canvas").getContext("2d");

/** Cuts a text to a width in pixels. */
function fitText(text, width, font) {
  measure.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  if (measure.measureText(text).width <= width) {
    return text;
  }
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (measure.measureText(text.slice(0, middle) + "…").width <= width) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return text.slice(0, low) + "…";
}

/** A count that is a number, or has a sum or a maximum over ranks. */
const sumOf = (value) => (isNumber(value) ? value : isNumber(value?.sum) ? value.sum : 0);
const maxOf = (value) => (isNumber(value) ? value : isNumber(value?.max) ? value.max : 0);

/** What the operators of a node did: rows that came in at its first and second input, seconds. */
function nodeWork(operators) {
  const work = { rows: [null, null], compute: 0, wait: 0, io: 0, spilled: 0, balance: 1 };
  for (const operator of operators) {
    const isRight = /right side/.test(operator.name);
    work.rows[isRight ? 1 : 0] = isNumber(operator.rows_in) ? operator.rows_in : sumOf(operator.rows);
    const time = operatorTime(operator);
    work.compute += time.compute;
    work.wait += time.wait;
    work.io += time.io;
    work.spilled += sumOf(operator.bytes_spilled);
    work.balance = Math.max(work.balance, isUneven(operator) ? operator.rows.balance : 1);
  }
  return work;
}

/**
 * Nodes without the second mentions of a cache: rows that were kept by one run are read by others, which know it under other
 * numbers. Returns the nodes with all inputs of that cache turned to the one that is left, and `nameOf` for numbers.
 */
function mergeCaches(all) {
  const nodes = [...new Map(all.map((node) => [node.id, node])).values()]; // several runs of an action may mention one
  const known = new Set(nodes.map((node) => node.id));
  const isFiller = (node) => listOf(node.inputs).some((input) => known.has(input));
  const kept = new Map();
  for (const node of nodes.filter((one) => isNumber(one.cache))) {
    if (!kept.has(node.cache) || (isFiller(node) && !isFiller(kept.get(node.cache)))) {
      kept.set(node.cache, node);
    }
  }
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const nameOf = (id) => kept.get(byId.get(id)?.cache)?.id ?? id;
  const merged = nodes.filter((node) => nameOf(node.id) === node.id).map((node) => ({ ...node, inputs: listOf(node.inputs).map(nameOf) }));
  return { merged, nameOf };
}

function layOut(nodes) {
  const graph = new dagre.graphlib.Graph({ multigraph: true }).setGraph({ rankdir: "TB", nodesep: 22, ranksep: 34, marginx: 16, marginy: 16 }).setDefaultEdgeLabel(() => ({}));
  const known = new Set(nodes.map((node) => node.id));
  for (const node of nodes) {
    graph.setNode(String(node.id), { width: NODE.width, height: NODE.height });
  }
  for (const node of nodes) {
    listOf(node.inputs).forEach((input, at) => {
      if (known.has(input)) {
        graph.setEdge(String(input), String(node.id), { at }, String(at)); // a cache may be joined with itself
      }
    });
  }
  dagre.layout(graph);
  return graph;
}

function planNode(node, place, work, allSeconds) {
  const [left, top] = [place.x - NODE.width / 2, place.y - NODE.height / 2];
  const inner = NODE.width - 2 * NODE.pad;
  const seconds = work.compute + work.wait + work.io;
  const text = String(node.text || "");
  const facts = [seconds > 0 ? secondsText(seconds) : null, work.spilled > 0 ? `${bytesText(work.spilled)} spilled` : null, work.balance > 1 ? `uneven ${work.balance.toFixed(1)}×` : null].filter(Boolean).join(" · ");
  const whole = `${node.kind} ${text}\n${work.rows[0] === null ? "" : `rows in: ${groupedNumber(work.rows[0])}\n`}${isNumber(node.rows_expected) ? `rows expected: ${groupedNumber(Math.round(node.rows_expected))}\n` : ""}${facts}`;
  const group = svgElement("g", { class: `node${EXCHANGING.has(node.kind) ? " exchange" : ""}` }, svgElement("title", null, whole),
    svgElement("rect", { class: "body", x: left, y: top, width: NODE.width, height: NODE.height, rx: 8 }),
    svgElement("text", { class: "kind", x: left + NODE.pad, y: top + 20 }, fitText(String(node.kind || "?"), inner, "650 12.5px")),
    svgElement("text", { class: "sub", x: left + NODE.pad, y: top + 36 }, fitText(text, inner, "11.5px")),
    svgElement("text", { class: "rows", x: left + NODE.pad, y: top + 52 }, fitText(facts, inner, "11.5px")));
  let at = left + NODE.pad;
  for (const [name, own] of [["compute", work.compute], ["io", work.io], ["wait", work.wait]]) {
    const width = allSeconds > 0 ? (inner * own) / allSeconds : 0;
    if (width >= 0.5) {
      group.append(svgElement("rect", { x: at, y: top + NODE.height - 8, width, height: 4, rx: 1, fill: `var(--${name})` }));
      at += width;
    }
  }
  return group;
}

/** From the bottom of one box to the top of another; several inputs of a box arrive beside each other. */
function planEdge(points, source, target, shift, rows) {
  const start = { x: source.x, y: source.y + NODE.height / 2 };
  const end = { x: target.x + shift, y: target.y - NODE.height / 2 };
  const way = [start, ...(points.length > 3 ? points.slice(1, -1) : []), end];
  const path = way.map((point, i) => {
    if (i === 0) {
      return `M${point.x},${point.y}`;
    }
    const before = way[i - 1];
    const middle = (before.y + point.y) / 2;
    return `C${before.x},${middle} ${point.x},${middle} ${point.x},${point.y}`;
  }).join("");
  const thick = isNumber(rows) && rows > 0 ? Math.min(5, 1 + Math.log10(rows) * 0.55) : 1;
  return [svgElement("path", { class: "edge", d: path, "stroke-width": thick }),
    isNumber(rows) ? svgElement("text", { class: source.x > end.x + 12 ? "rows before" : "rows", x: end.x + (source.x > end.x + 12 ? -7 : 7), y: end.y - 5 }, shortNumber(rows)) : null];
}

/** Which action filled each cache. */
function keepersOf(actions) {
  const keepers = new Map();
  for (const action of actions) {
    for (const node of listOf(action.nodes).filter((one) => isNumber(one.cache) && listOf(one.inputs).length > 0)) {
      const isFilled = listOf(action.nodes).some((other) => node.inputs.includes(other.id));
      if (isFilled && !keepers.has(node.cache)) {
        keepers.set(node.cache, action.action);
      }
    }
  }
  return keepers;
}

/** A plan that is wider than its frame is shown from the boxes at its top, where rows begin to flow. */
function showTop(frame, graph) {
  const places = graph.nodes().map((name) => graph.node(name));
  const top = Math.min(...places.map((place) => place.y));
  const left = Math.min(...places.filter((place) => place.y <= top + NODE.height).map((place) => place.x - NODE.width / 2));
  requestAnimationFrame(() => {
    frame.scrollLeft = Math.max(0, left * (frame.scrollWidth / graph.graph().width) - 3 * NODE.pad);
  });
}

/** The graph of an action's plan; `operators` are those of its runs, `keepers` says who filled which cache. */
function planGraph(action, operators, keepers) {
  if (listOf(action.nodes).length === 0 || !window.dagre) {
    return null;
  }
  const { merged: nodes, nameOf } = mergeCaches(listOf(action.nodes));
  for (const node of nodes.filter((one) => isNumber(one.cache) && !one.text)) {
    const keeper = keepers.get(node.cache);
    node.text = keeper === action.action ? "keeps these rows" : isNumber(keeper) ? `rows kept by action ${keeper}` : "";
  }
  const graph = layOut(nodes);
  const works = new Map(nodes.map((node) => [node.id, nodeWork(operators.filter((operator) => nameOf(operator.node_id) === node.id))]));
  const all = Math.max(0, ...[...works.values()].map((work) => work.compute + work.wait + work.io));
  const { width, height } = graph.graph();
  const svg = svgElement("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `The plan of ${action.what || "an action"}: ${counted(nodes.length, "node")}; as text below` });
  for (const node of nodes) {
    // From left to right as their boxes lie, so that lines do not cross.
    const edges = (graph.inEdges(String(node.id)) || []).sort((a, b) => graph.edge(a).points.at(-2).x - graph.edge(b).points.at(-2).x);
    edges.forEach((edge, i) => {
      const { points, at } = graph.edge(edge);
      addChildren(svg, planEdge(points, graph.node(edge.v), graph.node(edge.w), (i - (edges.length - 1) / 2) * 76, works.get(node.id).rows[at]));
    });
  }
  for (const node of nodes) {
    svg.append(planNode(node, graph.node(String(node.id)), works.get(node.id), all));
  }
  svg.style.minWidth = `${LEAST_SCALE * width}px`;
  const frame = element("div", { class: "plan", tabindex: "0", role: "region", "aria-label": "Plan" }, svg);
  showTop(frame, graph);
  return frame;
}
