// What the run did: actions with their plans, operators, the timeline of ranks, memory, training.
const UNEVEN = 1.5;
const MANY_ROWS = 1000;
const KINDS_OF_TIME = [["compute", "Compute"], ["io", "Reading and writing"], ["wait", "Waiting for other ranks"]];

/** Compute, wait and I/O of all ranks, in seconds; older records know the time of the slowest rank only. */
function operatorTime(operator) {
  const wait = sumOf(operator.wait_seconds) || sumOf(operator.exchange?.wait_seconds);
  const io = sumOf(operator.io_seconds);
  const compute = operator.compute_seconds !== undefined ? sumOf(operator.compute_seconds) : Math.max(0, maxOf(operator.self_seconds) - wait - io);
  return { compute, wait, io };
}

const rowsOf = (operator) => sumOf(operator.rows);
const isUneven = (operator) => isNumber(operator.rows?.balance) && operator.rows.balance > UNEVEN && operator.is_spread !== false && rowsOf(operator) >= MANY_ROWS;

/** Runs with their operators, by action; an action that a resumed run skipped comes from the attempt that did it. */
function runsByAction(data) {
  const byAction = new Map();
  for (const record of [...listOf(data.earlier), data.record]) {
    const own = new Map();
    listOf(record?.runs).forEach((run, at) => {
      const action = run.action === undefined ? at : run.action; // older records do not say; null: in no action
      own.set(action, [...(own.get(action) || []), run]);
    });
    own.forEach((runs, action) => byAction.set(action, runs));
  }
  return byAction;
}

/** How long each action took by the timeline, which knows of fits too. */
function spansOf(data) {
  const ends = new Map();
  for (const record of [...listOf(data.earlier), data.record]) {
    const own = new Map();
    for (const bar of listOf(record?.timeline)) {
      const before = own.get(bar.action) || [Infinity, -Infinity];
      own.set(bar.action, [Math.min(before[0], bar.start), Math.max(before[1], bar.end)]);
    }
    own.forEach((span, action) => ends.set(action, span[1] - span[0]));
  }
  return ends;
}

function actionsOf(data) {
  const spans = spansOf(data);
  const runs = runsByAction(data);
  const plans = new Map(listOf(data.plan?.actions).map((action) => [action.action, action]));
  const lines = new Map(listOf(data.journal).map((line) => [line.action, line]));
  return [...new Set([...plans.keys(), ...runs.keys(), ...lines.keys()])].filter(isNumber).sort((a, b) => a - b).map((number) => {
    const own = runs.get(number) || [];
    const line = lines.get(number);
    const measured = own.map((run) => run.seconds).filter(isNumber).reduce((a, b) => a + b, 0);
    return {
      number, plan: plans.get(number) || { nodes: [] }, runs: own, isCommitted: Boolean(line),
      what: plans.get(number)?.what || line?.what || `action ${number}`,
      seconds: line?.seconds ?? Math.max(measured, spans.get(number) || 0),
      operators: own.flatMap((run) => listOf(run.operators)),
    };
  });
}

function timeBar(parts, all) {
  return element("div", { class: "bar", "aria-hidden": "true" }, KINDS_OF_TIME.map(([name]) => {
    const width = all > 0 ? (100 * parts[name]) / all : 0;
    return width > 0 ? element("i", { style: `width:${width.toFixed(2)}%;background:var(--${name})` }) : null;
  }));
}

const addTimes = (operators) => operators.map(operatorTime).reduce((a, b) => ({ compute: a.compute + b.compute, wait: a.wait + b.wait, io: a.io + b.io }), { compute: 0, wait: 0, io: 0 });

function timeLegend(parts) {
  const all = parts ? KINDS_OF_TIME.reduce((sum, [name]) => sum + parts[name], 0) : 0;
  return element("ul", { class: "legend" }, KINDS_OF_TIME.map(([name, title]) => element("li", null, element("i", { style: `background:var(--${name})` }), title, all > 0 ? [" ", element("b", null, percentText(parts[name] / all))] : null)));
}

function operatorColumns(all, withAction) {
  const time = (name) => ({ value: (row) => operatorTime(row)[name], isEnd: true });
  const columns = [
    withAction ? { name: "Action", value: (row) => row.action, isEnd: true } : null,
    { name: "Operator", value: (row) => row.name, isText: true, show: (row) => [row.name, row.node ? element("span", { class: "sub" }, cutText(String(row.node), 160)) : null, row.note ? element("span", { class: "sub" }, row.note) : null] },
    { name: "Rows", value: rowsOf, show: (row) => shortNumber(rowsOf(row)), isEnd: true, help: "rows that came in, on all ranks" },
    { name: "Seconds", value: (row) => { const t = operatorTime(row); return t.compute + t.wait + t.io; }, isEnd: true, help: "of all ranks together",
      show: (row) => { const t = operatorTime(row); return [secondsText(t.compute + t.wait + t.io), timeBar(t, all)]; } },
    { name: "Compute", ...time("compute"), show: (row) => secondsText(operatorTime(row).compute) },
    { name: "Wait", ...time("wait"), show: (row) => secondsText(operatorTime(row).wait), help: "for rows of other ranks" },
    { name: "I/O", ...time("io"), show: (row) => secondsText(operatorTime(row).io) },
    { name: "Sent", value: (row) => row.exchange?.bytes ?? 0, show: (row) => (row.exchange?.bytes ? bytesText(row.exchange.bytes) : ""), isEnd: true, help: "to other ranks" },
    { name: "Spilled", value: (row) => sumOf(row.bytes_spilled), show: (row) => (sumOf(row.bytes_spilled) > 0 ? bytesText(sumOf(row.bytes_spilled)) : ""), isEnd: true, help: "put out to disk for want of memory" },
    { name: "Balance", value: (row) => (isNumber(row.rows?.balance) ? row.rows.balance : 1), isEnd: true, help: "rows of the rank that had most, as a multiple of the mean; 1 is even",
      show: (row) => (!isNumber(row.rows?.balance) ? "" : isUneven(row) ? element("span", { class: "badge warn", title: `rank ${row.rows.max_rank} had ${groupedNumber(row.rows.max)} rows` }, `uneven ${row.rows.balance.toFixed(2)}`) : row.rows.balance.toFixed(2)) },
  ].filter(Boolean);
  return columns;
}

const operatorSeconds = (operator) => { const t = operatorTime(operator); return t.compute + t.wait + t.io; };

function operatorTable(operators, withAction, first) {
  const all = Math.max(0, ...operators.map(operatorSeconds));
  const has = (value) => operators.some((operator) => value(operator) > 0);
  const columns = operatorColumns(all, withAction).filter((column) =>
    (column.name !== "Spilled" || has((row) => sumOf(row.bytes_spilled))) && (column.name !== "I/O" || has((row) => operatorTime(row).io)) && (column.name !== "Sent" || has((row) => row.exchange?.bytes)));
  return dataTable(columns, operators, { first, label: "Operators" });
}

function actionDetail(action, keepers) {
  const graph = planGraph(action.plan, action.operators, keepers);
  const left = action.runs.reduce((sum, run) => sum + (run.left_out || 0), 0);
  return element("div", { class: "card", id: "action-detail" },
    element("div", { class: "between" }, element("h3", null, `Action ${action.number}: ${action.what}`), timeLegend(action.operators.length > 0 ? addTimes(action.operators) : null)),
    graph || element("p", { class: "note" }, "There is no graph of this plan."),
    graph ? element("p", { class: "note" }, "Rows flow downwards; a number at a line is how many came. Dashed boxes send rows between ranks.") : null,
    action.plan.text_runs ? folded("The plan as text", () => element("div", null, element("pre", null, action.plan.text_runs), action.plan.text_written ? [element("p", { class: "note" }, "As it was written:"), element("pre", null, action.plan.text_written)] : null)) : null,
    action.operators.length > 0 ? folded(`Its ${counted(action.operators.length, "operator")}`, () => operatorTable(action.operators, false, 40)) : null,
    left > 0 ? element("p", { class: "note" }, `${counted(left, "operator")} of this action are left out to keep the page small.`) : null);
}

function showActions(section, data) {
  const actions = actionsOf(data);
  if (actions.length === 0) {
    return false;
  }
  const longest = Math.max(...actions.map((action) => action.seconds));
  // The one to begin with: where plans took most time; fits spend theirs outside of plans.
  const inPlans = (action) => (listOf(action.plan.nodes).length > 0 ? 1 + action.operators.reduce((sum, operator) => sum + operatorSeconds(operator), 0) : 0);
  let chosen = actions.reduce((a, b) => (inPlans(b) > inPlans(a) ? b : a), actions[0]);
  const keepers = keepersOf(actions.map((action) => action.plan));
  const detail = element("div");
  const choose = (action, isByHand) => {
    chosen = action;
    detail.replaceChildren(actionDetail(action, keepers));
    table.refresh();
    if (isByHand) {
      detail.scrollIntoView({ block: "nearest" });
    }
  };
  const table = dataTable([
    { name: "#", value: (row) => row.number, isEnd: true },
    { name: "Action", value: (row) => row.what, isText: true, show: (row) => element("button", { type: "button", class: "link", "aria-pressed": String(row === chosen), onclick: () => choose(row, true) }, row.what) },
    { name: "Time", value: (row) => row.seconds, isEnd: true, show: (row) => secondsText(row.seconds) },
    { name: "", value: (row) => row.seconds, show: (row) => element("div", { class: "bar", "aria-hidden": "true" }, element("i", { style: `width:${longest > 0 ? (100 * row.seconds) / longest : 0}%;background:var(--s6)` })) },
    { name: "Rows read", value: (row) => Math.max(0, ...row.operators.map((operator) => operator.rows_in || 0)), isEnd: true, help: "most rows that an operator of it saw", show: (row) => (row.operators.length > 0 ? shortNumber(Math.max(0, ...row.operators.map((operator) => operator.rows_in || 0))) : "") },
    { name: "Spilled", value: (row) => row.operators.reduce((sum, operator) => sum + sumOf(operator.bytes_spilled), 0), isEnd: true, show: (row) => { const n = row.operators.reduce((sum, operator) => sum + sumOf(operator.bytes_spilled), 0); return n > 0 ? bytesText(n) : ""; } },
  ].filter((column) => column.name !== "Spilled" || actions.some((action) => action.operators.some((operator) => sumOf(operator.bytes_spilled) > 0))),
  actions, { label: "Actions", rowClass: (row) => (row === chosen ? "chosen" : null), first: 15 });
  section.append(element("div", { class: "card" }, element("p", { class: "note" }, "Choose an action to see its plan."), table), detail);
  choose(chosen, false);
  return true;
}

function showOperators(section, data) {
  const operators = actionsOf(data).flatMap((action) => action.operators.map((operator) => ({ ...operator, action: action.number })));
  if (operators.length === 0) {
    return false;
  }
  const n = operators.filter(isUneven).length;
  operators.sort((a, b) => operatorSeconds(b) - operatorSeconds(a));
  section.append(element("div", { class: "card" },
    element("div", { class: "between" }, element("p", { class: "note" }, "Those that took most time first, all ranks together. ", n > 0 ? `${counted(n, "operator")} had one rank with much more rows than the others.` : "The rows lay evenly on the ranks."), timeLegend(addTimes(operators))),
    operatorTable(operators, true, 12)));
  return true;
}

// --- timeline ---------------------------------------------------------------------------------------------------------

function drawPipeline(params, api) {
  const [rank, start, end, wait, io] = [0, 1, 2, 3, 4].map((i) => api.value(i));
  const [left, middle] = api.coord([start, rank]);
  const right = api.coord([end, rank])[0];
  const height = Math.min(20, api.size([0, 1])[1] * 0.72);
  const all = end - start;
  const clip = (x) => Math.max(params.coordSys.x, Math.min(params.coordSys.x + params.coordSys.width, x));
  const width = Math.max(right - left, 1);
  const parts = [["compute", Math.max(0, all - wait - io)], ["io", io], ["wait", wait]];
  let at = left;
  const children = [];
  for (const [name, seconds] of parts) {
    const own = all > 0 ? (width * seconds) / all : name === "compute" ? width : 0;
    const [from, to] = [clip(at), clip(at + own)];
    if (to > from) {
      children.push({ type: "rect", shape: { x: from, y: middle - height / 2, width: to - from, height }, style: { fill: timeColours[name] } });
    }
    at += own;
  }
  if (children.length > 0 && width > 3) { // a border between neighbours
    children.push({ type: "rect", shape: { x: clip(left), y: middle - height / 2, width: clip(right) - clip(left), height }, style: { fill: "none", stroke: timeColours.border, lineWidth: 1 } });
  }
  return { type: "group", children };
}

let timeColours = {};

function timelineOption(bars, actions) {
  const ranks = [...new Set(bars.map((bar) => bar.rank))].sort((a, b) => a - b);
  const place = new Map(ranks.map((rank, at) => [rank, at]));
  timeColours = { compute: colour("compute"), io: colour("io"), wait: colour("wait"), border: colour("card") };
  return {
    height: Math.max(130, ranks.length * (ranks.length > 24 ? 16 : 26) + 74),
    chart: {
      grid: { left: 4, right: 20, top: 8, bottom: 40, containLabel: true },
      tooltip: { ...chartBase().tooltip, formatter: (item) => {
        const bar = bars[item.dataIndex];
        return [cutText(String(bar.name), 70), `rank ${bar.rank}, action ${bar.action}${actions.has(bar.action) ? ": " + cutText(actions.get(bar.action), 50) : ""}`, `${secondsText(bar.end - bar.start)}, from ${secondsText(bar.start)} to ${secondsText(bar.end)}`,
          `waiting ${secondsText(bar.wait)}, reading and writing ${secondsText(bar.io)}`].join("\n");
      } },
      xAxis: axisStyle({ type: "value", min: 0, axisLabel: { formatter: (value) => secondsText(value) }, splitNumber: 8 }),
      yAxis: axisStyle({ type: "category", data: ranks.map((rank) => `rank ${rank}`), inverse: true, splitLine: { show: false } }),
      dataZoom: [{ type: "slider", filterMode: "weakFilter", height: 20, bottom: 6, labelFormatter: (value) => secondsText(value), textStyle: { color: colour("muted") }, borderColor: colour("line"), fillerColor: "rgba(110,140,200,0.18)", showDataShadow: false },
        { type: "inside", filterMode: "weakFilter", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false }],
      series: [{ type: "custom", renderItem: drawPipeline, encode: { x: [1, 2], y: 0 }, data: bars.map((bar) => [place.get(bar.rank), bar.start, bar.end, bar.wait || 0, bar.io || 0]) }],
    },
  };
}

function showTimeline(section, data) {
  const records = [...listOf(data.earlier), data.record].filter((record) => listOf(record?.timeline).length > 0);
  if (records.length === 0) {
    return false;
  }
  const actions = new Map(actionsOf(data).map((action) => [action.number, action.what]));
  const place = element("div");
  const show = (record) => {
    const bars = record.timeline.filter((bar) => isNumber(bar.start) && isNumber(bar.end)).sort((a, b) => a.start - b.start);
    const parts = bars.reduce((sum, bar) => ({ compute: sum.compute + Math.max(0, bar.end - bar.start - (bar.wait || 0) - (bar.io || 0)), wait: sum.wait + (bar.wait || 0), io: sum.io + (bar.io || 0) }), { compute: 0, wait: 0, io: 0 });
    const n = new Set(bars.map((bar) => bar.rank)).size;
    const of = (record.n_ranks > n ? ` ${n} of ${groupedNumber(record.n_ranks)} ranks are shown.` : "") + (record.timeline_left_out > 0 ? ` The run left out ${groupedNumber(record.timeline_left_out)} of its bars.` : "");
    dropCharts(place);
    place.replaceChildren(element("div", { class: "between" }, element("p", { class: "note" }, `A bar is a pipeline on a rank, in seconds since the attempt began. In a bar, first computing, then reading and writing, then waiting.${of} The slider below zooms.`), timeLegend(parts)),
      chartPlace(`Timeline of ${counted(n, "rank")}, ${counted(bars.length, "bar")}`, () => timelineOption(bars, actions), { renderer: bars.length > 1500 ? "canvas" : "svg" }));
    drawNewCharts();
  };
  const card = element("div", { class: "card" });
  if (records.length > 1) {
    card.append(element("label", { class: "small" }, "Attempt ", element("select", { onchange: (event) => show(records[event.target.value]) },
      records.map((record, at) => element("option", { value: at, selected: at === records.length - 1 }, isNumber(record.attempt) ? record.attempt : "last")))));
  }
  card.append(place);
  section.append(card);
  show(records.at(-1));
  return true;
}

// --- memory and training ----------------------------------------------------------------------------------------------

function showMemory(section, data) {
  const ranks = listOf(data.record?.ranks);
  if (ranks.length === 0) {
    return false;
  }
  const budget = Math.max(0, ...ranks.map((rank) => rank.budget_bytes).filter(isNumber));
  const bytes = (name) => ranks.map((rank) => plotted(rank[name]));
  const axis = axisStyle;
  const isSpilling = ranks.some((rank) => rank.bytes_spilled > 0);
  const most = Math.max(...bytes("peak_resident_bytes"));
  section.append(element("figure", { class: "card" }, element("figcaption", null, element("p", { class: "note" }, `The most memory that each rank held. Each may use ${bytesText(budget)} for rows; the fullest held ${bytesText(most)} with all that belongs to the process.`)),
    chartPlace("Memory of each rank", () => ({
      height: 270,
      chart: {
        legend: legendStyle(),
        grid: { left: 4, right: 16, top: 40, bottom: 4, containLabel: true },
        tooltip: { ...chartBase().tooltip, trigger: "axis", axisPointer: { type: "shadow" }, valueFormatter: bytesText },
        xAxis: axis({ type: "category", data: ranks.map((rank) => `rank ${rank.rank}`), splitLine: { show: false }, axisLabel: { hideOverlap: true } }),
        yAxis: axis({ type: "value", axisLabel: { formatter: bytesText } }),
        series: [
          { type: "bar", name: "Process", data: bytes("peak_resident_bytes"), barMaxWidth: 26, itemStyle: { color: colour("memory"), borderRadius: [3, 3, 0, 0] } },
          { type: "bar", name: "Rows and tables", data: bytes("peak_accounted_bytes"), barMaxWidth: 26, itemStyle: { color: colour("s8"), borderRadius: [3, 3, 0, 0] } },
          ...(isSpilling ? [{ type: "bar", name: "Spilled to disk", data: bytes("bytes_spilled"), barMaxWidth: 26, itemStyle: { color: colour("spill"), borderRadius: [3, 3, 0, 0] } }] : []),
          ...(budget > 0 && budget < 4 * most ? [{ type: "line", name: "Budget", data: ranks.map(() => budget), symbol: "none", lineStyle: { type: "dashed", color: colour("muted") }, itemStyle: { color: colour("muted") } }] : []),
        ],
      },
    }))));
  return true;
}

function curveOption(fit, name, values) {
  const steps = listOf(fit.steps);
  const points = values.map((value, at) => [isNumber(steps[at]) ? steps[at] : at + 1, plotted(value)]);
  const isWide = values.every((value) => value > 0) && Math.max(...values) > 100 * Math.min(...values);
  return {
    height: 250,
    chart: {
      grid: { left: 4, right: 18, top: 14, bottom: 24, containLabel: true },
      tooltip: { ...chartBase().tooltip, trigger: "axis", valueFormatter: tooltipNumber },
      xAxis: axisStyle({ type: "value", min: "dataMin", max: "dataMax", minInterval: 1, name: "step", nameLocation: "middle", nameGap: 28, splitLine: { show: false } }),
      yAxis: axisStyle({ type: isWide ? "log" : "value", scale: true, axisLabel: { formatter: shortNumber } }),
      series: [{ type: "line", name, data: points, showSymbol: points.length <= 60, symbolSize: 5, lineStyle: { width: 2 } }],
    },
  };
}

function showTraining(section, data) {
  const fits = [...listOf(data.earlier), data.record].flatMap((record) => listOf(record?.training)).filter((fit) => listOf(fit.loss).some(isNumber) || listOf(fit.gradient_norm).some(isNumber));
  const latest = [...new Map(fits.map((fit, at) => [isNumber(fit.action) ? fit.action : `#${at}`, fit])).values()];
  if (latest.length === 0) {
    return false;
  }
  const cards = latest.flatMap((fit) => [["loss", "Loss"], ["gradient_norm", "Norm of the gradient"]].filter(([name]) => listOf(fit[name]).some(isNumber)).map(([name, title]) => {
    const values = listOf(fit[name]);
    const last = values.filter(isNumber).at(-1);
    return element("figure", { class: "card training-curve" }, element("figcaption", null, element("h3", null, `${fit.estimator}: ${title.toLowerCase()}`),
      element("p", { class: "note" }, `${isNumber(fit.action) ? `Action ${fit.action}, ` : ""}${counted(values.length, "step")}, ends at ${groupedNumber(last)}`)),
    chartPlace(`${title} of ${fit.estimator}`, () => curveOption(fit, title, values)),
    folded("The numbers", () => dataTable([{ name: "step", value: (row) => row[0], isEnd: true }, { name: title, value: (row) => row[1], show: (row) => groupedNumber(row[1]), isEnd: true }], values.map((value, at) => [fit.steps?.[at] ?? at + 1, value]), { label: title })));
  }));
  const grid = element("div", { class: "grid" }, cards);
  pairUp(grid);
  section.append(grid);
  return true;
}
