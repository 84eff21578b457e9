// What a laid-out page shows, as plain data: elements marked with data-gt, and visible words.
// Positions are in CSS pixels of the page, origin at the top left. Runs inside the page; changes
// nothing in it.
() => {
  const styles = new Map();
  const styleOf = (el) => {
    let found = styles.get(el);
    if (!found) styles.set(el, (found = getComputedStyle(el)));
    return found;
  };
  const root = document.documentElement;
  const W = Math.min(innerWidth, root.clientWidth || innerWidth);
  const H = innerHeight;
  const cut = (a, b) => [
    Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3]),
  ];
  const area = (r) => Math.max(0, r[2] - r[0]) * Math.max(0, r[3] - r[1]);
  const corners = (r) => [r.left, r.top, r.right, r.bottom];
  const join = (rects) => [
    Math.min(...rects.map((r) => r[0])), Math.min(...rects.map((r) => r[1])),
    Math.max(...rects.map((r) => r[2])), Math.max(...rects.map((r) => r[3])),
  ];

  // The part of the page through which an element's content can be seen.
  const windows = new Map();
  const windowOf = (el) => {
    if (!el || el === root) return [0, 0, W, H];
    const known = windows.get(el);
    if (known) return known;
    let seen = [0, 0, W, H];
    let position = styleOf(el).position;
    let first = true;
    for (let p = el; p && p !== root && p !== document.body; p = p.parentElement) {
      const s = styleOf(p);
      if (!first && position === 'absolute' && s.position === 'static' && s.transform === 'none')
        continue;
      if (s.overflowX !== 'visible' || s.overflowY !== 'visible') {
        const r = p.getBoundingClientRect();
        const x = r.left + p.clientLeft, y = r.top + p.clientTop;
        const inner = [x, y, x + p.clientWidth, y + p.clientHeight];
        seen = cut(seen, inner);
      }
      if (s.position === 'fixed') break;
      position = s.position;
      first = false;
    }
    windows.set(el, seen);
    return seen;
  };

  const shown = new Map();
  const isShown = (el) => {
    if (!el || el === root) return true;
    let known = shown.get(el);
    if (known === undefined) {
      const s = styleOf(el);
      known = s.display !== 'none' && s.visibility === 'visible' && Number(s.opacity) > 0.05 &&
        (!el.parentElement || seeThrough(el.parentElement));
      shown.set(el, known);
    }
    return known;
  };
  const seeThrough = (el) => {  // as isShown, but a hidden parent may have a visible child
    if (!el || el === root) return true;
    const s = styleOf(el);
    return s.display !== 'none' && Number(s.opacity) > 0.05 && seeThrough(el.parentElement);
  };
  const related = (hit, el) => hit && (hit === el || el.contains(hit) || hit.contains(el));

  const blocks = new Map();
  const blockOf = (el) => {
    let b = el;
    while (b && b !== document.body && /^(inline|contents)$/.test(styleOf(b).display))
      b = b.parentElement;
    if (!blocks.has(b)) blocks.set(b, blocks.size);
    return blocks.get(b);
  };
  const keyOf = (el) => {
    const holder = el.closest('[data-gt]');
    return holder ? holder.getAttribute('data-gt') : '';
  };
  const asShown = (text, style) => {
    if (style.textTransform === 'uppercase') return text.toUpperCase();
    if (style.textTransform === 'lowercase') return text.toLowerCase();
    if (style.textTransform === 'capitalize')
      return text.replace(/(^|[\s\-/(])(\p{L})/gu, (_, a, b) => a + b.toUpperCase());
    return text;
  };

  // Words: pieces of text nodes between blanks; one that is broken over lines gives one per line.
  const words = [];
  const owners = [];
  const range = document.createRange();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let gap = true;
  let before = null;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!parent || /^(SCRIPT|STYLE|TEMPLATE|NOSCRIPT|TITLE)$/.test(parent.tagName)) continue;
    const text = node.data;
    if (!text.trim()) {
      if (text) gap = true;
      continue;
    }
    const style = styleOf(parent);
    const visible = isShown(parent);
    const seen = windowOf(parent);
    const block = blockOf(parent);
    if (before !== block) gap = true;
    before = block;
    const emphasis = { bold: Number(style.fontWeight) >= 600, italic: style.fontStyle !== 'normal' };
    let end = 0;
    for (const match of text.matchAll(/[^\s]+/g)) {
      if (match.index > end) gap = true;
      end = match.index + match[0].length;
      if (!visible) { gap = true; continue; }
      range.setStart(node, match.index);
      range.setEnd(node, end);
      const rects = [...range.getClientRects()].filter((r) => r.width > 0 && r.height > 0);
      if (!rects.length) continue;
      let pieces = [[match[0], rects]];
      const low = Math.min(...rects.map((r) => r.top)), high = Math.max(...rects.map((r) => r.top));
      if (high - low > 0.5 * rects[0].height) {
        pieces = [];
        for (let k = match.index; k < end; k++) {
          range.setStart(node, k);
          range.setEnd(node, k + 1);
          const r = range.getBoundingClientRect();
          const last = pieces[pieces.length - 1];
          if (last && Math.abs(last[1][0].top - r.top) < 0.5 * r.height) {
            last[0] += text[k];
            last[1].push(r);
          } else pieces.push([text[k], [r]]);
        }
      }
      for (const [piece, parts] of pieces) {
        const box = join(parts.map(corners));
        const whole = area(box);
        if (!whole) continue;
        const inside = cut(box, seen);
        if (area(inside) < 0.94 * whole) { gap = true; continue; }
        const x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
        const hit = document.elementFromPoint(x, y);
        if (hit && !related(hit, parent) && styleOf(parent).pointerEvents !== 'none') {
          gap = true;
          continue;
        }
        words.push({
          text: asShown(piece, style), box, key: keyOf(parent), block, space: gap,
          size: parseFloat(style.fontSize), color: style.color, ...emphasis,
        });
        owners.push(parent);
        gap = false;
      }
    }
    gap = /\s$/.test(text);
  }

  const elements = [];
  for (const el of document.querySelectorAll('[data-gt]')) {
    const r = el.getBoundingClientRect();
    const box = corners(r);
    const own = windowOf(el.parentElement);
    const inside = styleOf(el).position === 'fixed' ? cut(box, [0, 0, W, H]) : cut(box, own);
    const whole = area(box);
    const part = area(inside);
    const visible = isShown(el) && whole > 0 && part > 0;
    let occluded = false;
    let point = null;
    if (visible) {
      const [x0, y0, x1, y1] = inside;
      const at = [[0.5, 0.5], [0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]];
      let covered = 0;
      for (const [u, v] of at) {
        const x = x0 + u * (x1 - x0), y = y0 + v * (y1 - y0);
        const hit = document.elementFromPoint(x, y);
        const good = hit && (hit === el || el.contains(hit));
        if (!good) covered += u === 0.5 ? 5 : 1;
        else if (!point && hit.closest('[data-gt]') === el) point = [x, y];
      }
      occluded = covered > 1;
    }
    const attributes = {};
    for (const a of el.attributes)
      if (a.name.startsWith('data-') && a.name !== 'data-gt')
        attributes[a.name.slice(5)] = a.value;
    const mine = [];
    for (let k = 0; k < words.length; k++) if (el.contains(owners[k])) mine.push(k);
    const above = el.parentElement && el.parentElement.closest('[data-gt]');
    elements.push({
      key: el.getAttribute('data-gt'), tag: el.tagName.toLowerCase(),
      role: el.getAttribute('data-role') || el.getAttribute('role') || '',
      name: el.getAttribute('aria-label') || '', value: 'value' in el ? String(el.value || '') : '',
      parent: above ? above.getAttribute('data-gt') : '', box, inside, visible,
      clipped: whole > 0 && part < 0.8 * whole, occluded, point, attributes, words: mine,
      truncated: el.scrollWidth > el.clientWidth + 1 && styleOf(el).overflowX === 'hidden',
    });
  }
  return { width: W, height: H, words, elements };
}
