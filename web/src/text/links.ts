// Which addresses an answer may link to, and what characters its entities stand for.

const SAFE = new Set(["http:", "https:", "mailto:"]);

/** The address if it is safe to follow by a click, else null. */
export function safeHref(href: string): string | null {
  try {
    const url = new URL(href);
    return SAFE.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

const NAMED: Readonly<Record<string, string>> = {
  amp: "&",
  apos: "'",
  copy: "\u00a9",
  deg: "\u00b0",
  euro: "\u20ac",
  gt: ">",
  hellip: "\u2026",
  laquo: "\u00ab",
  ldquo: "\u201c",
  lsquo: "\u2018",
  lt: "<",
  mdash: "\u2014",
  middot: "\u00b7",
  minus: "\u2212",
  nbsp: "\u00a0",
  ndash: "\u2013",
  pound: "\u00a3",
  quot: '"',
  raquo: "\u00bb",
  rdquo: "\u201d",
  reg: "\u00ae",
  rsquo: "\u2019",
  times: "\u00d7",
};

/** Text with its character references replaced; unknown ones stay. */
export function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,8}));/gi, (whole, dec, hex, name) => {
    if (name) return NAMED[String(name)] ?? whole;
    const code = dec ? Number(dec) : parseInt(String(hex), 16);
    const bad = code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff);
    return bad ? "\ufffd" : String.fromCodePoint(code);
  });
}
