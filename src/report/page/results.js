// What the job itself has to show: numbers, charts, tables.
const MOST_BARS = 40;
const NUMERIC = new Set(["int32", "int64", "float32", "float64"]);

const columnOf = (result, name) => listOf(result.columns).findIndex((column) => column.name === name);
const isNumeric = (result, at) => at >= 0 && NUMERIC.has(result.columns[at].type);
const isTime = (result, at) => at >= 0 && ["date", "timestamp"].includes(result.columns[at].type);
const shownText = (value) => (value === null || value === undefined ? "(none)" : String(value));
const cutText = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

function cellText(value, type) {
  if (typeof value !== "number") {
    return value === null || value === undefined ? "" : String(value);
  }
  // A year or an id has no thousands.
  return Number.isInteger(value) && (type === "int32" || type === "int64") && Math.abs(value) < 1e4 ? String(value) : groupedNumber(value);
}

function resultTable(result, first) {
  return dataTable(listOf(result.columns).map((column, at) => ({
    name: column.name, isEnd: NUMERIC.has(column.type), isText: true, value: (row) => row[at], show: (row) => cellText(row[at], column.type),
  })), listOf(result.rows), { first, label: result.title });
}

/** How much of the data is seen here. */
function shownNote(result) {
  const n = listOf(result.rows).length;
  if (isNumber(result.n_values)) {
    return `${counted(result.n_values, "value")}.`;
  }
  if (result.chart === "scatter" && result.n_rows > n) {
    return `${groupedNumber(n)} of ${groupedNumber(result.n_rows)} rows, chosen by their hash.`;
  }
  return result.has_more || result.n_rows > n ? `The first ${counted(n, "row")} ${result.n_rows > n ? `of ${groupedNumber(result.n_rows)}` : "are shown; there are more"}.` : "";
}

/** The rows apart by the series column: [{ name, rows }]. */
function seriesOf(result) {
  const at = columnOf(result, result.series);
  const rows = listOf(result.rows);
  if (at < 0) {
    return [{ name: null, rows }];
  }
  const byName = new Map();
  for (const row of rows) {
    const name = shownText(row[at]);
    byName.set(name, [...(byName.get(name) || []), row]);
  }
  return [...byName].map(([name, own]) => ({ name, rows: own }));
}

/** One entry for each column and each series. */
function linesOf(result, names) {
  const isOne = names.length === 1;
  return seriesOf(result).flatMap((series) => names.map((name) => ({
    name: series.name === null ? name : isOne ? series.name : `${series.name}, ${name}`, at: columnOf(result, name), rows: series.rows,
  }))).filter((line) => line.at >= 0);
}

const plotted = (value) => (isNumber(value) ? value : null);
const valueAxis = (more) => axisStyle({ type: "value", axisLabel: { formatter: shortNumber }, ...more });
const tooltipNumber = (value) => (isNumber(value) ? groupedNumber(value) : shownText(value));

function barOption(result, width) {
  const x = columnOf(result, result.x);
  const points = listOf(result.points);
  const names = [...new Set(listOf(result.rows).map((row) => shownText(row[x])))].slice(0, MOST_BARS);
  const longest = Math.max(0, ...names.map((name) => name.length));
  const isLying = names.length > 3 && (longest * 7 > width / Math.max(1, names.length) - 6 || names.length > 25) || longest > 24;
  const byName = (line) => {
    const values = new Map(line.rows.map((row) => [shownText(row[x]), plotted(row[line.at])]));
    return names.map((name) => values.get(name) ?? null);
  };
  const bars = linesOf(result, listOf(result.y));
  const marks = linesOf(result, points);
  const room = Math.floor(Math.min(width * 0.42, 300) / 6.6);
  const isSlanted = !isLying && longest * 7 > width / Math.max(1, names.length) - 6;
  const category = axisStyle({ type: "category", data: names, inverse: isLying, splitLine: { show: false },
    axisLabel: { interval: 0, formatter: (text) => cutText(text, isLying ? room : 16), rotate: isSlanted ? 40 : 0 } });
  const named = (line, align) => (isLying ? { name: line?.name, nameLocation: "middle", nameGap: 24 } : { name: line?.name, nameTextStyle: { color: colour("muted"), align } });
  const isDouble = marks.length > 0;
  const values = [valueAxis(bars.length === 1 && (isDouble || !isLying) ? named(bars[0], "left") : {})];
  if (isDouble) {
    values.push(valueAxis({ scale: true, splitLine: { show: false }, ...(marks.length === 1 ? named(marks[0], "right") : {}) }));
  }
  const hasLegend = bars.length + marks.length > 1;
  return {
    height: isLying ? names.length * (bars.length > 1 ? 12 + 9 * bars.length : 22) + 50 + (hasLegend ? 26 : 0) + (isDouble ? 40 : 0) : 320,
    chart: {
      legend: hasLegend ? legendStyle() : undefined,
      grid: { left: 4, right: isLying ? 34 : 12, top: (hasLegend ? 32 : 8) + (isLying ? (isDouble ? 20 : 0) : 26), bottom: isLying && isDouble ? 22 : 4, containLabel: true },
      tooltip: { ...chartBase().tooltip, trigger: "axis", axisPointer: { type: "shadow" }, valueFormatter: tooltipNumber },
      xAxis: isLying ? values : category,
      yAxis: isLying ? category : values,
      series: [
        ...bars.map((line) => ({ type: "bar", name: line.name, data: byName(line), barMaxWidth: isLying ? 26 : 48, itemStyle: { borderRadius: isLying ? [0, 3, 3, 0] : [3, 3, 0, 0] } })),
        ...marks.map((line) => ({ type: "line", name: line.name, data: byName(line), yAxisIndex: isLying ? 0 : 1, xAxisIndex: isLying ? 1 : 0, lineStyle: { width: 0 },
          symbol: "diamond", symbolSize: 11, z: 5, itemStyle: { color: colour("s2") } })),
      ],
    },
  };
}

/** Lines and scatters: numbers, times or names along x. */
function xyOption(result, isLine) {
  const x = columnOf(result, result.x);
  const lines = linesOf(result, listOf(result.y));
  const marks = linesOf(result, listOf(result.points));
  const type = isTime(result, x) ? "time" : isNumeric(result, x) ? "value" : "category";
  const xValue = (row) => (type === "time" ? Date.parse(String(row[x]).replace(" ", "T") + (String(row[x]).length > 10 ? "Z" : "T00:00Z")) : type === "value" ? plotted(row[x]) : shownText(row[x]));
  const hasLegend = lines.length + marks.length > 1;
  const many = listOf(result.rows).length;
  return {
    height: 330,
    chart: {
      legend: hasLegend ? legendStyle() : undefined,
      grid: { left: 4, right: 20, top: (hasLegend ? 32 : 8) + 26, bottom: 24, containLabel: true },
      tooltip: { ...chartBase().tooltip, trigger: isLine ? "axis" : "item", valueFormatter: tooltipNumber },
      xAxis: axisStyle({ type, scale: true, name: result.x, nameLocation: "middle", nameGap: 28, splitLine: { show: !isLine && type !== "category" },
        axisLabel: type === "value" ? { formatter: shortNumber } : {}, ...(type === "category" ? { data: [...new Set(listOf(result.rows).map(xValue))] } : {}) }),
      yAxis: [valueAxis({ scale: true, name: lines.length === 1 && lines[0].name === result.y[0] ? lines[0].name : "", nameTextStyle: { color: colour("muted"), align: "left" } }),
        ...(marks.length > 0 ? [valueAxis({ scale: true, splitLine: { show: false }, name: marks[0].name, nameTextStyle: { color: colour("muted"), align: "right" } })] : [])],
      series: [
        ...lines.map((line) => ({ type: isLine ? "line" : "scatter", name: line.name, data: line.rows.map((row) => [xValue(row), plotted(row[line.at])]),
          symbolSize: isLine ? 5 : many > 1000 ? 4 : 7, showSymbol: !isLine || many <= 60, itemStyle: isLine ? {} : { opacity: many > 500 ? 0.55 : 0.8 }, lineStyle: { width: 2 } })),
        ...marks.map((line) => ({ type: "scatter", name: line.name, yAxisIndex: 1, symbol: "diamond", symbolSize: 9, data: line.rows.map((row) => [xValue(row), plotted(row[line.at])]) })),
      ],
    },
  };
}

function inOrder(values) {
  const all = [...new Set(values)];
  return all.every(isNumber) ? all.sort((a, b) => a - b) : all;
}

function heatOption(result, width) {
  const at = { x: columnOf(result, result.x), y: columnOf(result, listOf(result.y)[0]), value: columnOf(result, result.value) };
  const rows = listOf(result.rows);
  const columns = inOrder(rows.map((row) => row[at.x]));
  const lines = inOrder(rows.map((row) => row[at.y]));
  const place = { x: new Map(columns.map((value, i) => [value, i])), y: new Map(lines.map((value, i) => [value, i])) };
  const values = rows.map((row) => row[at.value]).filter(isNumber);
  const longest = Math.max(1, ...lines.map((line) => shownText(line).length));
  const room = Math.floor(Math.min(width * 0.36, 240) / 6.6);
  return {
    height: Math.min(900, Math.max(190, lines.length * 26 + 96)),
    chart: {
      grid: { left: 4, right: 8, top: 8, bottom: 58, containLabel: true },
      tooltip: { ...chartBase().tooltip, formatter: (item) => `${result.y[0]} ${shownText(lines[item.value[1]])}, ${result.x} ${shownText(columns[item.value[0]])}\n${result.value} ${tooltipNumber(item.value[2])}` },
      xAxis: axisStyle({ type: "category", data: columns.map(shownText), splitLine: { show: false }, axisLabel: { formatter: (text) => cutText(text, 14), hideOverlap: true } }),
      yAxis: axisStyle({ type: "category", data: lines.map(shownText), inverse: true, splitLine: { show: false }, axisLabel: { interval: 0, formatter: (text) => cutText(text, Math.min(longest, room)) } }),
      visualMap: { min: Math.min(...values), max: Math.max(...values), calculable: false, orient: "horizontal", left: "center", bottom: 0, itemWidth: 12, itemHeight: 150,
        text: [shortNumber(Math.max(...values)), shortNumber(Math.min(...values))], textStyle: { color: colour("muted") }, inRange: { color: ["heat0", "heat1", "heat2", "heat3"].map(colour) } },
      series: [{ type: "heatmap", name: result.value, data: rows.map((row) => [place.x.get(row[at.x]), place.y.get(row[at.y]), plotted(row[at.value])]),
        itemStyle: { borderColor: colour("card"), borderWidth: 2, borderRadius: 3 }, emphasis: { itemStyle: { borderColor: colour("ink"), borderWidth: 1 } } }],
    },
  };
}

// Rows of a histogram: from, to, n.
function histogramOption(result) {
  const rows = listOf(result.rows);
  return {
    height: 300,
    chart: {
      grid: { left: 4, right: 20, top: 34, bottom: 24, containLabel: true },
      tooltip: { ...chartBase().tooltip, formatter: (item) => `${shortNumber(rows[item.dataIndex][0])} to ${shortNumber(rows[item.dataIndex][1])}\n${counted(rows[item.dataIndex][2], "row")}` },
      xAxis: axisStyle({ type: "category", data: rows.map((row) => shortNumber(row[0])), name: result.x, nameLocation: "middle", nameGap: 28, splitLine: { show: false },
        axisLabel: { hideOverlap: true } }),
      yAxis: valueAxis({ name: "rows", nameTextStyle: { color: colour("muted"), align: "left" } }),
      series: [{ type: "bar", data: rows.map((row) => plotted(row[2])), barCategoryGap: "6%", itemStyle: { borderRadius: [2, 2, 0, 0] } }],
    },
  };
}

function chartOption(result, width) {
  switch (result.chart) {
    case "line": return xyOption(result, true);
    case "scatter": return xyOption(result, false);
    case "heatmap": return heatOption(result, width);
    case "histogram": return histogramOption(result);
    default: return barOption(result, width);
  }
}

function chartCard(result) {
  const rows = listOf(result.rows);
  const n = new Set(rows.map((row) => row[columnOf(result, result.x)])).size;
  const cut = result.chart === "bar" && n > MOST_BARS ? `The first ${MOST_BARS} of ${n} bars are drawn.` : "";
  return element("figure", { class: "card result-chart" },
    element("figcaption", null, element("h3", null, result.title), [result.note, shownNote(result), cut].filter(Boolean).map((note) => element("p", { class: "note" }, note))),
    rows.length === 0 ? element("p", { class: "note" }, "There are no rows.") : chartPlace(`${result.chart} chart: ${result.title}`, (width) => chartOption(result, width)),
    folded("The numbers", () => resultTable(result, 50)));
}

function tableCard(result) {
  return element("div", { class: "card result-table wide" }, element("h3", null, result.title),
    [result.note, shownNote(result)].filter(Boolean).map((note) => element("p", { class: "note" }, note)),
    listOf(result.rows).length === 0 ? element("p", { class: "note" }, "There are no rows.") : resultTable(result, 20));
}

function numberCard(result) {
  const [value, unit] = isNumber(result.value) ? withUnit(result.value, result.unit) : [shownText(result.value), ""];
  return element("div", { class: "number" }, element("div", { class: "title" }, result.title),
    element("div", { class: "value", title: isNumber(result.value) ? String(result.value) : null }, value, unit ? element("span", { class: "unit" }, unit) : null));
}

/** Two charts beside each other are equally high; a chart without a neighbour takes the whole width. */
function pairUp(grid) {
  const chartOf = (card) => charts.find((entry) => card.contains(entry.node));
  let left = null;
  for (const card of grid.children) {
    if (card.classList.contains("wide")) {
      left = null;
    } else if (left !== null) {
      const [a, b] = [chartOf(left), chartOf(card)];
      if (a && b) {
        a.neighbour = b;
        b.neighbour = a;
      }
      left = null;
    } else if (card.nextElementSibling === null || card.nextElementSibling.classList.contains("wide")) {
      card.classList.add("wide");
    } else {
      left = card;
    }
  }
}

/** False if the job declared none. */
function showResults(section, results) {
  const numbers = results.flatMap((result) => (result.kind === "number" ? [result] : result.kind !== "numbers" ? [] :
    listOf(result.columns).map((column, at) => ({ title: column.name, value: listOf(result.rows)[0]?.[at] }))));
  const others = results.filter((result) => result.kind === "chart" || result.kind === "table");
  if (numbers.length > 0) {
    section.append(element("div", { class: numbers.length < 4 ? "numbers few" : "numbers" }, numbers.map(numberCard)));
  }
  if (others.length > 0) {
    const grid = element("div", { class: "grid" }, others.map((result) => (result.kind === "chart" ? chartCard(result) : tableCard(result))));
    pairUp(grid);
    section.append(grid);
  }
  return results.length > 0;
}
