// A dialog over one pane: the other pane stays in use, so this is no browser-wide modal.

import { el } from "./dom.js";

const FOCUSABLE = "button, [href], input, select, textarea, pre[tabindex], summary";

/** Shown until `close`; Escape calls `onCancel`. The pane behind it is inert meanwhile. */
export class PaneDialog {
  constructor(pane, { label, onCancel, className = "" }) {
    this.pane = pane;
    this.returnTo = document.activeElement;
    this.box = el("dialog", { open: true, "aria-modal": "true", "aria-label": label, tabindex: "-1" });
    if (className) this.box.classList.add(className);
    this.scrim = el("div.scrim", {}, this.box);
    this.scrim.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        onCancel();
      } else if (event.key === "Tab") {
        this.keepFocus(event);
      }
    });
    for (const child of pane.children) child.inert = true;
    pane.append(this.scrim);
  }

  /** Put the focus where the person goes on, unless they are at work in the other pane. */
  focus(node) {
    const active = document.activeElement;
    const isElsewhere = active?.closest(".pane") && !this.pane.contains(active);
    if (!isElsewhere) (node ?? this.box).focus();
  }

  keepFocus(event) {
    const stops = [...this.box.querySelectorAll(FOCUSABLE)].filter((node) => !node.disabled);
    const edge = event.shiftKey ? stops[0] : stops.at(-1);
    if (!stops.length || document.activeElement === edge || document.activeElement === this.box) {
      event.preventDefault();
      (event.shiftKey ? stops.at(-1) : stops[0])?.focus();
    }
  }

  close() {
    const hadFocus = this.scrim.contains(document.activeElement);
    this.scrim.remove();
    const isLast = !this.pane.querySelector(":scope > .scrim");
    if (isLast) for (const child of this.pane.children) child.inert = false;
    if (hadFocus && this.returnTo?.isConnected) this.returnTo.focus();
  }
}

/** Slack's confirm dialog; resolves to whether the person went on. */
export function confirmed(pane, confirm, text) {
  return new Promise((resolve) => {
    const answer = (goesOn) => {
      dialog.close();
      resolve(goesOn);
    };
    const dialog = new PaneDialog(pane, {
      label: confirm.title.text,
      onCancel: () => answer(false),
      className: "confirm",
    });
    const style = confirm.style === "danger" ? "danger" : "primary";
    const yes = el(`button.${style}`, { type: "button" }, confirm.confirm.text);
    const no = el("button", { type: "button" }, confirm.deny.text);
    yes.addEventListener("click", () => answer(true));
    no.addEventListener("click", () => answer(false));
    dialog.box.append(
      el("h2", { dir: "auto" }, confirm.title.text),
      el("div.dialog-text", {}, text),
      el("div.dialog-buttons", {}, no, yes),
    );
    dialog.focus(yes);
  });
}
