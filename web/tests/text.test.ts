import { describe, expect, it } from "vitest";
import { boxesAt, corners, marksInJson, regionOf } from "../src/text/boxes.ts";
import { csvLine, grid, jsonCsv, tablesCsv } from "../src/text/exports.ts";
import { decoded, safeHref } from "../src/text/links.ts";
import { inlines, plainText, tables, type Block, type Inline } from "../src/text/nodes.ts";
import { parseAnswer } from "../src/text/parse.ts";
import { cuesOf, toSrt, toVtt } from "../src/text/subtitles.ts";
import { clock, findTimes, secondsOf } from "../src/text/times.ts";

const nodes = (source: string): Inline[] => [...inlines(parseAnswer(source).blocks)];
const shown = (source: string): string =>
  parseAnswer(source)
    .blocks.map((b: Block) => ("children" in b && b.type !== "quote" ? plainText(b.children) : b.type))
    .join("|");

describe("hostile answers", () => {
  it.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src=//evil.example></iframe>",
    "x <b onclick=alert(1)>y</b>",
    "<style>*{display:none}</style>",
    "<!-- comment --><a href='javascript:alert(1)'>z</a>",
  ])("keeps raw HTML as text: %s", (source) => {
    const { blocks } = parseAnswer(source);
    expect(blocks.every((b) => b.type === "paragraph")).toBe(true);
    expect(nodes(source).every((n) => n.type === "text" || n.type === "link")).toBe(true);
    expect(shown(source)).toBe(source);
  });

  it.each([
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](\u0001javascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x](/relative)",
    "<javascript:alert(1)>",
    "[x](&#106;avascript:alert(1))",
    "[x]: javascript:alert(1)\n\n[x]",
  ])("makes no link of %s", (source) => {
    expect(nodes(source).filter((n) => n.type === "link")).toEqual([]);
  });

  it("loads no pictures, whatever address they have", () => {
    const found = nodes("![secret](https://evil.example/?q=secret) ![](data:image/png;base64,AA)");
    const pictures = found.filter((n) => n.type === "picture");
    expect(pictures.map((p) => p.href)).toEqual(["https://evil.example/?q=secret", ""]);
    expect(found.some((n) => n.type === "link")).toBe(false);
  });

  it("takes only rows and cells of an HTML table", () => {
    const source =
      "<table onclick=x><tr><th>A<script>y</script></th><td rowspan=2 onmouseover=z><img src=q>B</td></tr>" +
      "<tr><td>a &lt; b<br>c</td></tr></table>";
    const [found] = tables(parseAnswer(source).blocks);
    expect(found?.rows.map((r) => r.map((c) => plainText(c.children)))).toEqual([
      ["Ay", "B"],
      ["a < b c"],
    ]);
    expect(found?.rows[0]?.map((c) => [c.header, c.rows])).toEqual([[true, 1], [false, 2]]);
  });

  it("takes time that grows with the text, not with its nesting", () => {
    const begun = performance.now();
    for (const piece of ["[", "(", "$", "**_", "<ref>", "\\begin{tabular}", "<table>", "[1,", "`", "> ", "- ", "1:", "</ref>"]) {
      parseAnswer(piece.repeat(4000));
    }
    expect(performance.now() - begun).toBeLessThan(8000);
  });
});

it("allows web and mail links only", () => {
  expect(safeHref("https://example.org/a b")).toBe("https://example.org/a%20b");
  expect(safeHref("mailto:a@example.org")).toBe("mailto:a@example.org");
  expect(safeHref("java\nscript:alert(1)")).toBeNull();
  expect(safeHref("//example.org")).toBeNull();
});

it("decodes character references", () => {
  expect(decoded("a &lt; b &amp;amp; &#65;&#x42; &nope; &#0;&#xD800;")).toBe("a < b &amp; AB &nope; \ufffd\ufffd");
});

describe("Markdown", () => {
  it("reads blocks", () => {
    const { blocks } = parseAnswer(
      "# T\n\nText **b** *i* `c`\n\n- [x] done\n- two\n  1. in\n\n> q\n\n---\n\n```py\nx = 1\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |",
    );
    expect(blocks.map((b) => b.type)).toEqual([
      "heading", "paragraph", "list", "quote", "rule", "code", "table",
    ]);
    const [, , items] = blocks;
    expect(items?.type === "list" && items.items.map((i) => i.checked)).toEqual([true, null]);
  });

  it("gives headings an outline without gaps", () => {
    const { blocks } = parseAnswer("### a\n\n##### b\n\n### c\n\n# d\n\n## e");
    expect(blocks.map((b) => b.type === "heading" && b.depth)).toEqual([1, 2, 1, 1, 2]);
  });

  it("reads formulas and leaves prices alone", () => {
    expect(nodes("$x^2$ and \\(y\\) and $$z$$").flatMap((n) => (n.type === "math" ? [n.text] : []))).toEqual([
      "x^2", "y", "z",
    ]);
    expect(nodes("costs $5 and $10 each, $3.50 in all").some((n) => n.type === "math")).toBe(false);
    expect(nodes("$2x+3=7$").some((n) => n.type === "math")).toBe(true);
    expect(parseAnswer("$$\na\n$$").blocks).toEqual([{ type: "math", text: "a" }]);
    expect(parseAnswer("\\begin{align*}a&=b\\\\c&=d\\end{align*}").blocks).toEqual([
      { type: "math", text: "\\begin{aligned}a&=b\\\\c&=d\\end{aligned}" },
    ]);
  });

  it("reads LaTeX tables", () => {
    const source =
      "Before\n\n\\begin{tabular}{|l|c|}\n\\hline\n\\textbf{Item} & Price \\\\ \\hline\nTea \\& milk & $2^3$ \\\\\n" +
      "\\multicolumn{2}{c}{All} \\\\\n\\multirow{2}{*}{Two} & x \\\\ & y \\\\ \\bottomrule\n\\end{tabular}\n\nAfter";
    const { blocks } = parseAnswer(source);
    expect(blocks.map((b) => b.type)).toEqual(["paragraph", "table", "paragraph"]);
    const [table] = tables(blocks);
    expect(table?.rows.map((r) => r.map((c) => plainText(c.children)))).toEqual([
      ["Item", "Price"], ["Tea & milk", "2^3"], ["All"], ["Two", "x"], ["", "y"],
    ]);
    expect(table?.rows[2]?.[0]?.columns).toBe(2);
    expect(table?.rows[3]?.[0]?.rows).toBe(2);
  });
});

describe("boxes", () => {
  it("reads the model's form", () => {
    expect(boxesAt("<ref>the cat</ref><box>(10,20),(300,400)</box> rest")).toEqual({
      raw: "<ref>the cat</ref><box>(10,20),(300,400)</box>",
      label: "the cat",
      boxes: [[10, 20, 300, 400]],
    });
    expect(boxesAt("<box>[[1,2,30,40],[5,6,70,80]]</box>")?.boxes).toEqual([[1, 2, 30, 40], [5, 6, 70, 80]]);
    expect(corners("(1, 2), (3, 4) [5,6,7,8]")).toEqual([[1, 2, 3, 4], [5, 6, 7, 8]]);
  });

  it("takes bare lists only when they can be boxes", () => {
    expect(boxesAt("[100, 200, 300, 400]")?.boxes).toEqual([[100, 200, 300, 400]]);
    for (const no of ["[1, 2, 3, 4]", "[300, 200, 100, 400]", "[1,2,3]", "[1,2,3,4,5]", "[a,b,c,d]"]) {
      expect(boxesAt(no)).toBeNull();
    }
  });

  it("numbers boxes and finds the picture the text speaks of", () => {
    const { marks } = parseAnswer(
      "Image 1: <ref>dog</ref><box>(0,0),(500,500)</box>\n\nIn the second picture a cat at [500,500,900,900].\n\nSee page 3: [10,10,90,90]",
    );
    expect(marks.map((m) => [m.id, m.label, m.image, m.page])).toEqual([
      [0, "dog", 1, null], [1, "second picture a cat at", 2, null], [2, "See page 3", 2, 3],
    ]);
  });

  it("holds back a tag that is not complete while streaming", () => {
    const whole = "A <ref>cat</ref><box>(1,2),(30,40)</box>";
    for (let end = 2; end < whole.length; end += 1) {
      const said = nodes(whole.slice(0, end)).length && parseAnswer(whole.slice(0, end), true);
      const text = said ? said.blocks.map((b) => ("children" in b ? plainText(b.children as Inline[]) : "")).join("") : "";
      expect(text).not.toMatch(/<(r|b)|\(1/);
    }
    expect(parseAnswer(whole, true).marks).toHaveLength(1);
    expect(plainText(nodes("a < b <br"))).toBe("a < b <br");
    expect(plainText(nodes("<ref>only named</ref> x"))).toBe("only named x");
  });

  it("scales thousandths, fractions and pixels", () => {
    expect(regionOf([100, 200, 300, 600], null)).toEqual({ left: 0.1, top: 0.2, width: 0.3 - 0.1, height: 0.6 - 0.2 });
    expect(regionOf([0.1, 0.2, 0.5, 0.6], null)?.left).toBe(0.1);
    expect(regionOf([0, 0, 2000, 1500], { width: 4000, height: 3000 })).toEqual({ left: 0, top: 0, width: 0.5, height: 0.5 });
    expect(regionOf([0, 0, 2000, 1500], null)).toBeNull();
    expect(regionOf([0, 0, 2000, 1500], { width: 800, height: 600 })).toBeNull();
  });

  it("finds boxes in JSON", () => {
    const value = { total: { value: 3, bbox: [1, 2, 30, 40], page: 2 }, items: [{ label: "tea", box: [[5, 5, 50, 50]] }] };
    expect(marksInJson(value).map((m) => [m.label, m.page, m.box])).toEqual([
      ["total", 2, [1, 2, 30, 40]], ["tea", null, [5, 5, 50, 50]],
    ]);
    expect(parseAnswer('```json\n{"name":"x","bbox":[1,2,30,40]}\n```').marks).toHaveLength(1);
  });
});

describe("times", () => {
  it.each([
    ["1:05", 65], ["00:01:05", 65], ["1:02:03.5", 3723.5], ["12.5s", 12.5], ["90 seconds", 90], ["75", 75],
  ])("reads %s", (text, seconds) => expect(secondsOf(text)).toBe(seconds));

  it("finds times and ranges, not other numbers", () => {
    const found = findTimes("At 0:05 and [00:10 - 00:12], from 3.5 to 7s; 12.5s later. Not 1:2, 10:99, v1:30x or 16:9.");
    expect(found.map((t) => [t.start, t.end])).toEqual([[5, null], [10, 12], [3.5, 7], [12.5, null]]);
  });

  it("writes clocks", () => {
    expect([clock(5), clock(65), clock(3661), clock(12.34, 1), clock(59.99, 1)]).toEqual([
      "00:05", "01:05", "1:01:01", "00:12.3", "01:00.0",
    ]);
  });

  it("becomes nodes", () => {
    expect(nodes("Look at **00:12** on page 3").map((n) => n.type)).toEqual(["text", "strong", "time", "text", "page"]);
  });
});

it("makes subtitles", () => {
  const cues = cuesOf("Intro\n\n- **00:01 - 00:03**: A <b>man\n- [00:05] Two\n  more\n- 00:09 Three", 10);
  expect(cues).toEqual([
    { start: 1, end: 3, text: "A <b>man" }, { start: 5, end: 9, text: "Two\nmore" }, { start: 9, end: 10, text: "Three" },
  ]);
  expect(toSrt(cues)).toContain("1\n00:00:01,000 --> 00:00:03,000\nA <b>man\n\n2\n");
  expect(toVtt(cues)).toMatch(/^WEBVTT\n\n00:00:01\.000 --> 00:00:03\.000\nA &lt;b&gt;man\n/);
  expect(cuesOf("no times here", null)).toEqual([]);
});

describe("CSV", () => {
  it("quotes, and disarms formulas", () => {
    expect(csvLine(["a,b", 'say "x"', "=1+1", "-5", "-x", "@a", "two\nlines"])).toBe(
      `"a,b","say ""x""",'=1+1,-5,'-x,'@a,"two\nlines"`,
    );
  });

  it("places spans", () => {
    const cell = (text: string, columns = 1, rows = 1): { text: string; columns: number; rows: number } => ({ text, columns, rows });
    expect(grid([[cell("a", 2), cell("b")], [cell("c", 1, 2), cell("d"), cell("e")], [cell("f")]])).toEqual([
      ["a", "", "b"], ["c", "d", "e"], ["", "f", ""],
    ]);
  });

  it("writes tables and JSON", () => {
    expect(tablesCsv(parseAnswer("|a|b|\n|-|-|\n|1|**2**|").blocks)).toBe("a,b\r\n1,2");
    expect(jsonCsv({ items: [{ n: "tea", p: { v: 2 } }, { n: "milk", q: null }] })).toBe("n,p.v,q\r\ntea,2,\r\nmilk,,");
    expect(jsonCsv({ a: 1, b: [{ c: 2 }] })).toBe("a,b.0.c\r\n1,2");
  });
});
