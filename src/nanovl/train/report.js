// Reading values off a chart: a line follows the pointer and names the nearest point of each curve.
for (const figure of document.querySelectorAll("figure.chart")) {
  const svg = figure.querySelector("svg");
  const cursor = svg.querySelector(".cursor");
  const out = figure.querySelector("output");
  const data = JSON.parse(figure.querySelector("script").textContent);
  const [left, right, width, x0, x1] = data.box;
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle; else high = middle;
    }
    return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
  };
  const hide = () => { cursor.style.visibility = "hidden"; out.style.display = "none"; };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * width;
    if (px < left || px > width - right || !data.series.length) return hide();
    const x = x0 + ((px - left) / (width - left - right)) * (x1 - x0);
    const rows = data.series.map((s) => [s, nearest(s.x, x)]);
    const at = rows.map(([s, i]) => s.x[i]).sort((a, b) => Math.abs(a - x) - Math.abs(b - x))[0];
    const spot = left + ((at - x0) / (x1 - x0)) * (width - left - right);
    cursor.setAttribute("x1", spot);
    cursor.setAttribute("x2", spot);
    cursor.style.visibility = "visible";
    out.replaceChildren();
    const line = (text, colour) => {
      const row = document.createElement("div");
      if (colour !== undefined) {
        const mark = document.createElement("i");
        mark.style.background = `var(--s${colour})`;
        row.append(mark);
      }
      row.append(text);
      out.append(row);
    };
    line(`update ${at.toLocaleString("en")}`);
    for (const [s, i] of rows) line(`${s.name}  ${s.text[i]}`, s.colour);
    out.style.display = "block";
    const frame = figure.getBoundingClientRect();
    const from = event.clientX - frame.left;
    const flip = from > frame.width * 0.6;
    out.style.left = flip ? "auto" : `${from + 14}px`;
    out.style.right = flip ? `${frame.width - from + 14}px` : "auto";
    out.style.top = `${event.clientY - frame.top + 12}px`;
  });
}
