// Block Kit to nodes: every block and element that the bot uses. Source: docs.slack.dev/reference/block-kit

import { ICONS, el, icon } from "./dom.js";
import { link, render as mrkdwn } from "./mrkdwn.js";

/**
 * `context` has `cast` (names), `act(block, element, value)` for what is used, and `field(block)`
 * for the inputs of a form.
 */
export function renderBlocks(blocks, context) {
  return blocks.map((block) => (BLOCKS[block.type] ?? unknown)(block, context));
}

const BLOCKS = {
  header: (block) => el("h3.block.header", { dir: "auto" }, block.text.text),
  divider: () => el("hr.block"),
  section,
  actions: (block, context) =>
    el("div.block.actions", {}, block.elements.map((each) => element(block, each, context))),
  context: (block, context) =>
    el("div.block.context", {}, block.elements.map((each) => el("div", {}, textOf(each, context)))),
  rich_text: (block, context) =>
    el("div.block.rich", {}, block.elements.map((each) => rich(each, context))),
  input: (block, context) => context.field(block),
};

function unknown(block) {
  return el("p.block.context", {}, `(a ${block.type} block)`);
}

function section(block, context) {
  return el(
    "div.block.section",
    {},
    el(
      "div.section-text",
      {},
      block.text ? textOf(block.text, context) : null,
      block.fields
        ? el("div.fields", {}, block.fields.map((field) => el("div", {}, textOf(field, context))))
        : null,
    ),
    block.accessory ? element(block, block.accessory, context) : null,
  );
}

export function textOf(text, { cast }) {
  if (text.type === "mrkdwn") return mrkdwn(text.text, cast);
  return el("p.line", { dir: "auto" }, text.text);
}

function element(block, each, context) {
  switch (each.type) {
    case "button":
      return button(block, each, context);
    case "overflow":
      return overflow(block, each, context);
    case "static_select":
      return select(block, each, context);
    default:
      return el("span.muted", {}, `(${each.type})`);
  }
}

function button(block, each, context) {
  const node = el(
    `button.slack-button${each.style ? `.${each.style}` : ""}`,
    { type: "button", "aria-label": each.accessibility_label, "data-action": each.action_id },
    each.text.text,
  );
  node.addEventListener("click", () => context.act(block, each, each.value, node));
  return node;
}

function overflow(block, each, context) {
  const options = each.options.map((option) => {
    const choice = el("button", { type: "button" }, option.text.text);
    choice.addEventListener("click", () => {
      menu.open = false;
      context.act(block, each, option.value, choice);
    });
    return el("li", {}, choice);
  });
  const summary = el("summary.slack-button", { "aria-label": "More actions" }, icon(ICONS.more));
  const menu = el("details.menu", {}, summary, el("ul", {}, options));
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      event.stopPropagation();
      menu.open = false;
      summary.focus();
    }
  });
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(event.relatedTarget)) menu.open = false;
  });
  return menu;
}

function select(block, each, context) {
  const node = selectOf(each);
  node.setAttribute("aria-label", each.placeholder?.text ?? "Choose");
  node.addEventListener("change", () => context.act(block, each, node.value, node));
  return node;
}

/** A `static_select` with its options, the initial one chosen. */
export function selectOf(each) {
  const chosen = each.initial_option?.value;
  const node = el("select", {});
  if (!each.initial_option) node.append(el("option", { value: "" }, each.placeholder?.text ?? ""));
  node.append(
    ...each.options.map((option) =>
      el("option", { value: option.value, selected: option.value === chosen }, option.text.text),
    ),
  );
  return node;
}

function rich(part, context) {
  switch (part.type) {
    case "rich_text_quote":
      return el("blockquote", { dir: "auto" }, richInline(part, context));
    case "rich_text_preformatted":
      return preformatted(part, context);
    case "rich_text_list":
      return el(
        part.style === "ordered" ? "ol" : "ul",
        {},
        part.elements.map((item) => el("li", { dir: "auto" }, richInline(item, context))),
      );
    default:
      return el("p.line", { dir: "auto" }, richInline(part, context));
  }
}

function preformatted(part, context) {
  const pre = el("pre", { tabindex: "0" }, richInline(part, context));
  const copy = el("button.copy", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    const copied = await copyOf(pre);
    copy.textContent = copied ? "Copied" : "Selected; press Ctrl+C";
    setTimeout(() => (copy.textContent = "Copy"), 2000);
  });
  return el("div.preformatted", {}, pre, copy);
}

/** Into the clipboard; where the browser does not let us, select it for the person to copy. */
async function copyOf(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(pre);
    return false;
  }
}

function richInline(part, { cast }) {
  return (part.elements ?? []).map((each) => {
    switch (each.type) {
      case "text":
        return styled(each.text, each.style ?? {});
      case "link":
        return link(each.url, each.text);
      default:
        return richInline(each, { cast });
    }
  });
}

function styled(text, style) {
  const tags = [["code", "code"], ["bold", "b"], ["italic", "i"], ["strike", "s"]];
  return tags
    .filter(([name]) => style[name])
    .reduce((inner, [, tag]) => el(tag, {}, inner), text);
}
