// The table of a batch: filters, and sorting by a click on a heading. Without scripts it is a table.
"use strict";
(() => {
  const table = document.querySelector("table.batch");
  const controls = document.querySelector(".filters");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const text = controls.querySelector("input");
  const selects = [...controls.querySelectorAll("select")];
  const count = controls.querySelector("output");
  const address = new URLSearchParams(location.hash.slice(1));

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      const fits = selects.every((s) => !s.value || row.dataset[s.name].split("|").includes(s.value));
      row.hidden = !(fits && words.every((word) => content.includes(word)));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length}`;
    const state = new URLSearchParams();
    for (const field of [text, ...selects]) if (field.value) state.set(field.name, field.value);
    history.replaceState(null, "", `#${state}`);
  };

  const key = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(value);
    return value === "" ? [2, 0] : Number.isNaN(number) ? [1, value.toLowerCase()] : [0, number];
  };
  const order = (a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0);

  for (const heading of table.tHead.rows[0].cells) {
    const button = heading.querySelector("button");
    if (!button) continue;
    button.disabled = false;
    button.addEventListener("click", () => {
      const falling = heading.ariaSort === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const keyed = rows.map((row) => [key(row, heading.cellIndex), row]);
      // Empty cells stay last in both orders.
      keyed.sort(([a], [b]) => (falling && a[0] < 2 && b[0] < 2 ? order(b, a) : order(a, b)));
      body.append(...keyed.map(([, row]) => row));
    });
  }
  for (const field of [text, ...selects]) {
    field.value = address.get(field.name) ?? "";
    field.addEventListener("input", filter);
  }
  controls.hidden = false;
  filter();
})();
