// Slack's mrkdwn: text to a tree (`parse`), and the tree to nodes (`render`).
// Source: docs.slack.dev/messaging/formatting-message-text

import { el } from "./dom.js";
import { written } from "./time.js";

const BEFORE = String.raw`(?<![^\s(\[>*_~])`;
const AFTER = String.raw`(?![^\s.,;:!?)\]*_~])`;
const INLINE = new RegExp(
  [
    "`(?<code>[^`\\n]+)`",
    "<(?<token>[^<>\\n]+)>",
    `${BEFORE}(?<mark>[*_~])(?=\\S)(?<inner>[^\\n]*?\\S)\\k<mark>${AFTER}`,
  ].join("|"),
  "g",
);
const FENCE = /```\n?([\s\S]*?)\n?```/g;
const MARKS = { "*": "bold", _: "italic", "~": "strike" };

/** Blocks `{kind: "lines" | "quote" | "item" | "fence", …}`; lines hold inline nodes. */
export function parse(text) {
  const blocks = [];
  let end = 0;
  for (const fence of text.matchAll(FENCE)) {
    blocks.push(...prose(text.slice(end, fence.index).replace(/\n$/, "")));
    blocks.push({ kind: "fence", text: unescaped(fence[1]) });
    end = fence.index + fence[0].length;
  }
  return [...blocks, ...prose(text.slice(end).replace(end ? /^\n/ : /^$/, ""))];
}

function prose(text) {
  if (!text) return [];
  const blocks = [];
  for (const line of text.split("\n")) {
    const [kind, rest] = lineKind(line);
    const last = blocks.at(-1);
    if (last?.kind === kind && kind !== "item") last.lines.push(inline(rest));
    else blocks.push({ kind, lines: [inline(rest)] });
  }
  return blocks;
}

function lineKind(line) {
  const quoted = line.match(/^(?:&gt;|>) ?(.*)$/);
  if (quoted) return ["quote", quoted[1]];
  const item = line.match(/^• (.*)$/);
  return item ? ["item", item[1]] : ["lines", line];
}

function inline(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > end) nodes.push({ kind: "text", text: unescaped(text.slice(end, found.index)) });
    const { code, token: body, mark, inner } = found.groups;
    if (code !== undefined) nodes.push({ kind: "code", children: codeParts(code) });
    else if (body !== undefined) nodes.push(token(body));
    else nodes.push({ kind: MARKS[mark], children: inline(inner) });
    end = found.index + found[0].length;
  }
  if (end < text.length) nodes.push({ kind: "text", text: unescaped(text.slice(end)) });
  return nodes;
}

/** In code nothing is markup but the tokens, as in Slack. */
function codeParts(text) {
  const parts = text.split(/(<[^<>\n]+>)/).filter(Boolean);
  return parts.map((part) =>
    part.startsWith("<") && part.endsWith(">")
      ? token(part.slice(1, -1))
      : { kind: "text", text: unescaped(part) },
  );
}

function token(body) {
  const bar = body.indexOf("|");
  const target = bar < 0 ? body : body.slice(0, bar);
  const label = bar < 0 ? "" : unescaped(body.slice(bar + 1));
  if (target.startsWith("@")) return { kind: "user", id: target.slice(1), label };
  if (target.startsWith("#")) return { kind: "channel", id: target.slice(1), label };
  if (target.startsWith("!")) return special(target.slice(1), label);
  return { kind: "link", url: unescaped(target), label };
}

function special(body, label) {
  const [name, ...rest] = body.split("^");
  if (name === "date") return { kind: "date", seconds: Number(rest[0]), pattern: rest[1] ?? "", label };
  if (name === "subteam") return { kind: "user", id: rest[0], label };
  return { kind: "everyone", text: `@${name}` };
}

export function unescaped(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** Nodes for a text; `cast` knows people's and channels' names. */
export function render(text, cast) {
  return parse(text).map((block) => BLOCKS[block.kind](block, cast));
}

const lines = (block, cast) =>
  block.lines.flatMap((line, at) => [...(at ? [el("br")] : []), ...line.map((node) => inlineNode(node, cast))]);

const BLOCKS = {
  lines: (block, cast) => el("p.line", { dir: "auto" }, lines(block, cast)),
  quote: (block, cast) => el("blockquote", { dir: "auto" }, lines(block, cast)),
  item: (block, cast) => el("p.item", { dir: "auto" }, lines(block, cast)),
  fence: (block) => el("pre", { tabindex: "0" }, block.text),
};

const TAGS = { bold: "b", italic: "i", strike: "s" };

function inlineNode(node, cast) {
  switch (node.kind) {
    case "text":
      return node.text;
    case "code":
      return el("code", {}, node.children.map((child) => inlineNode(child, cast)));
    case "user":
      return mention(node.id, node.label, cast);
    case "channel":
      return el("span.mention", {}, `#${cast.channels[node.id] ?? (node.label || node.id)}`);
    case "everyone":
      return el("span.mention", {}, node.text);
    case "date":
      return dateNode(node);
    case "link":
      return link(node.url, node.label);
    default:
      return el(TAGS[node.kind], {}, node.children.map((child) => inlineNode(child, cast)));
  }
}

export function mention(id, label, cast) {
  const isMe = id === cast.me;
  return el(`span.mention${isMe ? ".me" : ""}`, {}, `@${firstName(cast.names[id]) ?? (label || id)}`);
}

function firstName(realName) {
  return realName?.split(" ")[0];
}

function dateNode({ seconds, pattern, label }) {
  const date = new Date(seconds * 1000);
  if (!pattern || Number.isNaN(date.getTime())) return label;
  return el("time.relative", { datetime: date.toISOString(), "data-pattern": pattern }, written(pattern, date));
}

/** Time goes on: write every date anew that stands in `root`. */
export function refreshDates(root) {
  for (const node of root.querySelectorAll("time.relative")) {
    const fresh = written(node.dataset.pattern, new Date(node.dateTime));
    if (node.textContent !== fresh) node.textContent = fresh;
  }
}

/** Only web and mail addresses can be followed; anything else stays text. */
export function link(url, label) {
  const shown = label || url.replace(/^mailto:/, "");
  if (!/^(https?:\/\/|mailto:)/i.test(url)) return shown;
  return el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, shown);
}
