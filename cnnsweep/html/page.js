// Draws the charts when they come into sight, in the colours of the style sheet; orders and filters the table of runs.
"use strict";

const NEAR = "400px"; // from sight, so that a chart is there when one scrolls to it
const PRINTED_WIDTH = 680; // pixels across a sheet of paper
const BUTTONS = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
const narrow = matchMedia("(max-width: 40rem)"); // no room for buttons, and fingers zoom by themselves
const darkness = matchMedia("(prefers-color-scheme: dark)");

// ---- colours -------------------------------------------------------------------------------------------------------

function styleColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function mixed(first, second, share) {
  const part = (colour, position) => parseInt(colour.slice(1 + 2 * position, 3 + 2 * position), 16);
  const channels = [0, 1, 2].map((k) => Math.round(part(first, k) * (1 - share) + part(second, k) * share));
  return `rgb(${channels.join(",")})`;
}

function scaleColour(share) {
  const [low, middle, high] = ["low", "middle", "high"].map((name) => styleColour(`scale-${name}`));
  return share < 0.5 ? mixed(low, middle, share * 2) : mixed(middle, high, share * 2 - 1);
}

// A figure names colours by what they stand for; only where a colour may stand, so that no text is taken for one.
function withColours(value, key = "") {
  if (typeof value === "string" && (/color$/.test(key) || key === "scale")) {
    if (value.startsWith("colour:")) return styleColour(value.slice(7));
    if (value.startsWith("scale:")) return scaleColour(Number(value.slice(6)));
  }
  if (Array.isArray(value)) {
    const kept = key === "colorscale" ? "scale" : /color$/.test(key) || key === "scale" ? key : "";
    return kept || typeof value[0] === "object" ? value.map((part) => withColours(part, kept)) : value;
  }
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withColours(part, name)]));
}

function themed(layout) {
  const grid = { gridcolor: styleColour("grid"), linecolor: styleColour("line"), zerolinecolor: styleColour("line") };
  const hover = { bgcolor: styleColour("raised"), bordercolor: styleColour("line"), font: { color: styleColour("text") } };
  return {
    ...layout,
    paper_bgcolor: styleColour("ground"),
    plot_bgcolor: styleColour("ground"),
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: styleColour("text") },
    hoverlabel: { align: "left", ...hover },
    xaxis: { ...grid, ...layout.xaxis },
    yaxis: { ...grid, ...layout.yaxis },
  };
}

// ---- charts --------------------------------------------------------------------------------------------------------

class Chart {
  constructor(element) {
    this.element = element;
    this.drawing = element.querySelector(".drawing");
    this.selects = [...element.querySelectorAll("select")];
    this.views = null;
    this.isDrawn = false;
    for (const select of this.selects) select.addEventListener("change", () => this.choose(select));
  }

  // What was embedded is read when it is needed: of many runs it is large.
  view() {
    this.views ??= JSON.parse(this.element.querySelector("script").textContent);
    return this.views[this.selects.map((select) => select.value).join(",")];
  }

  choose(changed) {
    // A hyperparameter cannot be set against itself: then the other moves on to one that it can be set against.
    const other = this.selects.find((select) => select !== changed);
    for (const option of other?.options ?? []) {
      if (this.view()) break;
      other.value = option.value;
    }
    const view = this.view();
    if (!view) return;
    this.element.querySelector("figcaption").textContent = view.sentence;
    this.drawing.setAttribute("aria-label", view.sentence);
    this.fillTable(view.table);
    this.draw();
  }

  fillTable(content) {
    const details = this.element.querySelector("details");
    details.hidden = !content;
    if (!content) return;
    const row = (cells, names) => {
      const line = document.createElement("tr");
      cells.forEach((cell, position) => {
        const part = line.appendChild(document.createElement(names[Math.min(position, names.length - 1)]));
        part.textContent = cell;
      });
      return line;
    };
    details.querySelector("thead").replaceChildren(row(content.headings, ["th"]));
    details.querySelector("tbody").replaceChildren(...content.rows.map((cells) => row(cells, ["th", "td"])));
  }

  draw(width) {
    const { data, layout } = withColours(this.view().figure);
    const config = { displaylogo: false, responsive: true, displayModeBar: narrow.matches ? false : "hover", modeBarButtons: BUTTONS };
    const size = width ? { width, height: this.drawing.clientHeight, autosize: false } : { autosize: true };
    Plotly.react(this.drawing, data, { ...themed(layout), ...size }, config);
    this.isDrawn = true;
    performance.mark("chart drawn");
  }
}

function startCharts() {
  const charts = new Map([...document.querySelectorAll(".chart")].map((element) => [element, new Chart(element)]));
  const sight = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        sight.unobserve(entry.target);
        charts.get(entry.target).draw();
      }
    },
    { rootMargin: NEAR },
  );
  for (const element of charts.keys()) sight.observe(element);
  darkness.addEventListener("change", () => {
    for (const chart of charts.values()) if (chart.isDrawn) chart.draw();
  });
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printed"); // in light colours
    for (const chart of charts.values()) chart.draw(PRINTED_WIDTH);
    for (const details of document.querySelectorAll("details:not([open])")) details.open = details.wasClosed = true;
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printed");
    for (const chart of charts.values()) chart.draw();
    for (const details of document.querySelectorAll("details")) if (details.wasClosed) details.open = details.wasClosed = false;
  });
}

// ---- the table of runs ---------------------------------------------------------------------------------------------

function startTable() {
  const table = document.querySelector(".runs");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const names = heads.map((head) => head.textContent.toLowerCase());
  const rows = [...body.rows].map((element) => {
    const cells = [...element.cells].map((cell) => cell.textContent.toLowerCase());
    return { element, cells, all: cells.join(" ") };
  });

  function order(position) {
    const head = heads[position];
    const first = head.dataset.first ?? "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const direction = head.getAttribute("aria-sort") === first ? other : first;
    for (const one of heads) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
    const isNumber = head.classList.contains("number");
    const key = ({ element, cells }) => {
      if (!isNumber) return cells[position];
      const cell = element.cells[position];
      const number = Number(cell.dataset.number ?? cell.textContent);
      return Number.isNaN(number) ? null : number;
    };
    const sign = direction === "ascending" ? 1 : -1;
    const compare = (a, b) => (isNumber ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    const keyed = rows.map((row) => [key(row), row]);
    // What is missing comes last either way.
    keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
    body.append(...keyed.map(([, row]) => row.element));
  }

  heads.forEach((head, position) => head.firstChild.addEventListener("click", () => order(position)));

  const input = document.getElementById("filter");
  const output = document.querySelector(".filter output");

  function hasWord(row, word) {
    const sign = word.indexOf("=");
    const column = names.indexOf(word.slice(0, sign));
    return sign > 0 && column >= 0 ? row.cells[column].startsWith(word.slice(sign + 1)) : row.all.includes(word);
  }

  function filter() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const isShown = words.every((word) => hasWord(row, word));
      row.element.hidden = !isShown;
      shown += isShown;
    }
    output.textContent = words.length ? `${shown} of ${rows.length} runs` : "";
  }

  input.addEventListener("input", filter);
  input.form.addEventListener("submit", (event) => event.preventDefault());
  if (input.value) filter(); // a browser that goes back fills it in again
}

for (const form of document.querySelectorAll(".choices")) form.addEventListener("submit", (event) => event.preventDefault());
startCharts();
startTable();
