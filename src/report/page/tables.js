// Tables that sort by a click on a column's name.
const FIRST_ROWS = 25;

function compareValues(a, b) {
  const left = a === null || a === undefined ? -Infinity : a;
  const right = b === null || b === undefined ? -Infinity : b;
  if (typeof left === "string" || typeof right === "string") {
    return String(left).localeCompare(String(right), "en", { numeric: true });
  }
  return left - right;
}

/**
 * columns: [{ name, help, isEnd, value(row), show(row) }]: `value` is sorted by, `show` (the value, if missing) is seen.
 * options: { first: rows shown at first, label, rowClass(row) }
 */
function dataTable(columns, rows, options) {
  const { first = FIRST_ROWS, label, rowClass } = options || {};
  const body = element("tbody");
  let order = { column: -1, isDown: false };
  let isAll = rows.length <= first + 3;
  const more = element("button", { type: "button", class: "more", onclick: () => { isAll = true; fill(); } }, `Show all ${groupedNumber(rows.length)} rows`);
  const heads = columns.map((column, at) => element("th", { scope: "col", class: column.isEnd ? "end" : null, title: column.help },
    element("button", { type: "button", onclick: () => sortBy(at) }, column.name)));

  function fill() {
    const sorted = order.column < 0 ? rows : [...rows].sort((a, b) => {
      const value = columns[order.column].value;
      return compareValues(value(a), value(b)) * (order.isDown ? -1 : 1);
    });
    body.replaceChildren(...(isAll ? sorted : sorted.slice(0, first)).map((row) => element("tr", { class: rowClass ? rowClass(row) : null },
      columns.map((column) => element("td", { class: column.isEnd ? "end" : column.isText ? "text" : null }, column.show ? column.show(row) : column.value(row))))));
    more.hidden = isAll;
  }
  function sortBy(column) {
    order = { column, isDown: order.column === column ? !order.isDown : Boolean(columns[column].isEnd) };
    heads.forEach((head, at) => (at === column ? head.setAttribute("aria-sort", order.isDown ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
    fill();
  }

  fill();
  const place = element("div", null,
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, element("table", null, element("thead", null, element("tr", null, heads)), body)),
    more);
  place.refresh = fill;
  return place;
}
