// Light and dark, and all charts: they take their colours from the style sheet and are drawn again when it changes.
const darkQuery = window.matchMedia("(prefers-color-scheme: dark)");
const charts = []; // { node, chart, option }
let themeChoice = "auto";
try {
  themeChoice = localStorage.getItem("quern-theme") || "auto";
} catch (error) {
  // A page opened from a file may have no storage; the choice then lasts as long as the page.
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const seriesColours = () => ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"].map(colour);

function applyTheme(isForPrint) {
  const isDark = !isForPrint && (themeChoice === "dark" || (themeChoice === "auto" && darkQuery.matches));
  document.documentElement.classList.toggle("dark", isDark);
  for (const entry of charts) {
    drawChart(entry);
  }
}

function themeSwitch() {
  const buttons = [["auto", "Auto", "as the system"], ["light", "Light", "light"], ["dark", "Dark", "dark"]].map(([value, text, title]) =>
    element("button", { type: "button", title: "Colours: " + title, "data-theme": value, "aria-pressed": String(themeChoice === value), onclick: () => {
      themeChoice = value;
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.theme === value)));
      try {
        localStorage.setItem("quern-theme", value);
      } catch (error) {
        // see above
      }
      applyTheme();
    } }, text));
  return element("div", { class: "switch", role: "group", "aria-label": "Colours" }, buttons);
}

/** What all charts have in common. */
function chartBase() {
  const ink = colour("ink");
  return {
    animation: false,
    color: seriesColours(),
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: ink },
    tooltip: {
      backgroundColor: colour("card"), borderColor: colour("line"), textStyle: { color: ink, fontSize: 13 }, renderMode: "richText", confine: true,
    },
  };
}

const legendStyle = () => ({ textStyle: { color: colour("ink"), fontSize: 12.5 }, itemWidth: 14, itemHeight: 10, left: 0, top: 0, type: "scroll", pageTextStyle: { color: colour("ink") } });

/** An axis in our colours. */
function axisStyle(more) {
  const axis = { axisLine: { lineStyle: { color: colour("line") } }, axisTick: { show: false }, axisLabel: { color: colour("muted"), fontSize: 12 },
    nameTextStyle: { color: colour("muted"), fontSize: 12 }, splitLine: { lineStyle: { color: colour("line") } } };
  const own = more || {};
  return { ...axis, ...own, axisLabel: { ...axis.axisLabel, ...own.axisLabel }, splitLine: { ...axis.splitLine, ...own.splitLine } };
}

function drawChart(entry) {
  const option = entry.option();
  // Neighbours are equally high.
  const isBeside = entry.neighbour && Math.abs(entry.node.getBoundingClientRect().top - entry.neighbour.node.getBoundingClientRect().top) < 60;
  entry.node.style.height = Math.max(option.height, isBeside ? entry.neighbour.option().height : 0) + "px";
  if (!entry.chart) {
    entry.chart = echarts.init(entry.node, null, { renderer: entry.renderer || "svg" });
    if (entry.onclick) {
      entry.chart.on("click", entry.onclick);
    }
  }
  entry.chart.resize();
  entry.chart.setOption({ ...chartBase(), ...option.chart }, { notMerge: true });
  // So that the style for print can make it larger or smaller.
  entry.node.querySelector("svg")?.setAttribute("viewBox", `0 0 ${entry.chart.getWidth()} ${entry.chart.getHeight()}`);
}

/** A place for a chart. `option` makes { height, chart } anew, in the colours of the time, for the place's width. */
function chartPlace(label, option, more) {
  if (!window.echarts) {
    return element("p", { class: "note" }, "The charts are missing: this quern was built without the library that draws them.");
  }
  const node = element("div", { class: "chart", role: "img", "aria-label": label });
  charts.push({ node, option: () => option(node.clientWidth || 600), chart: null, ...more });
  return node;
}

/** Draws what has been placed on the page since. */
function drawNewCharts() {
  charts.filter((entry) => !entry.chart && entry.node.isConnected).forEach(drawChart);
}

function dropCharts(root) {
  for (let i = charts.length - 1; i >= 0; i--) {
    if (root.contains(charts[i].node)) {
      charts[i].chart?.dispose();
      charts.splice(i, 1);
    }
  }
}

let resizeTimer = 0;
window.addEventListener("resize", () => {
  clearTimeout(resizeTimer);
  resizeTimer = setTimeout(() => charts.forEach(drawChart), 120);
});
darkQuery.addEventListener("change", () => applyTheme());
window.addEventListener("beforeprint", () => applyTheme(true));
window.addEventListener("afterprint", () => applyTheme());
