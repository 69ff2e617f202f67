"use strict";
// A column whose cells all begin with a number or are a duration is sorted by that number; a date
// such as 2026-01-31 is neither, and its text sorts right.
const SECONDS = { s: 1, min: 60, h: 3600, d: 86400 };
function sortKey(text) {
  const plain = text.replace(/,/g, "").trim();
  const parts = [...plain.matchAll(/([\d.]+) (s|min|h|d)\b/g)];
  if (parts.length) return parts.reduce((sum, p) => sum + p[1] * SECONDS[p[2]], 0);
  const number = /^[^\w-]*(-?[\d.]+(?:e[-+]?\d+)?)(?![\d.]*-\d)/i.exec(plain);
  return number ? Number(number[1]) : NaN;
}
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], head = table.tHead && table.tHead.rows[0];
  if (!head || !body || body.rows.length < 3) continue;
  table.classList.add("sortable");
  [...head.cells].forEach((cell, column) => {
    cell.tabIndex = 0;
    const sort = () => {
      const up = cell.ariaSort !== "ascending";
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [row.cells[column].textContent.trim(), row]);
      const numeric = rows.every(([text]) => !text || !isNaN(sortKey(text)));
      rows.sort(([a], [b]) => {
        if (!a || !b) return !a - !b;  // empty cells are last in both directions
        const order = numeric ? sortKey(a) - sortKey(b) : a.localeCompare(b);
        return up ? order : -order;
      });
      body.append(...rows.map(([, row]) => row));
    };
    cell.addEventListener("click", sort);
    cell.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}
for (const place of document.querySelectorAll(".chart")) {
  const { data, layout } = JSON.parse(place.querySelector("script").textContent);
  const plot = place.appendChild(document.createElement("div"));
  plot.className = "plot";
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: "#1a1a1a" };
  Plotly.newPlot(plot, data, { ...layout, font }, { responsive: true, displaylogo: false })
    .then(() => place.classList.add("drawn"));
}
