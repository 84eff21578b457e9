// The viewer: an index with filters, and one page per sample. Text of the data enters the page as
// text nodes only; the one exception is `h` fields, which the site writer has escaped.
"use strict";
(function () {
  const index = window.nanovlIndex;
  const app = document.getElementById("app");
  const tip = document.getElementById("tip");
  const rows = index.samples;
  const byKey = new Map(rows.map((row, at) => [row.k, at]));
  const waiting = new Map();
  const cache = new Map();
  const PAGE = 120;
  const PICTURES = 12; // of one sample, until all are asked for
  const filter = { g: "", t: "", a: "", d: "", q: "", f: false };
  let found = rows;
  let shown = PAGE;
  let tab = "talk";
  let hidden = new Set(index.hidden);
  let order = true;
  let large = false;
  let state = null; // of the sample page: what the keys work on

  // -- helpers ---------------------------------------------------------------------------------
  function el(name, attributes, ...children) {
    const made = name.startsWith("svg:")
      ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "on") for (const [e, f] of Object.entries(value)) made.addEventListener(e, f);
      else if (key === "style") for (const [p, v] of Object.entries(value)) made.style.setProperty(p, v);
      else if (key === "class") made.setAttribute("class", value);
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((c) => c !== null && c !== undefined && c !== ""));
    return made;
  }
  const number = (n) => n.toLocaleString("en-US");
  const clock = (s) => {
    const minutes = Math.floor(s / 60), rest = s - minutes * 60;
    return String(minutes).padStart(2, "0") + ":" + (rest < 10 ? "0" : "") +
      (Number.isInteger(rest) ? rest : rest.toFixed(1));
  };

  // -- flags -----------------------------------------------------------------------------------
  const store = "nanovl-flags-" + index.id;
  let memory = {};
  try { memory = JSON.parse(localStorage.getItem(store)) || {}; } catch (e) { memory = {}; }
  function keep() {
    try { localStorage.setItem(store, JSON.stringify(memory)); } catch (e) { /* kept until reload */ }
  }
  function isFlagged(row) { return Object.prototype.hasOwnProperty.call(memory, row.k); }
  function flag(row, note) {
    memory[row.k] = { data_set: row.s, id: row.id, note: note };
    keep();
  }
  function unflag(row) { delete memory[row.k]; keep(); }
  function exportFlags() {
    const flags = rows.filter(isFlagged).map((row) => memory[row.k]);
    const text = JSON.stringify({ format: "nanovl-flags", version: 1, flags: flags }, null, 1) + "\n";
    const link = el("a", { download: "flags.json",
      href: URL.createObjectURL(new Blob([text], { type: "application/json" })) });
    document.body.append(link);
    link.click();
    link.remove();
  }

  // -- tooltip ---------------------------------------------------------------------------------
  function showTip(event, title, text, attributes) {
    tip.replaceChildren(el("b", {}, title), text ? el("span", { dir: "auto" }, text) : "");
    const lines = Object.entries(attributes || {}).map(([k, v]) => k + ": " + (Array.isArray(v) ? v.join(", ") : v));
    if (lines.length) tip.append(el("div", { class: "attributes" }, lines.join("\n")));
    tip.hidden = false;
    const x = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 16;
    const y = below + tip.offsetHeight > window.innerHeight ? event.clientY - tip.offsetHeight - 12 : below;
    tip.style.left = Math.max(4, x) + "px";
    tip.style.top = Math.max(4, y) + "px";
  }
  const hideTip = () => { tip.hidden = true; };

  // -- index -----------------------------------------------------------------------------------
  function apply() {
    const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
    found = rows.filter((row) =>
      (!filter.g || row.g === filter.g) && (!filter.t || row.t.includes(filter.t)) &&
      (!filter.a || row.a.includes(filter.a)) && (!filter.d || String(row.d) === filter.d) &&
      (!filter.f || isFlagged(row)) &&
      words.every((w) => (row.id + " " + row.q).toLowerCase().includes(w)));
  }
  function choice(label, key, values) {
    const select = el("select", { "aria-label": label, on: { change: (e) => {
      filter[key] = e.target.value; shown = PAGE; refresh(); } } },
      el("option", { value: "" }, "all"),
      ...values.map(([v, n]) => el("option", { value: v }, v + " (" + number(n) + ")")));
    select.value = filter[key];
    return el("label", {}, label, select);
  }
  function counts(of) {
    const map = new Map();
    for (const row of rows) for (const v of of(row)) map.set(String(v), (map.get(String(v)) || 0) + 1);
    return [...map].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  }
  function card(row) {
    let inner;
    if (row.p) inner = el("img", { src: row.p, loading: "lazy", alt: "" });
    else inner = el("div", { class: "excerpt", dir: "auto" }, row.q);
    return el("a", { class: "card" + (isFlagged(row) ? " flagged" : ""), href: "#/s/" + row.k },
      el("div", { class: "thumb" }, inner, row.b ? el("span", { class: "badge" }, row.b) : null),
      el("div", { class: "words" }, el("div", { class: "name", title: row.id }, row.n),
        el("div", { class: "asked", dir: "auto" }, row.p ? row.q : row.t.join(", "))));
  }
  function refresh() {
    apply();
    const cards = document.querySelector(".cards");
    cards.replaceChildren(...found.slice(0, shown).map(card));
    document.querySelector(".more").replaceChildren(found.length > shown
      ? el("button", { class: "button", on: { click: () => { shown += PAGE; refresh(); } } },
        "Show more (" + number(found.length - shown) + " left)")
      : el("span", { class: "muted" }, found.length ? "" : "No sample passes these filters."));
    document.querySelector("#matched").textContent = number(found.length) + " of " + number(rows.length);
    const flagged = rows.filter(isFlagged).length;
    const button = document.querySelector("#export");
    button.textContent = "Export flags (" + flagged + ")";
    button.disabled = !flagged;
  }
  function showIndex() {
    state = null;
    hideTip();
    document.title = index.title;
    const tasks = counts((row) => row.t), tags = counts((row) => row.a), levels = counts((row) => (row.d === null ? [] : [row.d]));
    const generators = counts((row) => [row.g]);
    app.replaceChildren(
      el("header", { class: "head" }, el("h1", {}, index.title), el("p", { class: "muted" }, index.subtitle)),
      el("div", { class: "filters" }, el("div", {},
        choice("generator", "g", generators), choice("task", "t", tasks),
        choice("tag", "a", tags), choice("difficulty", "d", levels),
        el("label", {}, "search", el("input", { type: "search", value: filter.q, placeholder: "id or question",
          "aria-label": "search", on: { input: (e) => { filter.q = e.target.value; shown = PAGE; refresh(); } } })),
        el("button", { class: "button", "aria-pressed": String(filter.f), id: "only", on: { click: (e) => {
          filter.f = !filter.f; e.target.setAttribute("aria-pressed", String(filter.f));
          e.target.classList.toggle("on", filter.f); refresh(); } } }, "Flagged only"),
        el("span", { class: "grow" }),
        el("span", { id: "matched", class: "muted small" }),
        el("button", { class: "button", id: "export", on: { click: exportFlags } }))),
      el("main", { class: "cards" }), el("div", { class: "more" }));
    document.querySelector("#only").classList.toggle("on", filter.f);
    refresh();
  }

  // -- a sample's data -------------------------------------------------------------------------
  window.nanovlSample = function (key, data) {
    cache.set(key, data);
    const then = waiting.get(key);
    waiting.delete(key);
    if (then) then(data);
  };
  function fetchSample(key, then) {
    if (cache.has(key)) { then(cache.get(key)); return; }
    const asked = waiting.has(key);
    waiting.set(key, then);
    if (asked) return;
    document.head.append(el("script", { src: "data/" + key + ".js", on: { error: () => {
      waiting.delete(key);
      app.replaceChildren(el("p", { class: "warning" }, "data/" + key + ".js cannot be read."));
    } } }));
  }

  // -- stage -----------------------------------------------------------------------------------
  function color(name) { return index.colors[name] || "#607d8b"; }
  function placeNode(place) {
    const [x0, y0, x1, y1] = place.b;
    const common = { class: "place" + (place.c === "answer" ? " answer" : ""), "data-class": place.c,
      style: { "--c": color(place.c) }, tabindex: null };
    const node = place.q
      ? el("svg:polygon", { ...common, points: place.q.map((v, i) => v + (i % 2 ? " " : ",")).join("") })
      : place.r ? el("svg:circle", { ...common, cx: (x0 + x1) / 2, cy: (y0 + y1) / 2, r: place.r })
      : el("svg:rect", { ...common, x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0) });
    const say = (event) => showTip(event, place.c, place.t, { ...place.a, box: place.b.map((v) => Math.round(v * 10) / 10) });
    node.addEventListener("pointermove", say);
    node.addEventListener("pointerdown", say);
    node.addEventListener("pointerleave", hideTip);
    if (place.k !== undefined) node.setAttribute("data-talk", place.k);
    node.classList.toggle("off", hidden.has(place.c));
    return node;
  }
  function overlay(canvas, width, height, places) {
    canvas.querySelectorAll("svg,.number").forEach((n) => n.remove());
    const svg = el("svg:svg", { viewBox: "0 0 " + width + " " + height, preserveAspectRatio: "none" });
    // Large boxes first, so that small ones inside them can be reached.
    const area = (p) => (p.b[2] - p.b[0]) * (p.b[3] - p.b[1]);
    [...places].sort((a, b) => area(b) - area(a)).forEach((p) => svg.append(placeNode(p)));
    canvas.append(svg);
    const read = places.filter((p) => p.o !== undefined).sort((a, b) => a.o - b.o);
    if (read.length > 1) {
      const line = el("svg:polyline", { class: "path reading",
        points: read.map((p) => p.b[0] + "," + p.b[1]).join(" ") });
      line.classList.toggle("off", !order);
      svg.append(line);
      read.forEach((p) => {
        const mark = el("span", { class: "number reading", style: {
          left: (100 * p.b[0] / width) + "%", top: (100 * p.b[1] / height) + "%" } }, String(p.o + 1));
        mark.classList.toggle("off", !order);
        canvas.append(mark);
      });
    }
  }
  function imageFigure(medium) {
    const canvas = el("div", { class: "canvas" },
      el("img", { src: medium.src, alt: medium.name, width: medium.w, height: medium.h, loading: "lazy" }));
    // Small pictures are enlarged, so that boxes and text can be seen.
    if (medium.w < 420) canvas.firstChild.style.width = Math.min(medium.w * 2, 640) + "px";
    overlay(canvas, medium.w, medium.h, medium.boxes);
    return el("figure", { "data-medium": medium.name }, el("div", { class: "frame" }, canvas),
      el("figcaption", {}, medium.name + ", " + medium.w + " x " + medium.h + " px"));
  }
  function videoFigure(medium) {
    const picture = el("img", { alt: medium.name, width: medium.w, height: medium.h });
    const canvas = el("div", { class: "canvas" }, picture);
    const now = el("div", { class: "now" });
    const player = el("video", { src: medium.src, controls: true, preload: "none" });
    let at = 0;
    const buttons = medium.frames.map((frame, k) => el("button", { "aria-label": "frame at " + clock(frame.t),
      on: { click: () => select(k) } }, el("img", { src: frame.src, alt: "", loading: "lazy" }), el("span", {}, clock(frame.t))));
    function select(k) {
      at = Math.max(0, Math.min(medium.frames.length - 1, k));
      const frame = medium.frames[at];
      picture.src = frame.src;
      overlay(canvas, medium.w, medium.h, frame.boxes);
      buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === at)));
      const strip = buttons[at].parentNode;
      if (strip) strip.scrollLeft = buttons[at].offsetLeft - strip.offsetLeft - strip.clientWidth / 2 + 40;
      now.style.left = (100 * frame.t / medium.duration) + "%";
    }
    function near(t) {
      let best = 0;
      medium.frames.forEach((f, k) => { if (f.t <= t + 1e-6) best = k; });
      select(best);
      try { player.currentTime = t; } catch (e) { /* not loaded yet */ }
    }
    const made = el("figure", { "data-medium": medium.name }, el("div", { class: "frame" }, canvas), el("div", { class: "strip" }, ...buttons),
      timeline(medium, near, now),
      el("details", {}, el("summary", {}, "Play" + (medium.sound ? " (with sound)" : "")), player),
      el("figcaption", {}, medium.name + ", " + medium.w + " x " + medium.h + " px, " + medium.duration + " s"));
    select(0);
    return { node: made, step: (by) => select(at + by) };
  }
  function timeline(medium, near, now) {
    const groups = new Map();
    for (const span of medium.spans) {
      if (!groups.has(span.g)) groups.set(span.g, []);
      groups.get(span.g).push(span);
    }
    const node = el("div", { class: "times" });
    for (const [name, spans] of groups) {
      node.append(el("div", { class: "group" }, name));
      const lanes = [];
      for (const span of [...spans].sort((a, b) => a.a - b.a || a.z - b.z)) {
        let lane = lanes.find((l) => l.end <= span.a + 1e-6);
        if (!lane) { lane = { end: 0, node: el("div", { class: "lane" }) }; lanes.push(lane); node.append(lane.node); }
        lane.end = span.z;
        const text = clock(span.a) + " - " + clock(span.z);
        lane.node.append(el("div", { class: "span", style: { "--c": color(name),
          left: (100 * span.a / medium.duration) + "%", width: (100 * Math.max(span.z - span.a, 0.05) / medium.duration) + "%" },
          on: { click: () => near(span.a), pointermove: (e) => showTip(e, text, span.t), pointerleave: hideTip } }, span.t));
      }
    }
    const axis = el("div", { class: "axis" });
    const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];
    const step = steps.find((s) => medium.duration / s <= 8) || 3600;
    for (let t = 0; t <= medium.duration - step * 0.4; t += step)
      axis.append(el("span", { style: { left: (100 * t / medium.duration) + "%" } }, clock(t)));
    axis.append(el("span", { style: { left: "100%" } }, clock(medium.duration)));
    node.append(axis, now);
    return node;
  }
  function audioFigure(medium) {
    return el("figure", { "data-medium": medium.name }, medium.wave ? el("div", { class: "canvas" }, el("img", { src: medium.wave, alt: "" })) : null,
      el("audio", { src: medium.src, controls: true, preload: "none" }),
      medium.spans && medium.spans.length ? timeline(medium, () => {}, el("span")) : null,
      el("figcaption", {}, medium.name + ", " + medium.duration.toFixed(1) + " s"));
  }
  function legend(data) {
    const totals = new Map();
    let reading = false;
    const add = (p) => { totals.set(p.c, (totals.get(p.c) || 0) + 1); };
    for (const m of data.media) {
      const places = m.boxes || [];
      places.forEach(add);
      reading = reading || places.filter((p) => p.o !== undefined).length > 1;
      const seen = new Set();
      for (const f of m.frames || []) for (const p of f.boxes) {
        const name = p.c + "|" + p.t;
        if (!seen.has(name)) { seen.add(name); add(p); }
      }
    }
    if (!totals.size) return null;
    const node = el("div", { class: "legend", role: "group", "aria-label": "classes" });
    function paint() {
      document.querySelectorAll(".place").forEach((n) => n.classList.toggle("off", hidden.has(n.dataset.class)));
      document.querySelectorAll(".reading").forEach((n) => n.classList.toggle("off", !order));
      node.querySelectorAll("[data-class]").forEach((n) => n.setAttribute("aria-pressed", String(!hidden.has(n.dataset.class))));
    }
    if (totals.size > 1) {
      const all = [...totals.keys()];
      node.append(el("button", { class: "chip", on: { click: () => {
        const some = all.some((c) => !hidden.has(c));
        all.forEach((c) => (some ? hidden.add(c) : hidden.delete(c)));
        paint(); } } }, "all / none"));
    }
    for (const [name, n] of [...totals].sort((a, b) => (a[0] < b[0] ? -1 : 1)))
      node.append(el("button", { class: "chip", "data-class": name, "aria-pressed": String(!hidden.has(name)),
        style: { "--c": color(name) }, on: { click: () => {
          if (hidden.has(name)) hidden.delete(name); else hidden.add(name);
          paint(); } } }, el("i"), name, el("b", {}, number(n))));
    if (reading)
      node.append(el("button", { class: "chip", "aria-pressed": String(order), on: { click: (e) => {
        order = !order; e.currentTarget.setAttribute("aria-pressed", String(order)); paint(); } } }, el("i"), "reading order"));
    return node;
  }

  // -- panel -----------------------------------------------------------------------------------
  function rendered(h) {
    const node = el("div", { class: "rendered" });
    node.innerHTML = h; // escaped by the site writer
    // Every paragraph and cell is written in its own direction.
    node.querySelectorAll("h1,h2,h3,h4,h5,h6,p,li,td,th,blockquote").forEach((n) => { n.dir = "auto"; });
    return node;
  }
  function longText(text) {
    if (text.length <= 4000) return el("div", { class: "plain", dir: "auto" }, text);
    const cut = text.slice(0, 2000) + "\n\n[...]\n\n" + text.slice(-600);
    const node = el("div", { class: "plain", dir: "auto" }, cut);
    const more = el("button", { class: "button small", on: { click: () => {
      node.textContent = text; more.remove(); } } }, "Show all " + number(text.length) + " characters");
    return el("div", {}, node, more);
  }
  function mediumTag(name) {
    return el("button", { class: "tag", title: "show it", on: { click: () => showMedium(name) } }, name);
  }
  function showMedium(name) {
    const figure = [...document.querySelectorAll("figure")].find((f) => f.dataset.medium === name);
    if (!figure) return;
    document.querySelectorAll("figure.off").forEach((f) => f.classList.remove("off"));
    document.querySelectorAll(".rest").forEach((b) => b.remove());
    document.querySelectorAll("figure.named").forEach((f) => f.classList.remove("named"));
    figure.classList.add("named");
    figure.scrollIntoView({ block: "start" });
  }
  function turn(message) {
    const body = el("div", {});
    const role = el("div", { class: "role" }, message.r);
    for (const part of message.p) {
      if (part.m !== undefined) { body.append(mediumTag(part.m), " "); continue; }
      if (part.think) {
        body.append(el("details", {}, el("summary", {}, "reasoning (" + number(part.think.length) + " characters)"),
          el("div", { class: "think plain", dir: "auto" }, part.think)));
        continue;
      }
      const plain = longText(part.t);
      if (!part.h) { body.append(plain); continue; }
      const nice = rendered(part.h);
      plain.classList.add("off");
      body.append(nice, plain);
      role.append(el("button", { on: { click: (e) => {
        plain.classList.toggle("off"); nice.classList.toggle("off");
        e.target.textContent = plain.classList.contains("off") ? "source" : "rendered"; } } }, "source"));
    }
    for (const call of message.calls || [])
      body.append(el("div", { class: "call" }, call.name + "(" + (typeof call.arguments === "string"
        ? call.arguments : JSON.stringify(call.arguments)) + ")"));
    return el("div", { class: "turn " + message.r }, role, body);
  }
  function talk(record, at) {
    const marks = [];
    if (record.reasoning) marks.push(el("span", { class: "tag" }, "reasoning " + record.reasoning));
    if (record.tools && record.tools.length) marks.push(el("span", { class: "tag", title: record.tools.join(", ") }, record.tools.length + (record.tools.length === 1 ? " tool" : " tools")));
    if (record.verifier) marks.push(el("span", { class: "tag " + (record.right ? "good" : "bad"), title: record.problem || "" },
      record.verifier + (record.score === null ? " failed" : " " + record.score.toFixed(2))));
    const light = (on) => () => {
      document.querySelectorAll('[data-talk="' + at + '"]').forEach((n) => {
        n.classList.toggle("lit", on);
        n.classList.toggle("off", !on && hidden.has(n.dataset.class));
      });
    };
    return el("article", { class: "talk", on: { pointerenter: light(true), pointerleave: light(false) } },
      el("header", {}, el("b", {}, record.task || "conversation"), ...marks),
      ...record.messages.map(turn));
  }
  function tree(value, name, depth) {
    const label = name === null ? [] : [el("span", { class: "k" }, name), ": "];
    if (value !== null && typeof value === "object") {
      const entries = Array.isArray(value) ? value.map((v, i) => [String(i), v]) : Object.entries(value);
      const flat = JSON.stringify(value);
      if (flat.length <= 70) return el("div", {}, ...label, el("span", { class: "s" }, flat));
      const open = depth < 1;
      const node = el("details", { open: open }, el("summary", {}, ...label,
        el("span", { class: "s" }, Array.isArray(value) ? "[" + entries.length + "]" : "{" + entries.length + "}")));
      let filled = false;
      const fill = () => {
        if (filled) return;
        filled = true;
        entries.slice(0, 500).forEach(([k, v]) => node.append(tree(v, k, depth + 1)));
        if (entries.length > 500) node.append(el("div", {}, "... " + (entries.length - 500) + " more"));
      };
      if (open) fill(); else node.addEventListener("toggle", fill);
      return node;
    }
    const text = typeof value === "string" ? JSON.stringify(value) : String(value);
    return el("div", {}, ...label, el("span", { class: typeof value === "number" ? "n" : "" }, text));
  }
  function copyButton(text) {
    return el("button", { class: "button", on: { click: (e) => {
      const button = e.target;
      const done = () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
      const byHand = () => {
        const area = el("textarea", {});
        area.value = text;
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
        done();
      };
      if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, byHand); else byHand();
    } } }, "Copy");
  }
  function about(data) {
    const list = el("dl", {});
    for (const [k, v] of data.about) list.append(el("dt", {}, k), el("dd", {}, v));
    return el("div", {}, el("h3", { class: "title" }, "make it again"),
      el("div", { class: "command" }, el("code", {}, data.command), copyButton(data.command)), list);
  }
  function panel(data) {
    const pages = [["talk", "Conversations", () => el("div", {}, ...data.records.map(talk))],
      ["text", "Text", () => el("div", {}, ...data.texts.map((t) => el("section", {},
        t.t ? el("h3", { class: "title" }, t.t) : null, rendered(t.h))))],
      ["tables", "Tables", () => el("div", {}, ...data.tables.map((t) => el("section", {},
        t.t ? el("h3", { class: "title" }, t.t) : null, rendered(t.h))))],
      ["truth", "Truth", () => el("div", { class: "tree" }, el("p", {}, copyButton(JSON.stringify(data.raw, null, 1))), tree(data.raw, null, 0))],
      ["about", "About", () => about(data)]]
      .filter(([key]) => key === "truth" || key === "about" || data[{ talk: "records", text: "texts", tables: "tables" }[key]].length);
    const body = el("div", { class: "page" });
    const bar = el("div", { class: "tabs", role: "tablist" });
    function open(key) {
      const page = pages.find((p) => p[0] === key) || pages[0];
      for (const b of bar.children) b.setAttribute("aria-selected", String(b.dataset.tab === page[0]));
      body.replaceChildren(page[2]());
    }
    for (const [key, name] of pages)
      bar.append(el("button", { role: "tab", "data-tab": key, on: { click: () => { tab = key; open(key); } } }, name));
    open(tab);
    return el("aside", { class: "panel box" }, bar, body);
  }

  function showSample(key) {
    const row = rows[byKey.get(key)];
    if (!row) { location.hash = ""; return; }
    fetchSample(key, (data) => {
      apply();
      let at = found.indexOf(row);
      let list = found;
      if (at < 0) { list = rows; at = byKey.get(key); }
      const go = (by) => { const next = list[at + by]; if (next) location.hash = "#/s/" + next.k; };
      const videos = [];
      const figures = data.media.map((m) => {
        if (m.kind === "video") { const v = videoFigure(m); videos.push(v); return v.node; }
        return m.kind === "audio" ? audioFigure(m) : imageFigure(m);
      });
      const rest = figures.slice(PICTURES);
      rest.forEach((f) => f.classList.add("off"));
      const more = rest.length ? el("button", { class: "button rest", on: { click: () => showMedium(data.media[PICTURES].name) } },
        "Show all " + number(figures.length) + " pictures") : null;
      const size = el("button", { class: "button", id: "size", "aria-pressed": "false" }, "Actual size");
      const paintSize = () => {
        size.setAttribute("aria-pressed", String(large));
        const stage = document.querySelector(".stage");
        if (stage) stage.classList.toggle("large", large);
      };
      const enlarge = () => { large = !large; paintSize(); };
      size.addEventListener("click", enlarge);
      const button = el("button", { class: "button", id: "flag" });
      const note = el("input", { class: "note", placeholder: "why is it flagged? (optional)", "aria-label": "note",
        on: { input: (e) => flag(row, e.target.value) } });
      function paintFlag() {
        const on = isFlagged(row);
        button.textContent = on ? "\u2691 Flagged" : "\u2690 Flag";
        button.classList.toggle("on", on);
        button.setAttribute("aria-pressed", String(on));
        note.classList.toggle("off", !on);
        note.value = on ? memory[row.k].note : "";
      }
      const toggle = () => { if (isFlagged(row)) unflag(row); else flag(row, ""); paintFlag(); };
      button.addEventListener("click", toggle);
      paintFlag();
      document.title = row.id;
      hideTip();
      app.replaceChildren(
        el("div", { class: "bar" },
          el("a", { class: "button", href: "#/" }, "Gallery"),
          el("button", { class: "button", disabled: at === 0, "aria-label": "previous sample", on: { click: () => go(-1) } }, "\u2039"),
          el("button", { class: "button", disabled: at === list.length - 1, "aria-label": "next sample", on: { click: () => go(1) } }, "\u203a"),
          el("span", { class: "count" }, number(at + 1) + " / " + number(list.length)),
          el("span", { class: "id", title: row.id }, row.id), el("span", { class: "grow" }), figures.length ? size : null, button),
        el("div", { class: "two" + (figures.length ? "" : " text") },
          figures.length ? el("section", { class: "stage box" }, note,
            ...data.warnings.map((w) => el("p", { class: "warning" }, w)), legend(data),
            el("div", { class: "figures" + (figures.length > 1 ? " many" : "") }, ...figures), more) : null,
          figures.length ? panel(data) : el("div", {}, note,
            ...data.warnings.map((w) => el("p", { class: "warning" }, w)), panel(data))),
        el("p", { class: "keys" }, el("kbd", {}, "\u2190"), " ", el("kbd", {}, "\u2192"), " samples   ",
          el("kbd", {}, "f"), " flag   ", videos.length ? el("kbd", {}, ",") : null,
          videos.length ? " " : null, videos.length ? el("kbd", {}, ".") : null,
          videos.length ? " frames   " : null, figures.length ? el("kbd", {}, "z") : null,
          figures.length ? " actual size   " : null, el("kbd", {}, "esc"), " gallery"));
      paintSize();
      window.scrollTo(0, 0);
      state = { go: go, toggle: toggle, enlarge: enlarge, videos: videos };
      const next = list[at + 1];
      if (next && !cache.has(next.k)) fetchSample(next.k, () => {});
    });
  }

  // -- navigation ------------------------------------------------------------------------------
  function route() {
    const wanted = /^#\/s\/([\w-]+)$/.exec(location.hash);
    if (wanted) showSample(wanted[1]); else showIndex();
  }
  document.addEventListener("keydown", (event) => {
    if (!state || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT|VIDEO|AUDIO)$/.test(event.target.tagName)) return;
    const keys = { ArrowLeft: () => state.go(-1), ArrowRight: () => state.go(1), k: () => state.go(-1),
      j: () => state.go(1), f: () => state.toggle(), z: () => state.enlarge(), Escape: () => { location.hash = "#/"; },
      ",": () => state.videos.forEach((v) => v.step(-1)), ".": () => state.videos.forEach((v) => v.step(1)) };
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  window.addEventListener("hashchange", route);
  window.addEventListener("scroll", hideTip, { passive: true });
  route();
})();
