// Puts the page together. A section that has nothing to show is taken away.
const runData = JSON.parse(byId("run-data").textContent);

function markSection(links) {
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      links.forEach((link) => (link.hash === "#" + entry.target.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  links.forEach((link) => seen.observe(document.querySelector(link.hash)));
}

function showFooter(place) {
  const left = listOf(runData.left_out);
  addChildren(place, [
    left.length > 0 ? [element("div", null, "To keep this page small, not all is shown:"), element("ul", null, left.map((entry) => element("li", null, `${groupedNumber(entry.shown)} of ${groupedNumber(entry.of)} ${entry.what}`)))] : null,
    element("div", null, `Made ${timeText(runData.made)} by quern report, Quern ${runData.quern}. All of it is in this file.`),
  ]);
}

function showPage() {
  applyTheme();
  byId("theme").append(themeSwitch());
  showHeader(byId("header"), runData);
  showNotices(byId("notices"), runData);
  const links = [];
  for (const [id, show] of [["results", (section) => showResults(section, listOf(runData.results))], ["actions", showActions], ["timeline", showTimeline], ["operators", showOperators],
    ["training", showTraining], ["memory", showMemory], ["attempts", showAttempts], ["settings", showSettings]]) {
    const section = byId(id);
    if (show(section, runData)) {
      links.push(element("a", { href: "#" + id }, section.querySelector("h2").textContent));
      byId("sections").append(element("li", null, links.at(-1)));
    } else {
      section.remove();
    }
  }
  showFooter(byId("footer"));
  drawNewCharts();
  markSection(links);
  document.documentElement.dataset.ready = "true"; // everything is drawn
}

showPage();
