// The table of layers: sorted by a column, narrowed to what contains some words.
const table = document.querySelector("table.layers");
if (table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  // Numbers are compared as numbers; cells without one stay at the end either way.
  const compare = (a, b, column, sign) => {
    const [x, y] = [a.cells[column].dataset.v, b.cells[column].dataset.v];
    if (x === "" || y === "") return (x === "") - (y === "");
    const [p, q] = [Number(x), Number(y)];
    if (!Number.isNaN(p) && !Number.isNaN(q)) return sign * (p < q ? -1 : p > q ? 1 : 0);
    return sign * x.localeCompare(y, "en", { numeric: true });
  };
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => compare(a, b, column, up ? 1 : -1));
      body.append(...rows);
    });
  });
  const search = document.querySelector(".tools input");
  const shown = document.querySelector(".tools span");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of body.rows) {
      const text = `${row.cells[0].dataset.v} ${row.cells[1].dataset.v}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${body.rows.length} layers`;
  });
}

// Reading values off a curve: only layers of the block under the pointer, since a block has few of
// all roles.
for (const figure of document.querySelectorAll("figure.chart")) {
  const svg = figure.querySelector("svg");
  const cursor = svg.querySelector(".cursor");
  const out = figure.querySelector("output");
  const data = JSON.parse(figure.querySelector("script").textContent);
  const [left, right, width, x0, x1] = data.box;
  const hide = () => { cursor.style.visibility = "hidden"; out.style.display = "none"; };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * width;
    if (px < left || px > width - right || !data.series.length) return hide();
    const x = Math.round(x0 + ((px - left) / (width - left - right)) * (x1 - x0));
    const spot = left + ((x - x0) / (x1 - x0)) * (width - left - right);
    cursor.setAttribute("x1", spot);
    cursor.setAttribute("x2", spot);
    cursor.style.visibility = "visible";
    out.replaceChildren(`block ${x}`);
    for (const series of data.series) {
      const i = series.x.indexOf(x);
      if (i < 0) continue;
      const row = document.createElement("div");
      const mark = document.createElement("i");
      mark.style.background = `var(--s${series.colour})`;
      row.append(mark, `${series.name}  ${series.text[i]}`);
      out.append(row);
    }
    out.style.display = "block";
    const frame = figure.getBoundingClientRect();
    const from = event.clientX - frame.left;
    const flip = from > frame.width * 0.6;
    out.style.left = flip ? "auto" : `${from + 14}px`;
    out.style.right = flip ? `${frame.width - from + 14}px` : "auto";
    out.style.top = `${event.clientY - frame.top + 12}px`;
  });
}
