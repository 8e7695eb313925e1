// A modal of the app: its blocks, its inputs, and what is said beside a wrong one.

import { renderBlocks, selectOf } from "./blocks.js";
import { PaneDialog } from "./dialog.js";
import { ICONS, el, freshId, icon, set } from "./dom.js";

const TROUBLE = "We had some trouble connecting. Try again?";

export class Form {
  /** `submit(values)` and `cancel()` tell the app. */
  constructor(pane, { cast, act, submit, cancel }) {
    this.cast = cast;
    this.act = act;
    this.submit = submit;
    this.cancel = cancel;
    this.fields = new Map();
    this.dialog = new PaneDialog(pane, { label: "Form", onCancel: () => cancel(), className: "form" });
  }

  /** Show this view; what was typed stays where a field keeps its ids. */
  show(view) {
    if (this.view?.hash !== view.hash) this.draw(view);
    this.view = view;
    for (const [blockId, field] of this.fields) field.complain(view.errors[blockId]);
    const wrong = [...this.fields.entries()].find(([blockId]) => view.errors[blockId]);
    if (wrong) this.dialog.focus(wrong[1].control);
  }

  draw(view) {
    const typed = new Map([...this.fields].map(([id, field]) => [id, field.control.value]));
    this.fields = new Map();
    const context = { cast: this.cast, act: this.act, field: (block) => this.field(block) };
    const content = renderBlocks(view.blocks, context);
    for (const [id, field] of this.fields) if (typed.has(id)) field.control.value = typed.get(id);
    this.dialog.box.setAttribute("aria-label", view.title);
    this.dialog.box.replaceChildren(this.form(view, content));
    const first = [...this.fields.values()][0]?.control;
    this.dialog.focus(first ?? this.dialog.box.querySelector(".dialog-buttons button"));
  }

  form(view, content) {
    const close = el("button.plain", { type: "button", "aria-label": "Close" }, icon(ICONS.close));
    const cancel = el("button", { type: "button" }, view.close ?? "Close");
    for (const button of [close, cancel]) button.addEventListener("click", () => this.cancel());
    this.send = view.submit ? el("button.primary", { type: "submit" }, view.submit) : null;
    this.trouble = el("p.error", { role: "alert" });
    const form = el(
      "form",
      { novalidate: true },
      el("div.dialog-head", {}, el("h2", {}, view.title), close),
      el("div.dialog-text", { tabindex: "0", role: "group", "aria-label": view.title }, content, this.trouble),
      el("div.dialog-buttons", {}, cancel, this.send),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.deliver();
    });
    return form;
  }

  async deliver() {
    const values = Object.fromEntries([...this.fields].map(([id, field]) => [id, field.control.value]));
    const { send, trouble } = this;
    trouble.textContent = "";
    set(send, { disabled: true, "aria-busy": "true" });
    try {
      const answer = await this.submit(values);
      if (answer.failure) trouble.textContent = TROUBLE;
    } catch (error) {
      trouble.textContent = error.message;
    }
    set(send, { disabled: false, "aria-busy": false });
  }

  field(block) {
    const field = new Field(block);
    this.fields.set(block.block_id, field);
    return field.node;
  }

  close() {
    this.dialog.close();
  }
}

/** One input block: label, control, hint, error. */
class Field {
  constructor(block) {
    const { element } = block;
    this.most = element.max_length;
    this.control = element.type === "static_select" ? selectOf(element) : textControl(element);
    const id = freshId("field");
    this.error = el("p.error", { id: `${id}-error`, role: "alert" });
    this.left = el("span.left", { "aria-hidden": "true" });
    const hint = block.hint ? el("p.hint", { id: `${id}-hint` }, block.hint.text) : null;
    set(this.control, { id, "aria-describedby": `${id}-error${hint ? ` ${id}-hint` : ""}` });
    this.control.addEventListener("input", () => this.count());
    const optional = block.optional ? el("span.muted", {}, " (optional)") : null;
    this.node = el(
      "div.block.field",
      {},
      el("label", { for: id }, block.label.text, optional, this.left),
      this.control,
      this.error,
      hint,
    );
    this.count();
  }

  /** Near the limit Slack counts down, and below zero where it is passed. */
  count() {
    const left = (this.most ?? Infinity) - this.control.value.length;
    const isNear = left < Math.max(10, this.most / 10);
    this.left.textContent = isNear ? String(left) : "";
    this.left.classList.toggle("over", left < 0);
  }

  complain(problem) {
    if (this.error.textContent !== (problem ?? "")) this.error.textContent = problem ?? "";
    set(this.control, { "aria-invalid": problem ? "true" : false });
  }
}

function textControl(element) {
  const node = element.multiline
    ? el("textarea", { rows: "3", dir: "auto" })
    : el("input", { type: "text", dir: "auto", autocomplete: "off" });
  set(node, { placeholder: element.placeholder?.text, spellcheck: "false" });
  node.value = element.initial_value ?? "";
  return node;
}
