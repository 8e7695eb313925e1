// One person's Slack: channels, messages, threads, the command box, and forms.

import { renderBlocks, textOf } from "./blocks.js";
import { confirmed } from "./dialog.js";
import { ICONS, el, freshId, icon, set } from "./dom.js";
import { Form } from "./form.js";
import { post } from "./live.js";
import { render as mrkdwn } from "./mrkdwn.js";
import { clockTime, dayKey, dayTitle, ofTs } from "./time.js";

const NEAR_END = 80;
const MANY = 60;
const NOTICE_MS = 8000;
const MOST_HISTORY = 50;
const ROLES = { asks: "asks for changes", approves: "approves", guest: "guest", member: "member" };

export class Pane {
  /** `changed()` is called when the pane shows another person or channel. */
  constructor(root, changed) {
    this.root = root;
    this.changed = changed;
    this.items = new Map();
    this.thread = null;
    this.form = null;
    this.build();
  }

  build() {
    this.switcher = el("select.who", { "aria-label": "Who you are in this pane" });
    this.switcher.addEventListener("change", () => this.changed(this, { person: this.switcher.value }));
    this.avatar = el("span.avatar", { "aria-hidden": "true" });
    this.nav = el("nav.channels", {});
    this.back = el("button.plain.back", { type: "button", hidden: true }, icon(ICONS.back), "Back");
    this.back.addEventListener("click", () => this.openThread(null));
    this.title = el("h2.channel-title");
    this.role = el("span.muted.role");
    this.log = el("div.messages", { role: "log", "aria-live": "off", tabindex: "0" });
    this.log.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.atEnd && this.toEnd()).observe(this.log);
    this.latest = el("button.latest.small", { type: "button", hidden: true }, "New message ↓");
    this.latest.addEventListener("click", () => this.toEnd());
    this.spoken = el("p.visually-hidden", { "aria-live": "polite" });
    this.notice = el("p.notice", { role: "status" });
    this.root.replaceChildren(
      el("div.pane-head", {}, this.avatar, this.switcher),
      this.nav,
      el("div.channel-head", {}, this.back, this.title, this.role),
      el("div.stage", {}, this.log, this.latest),
      this.notice,
      this.composer(),
      this.spoken,
    );
  }

  composer() {
    const id = freshId("command");
    this.input = el("input", { id, type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false", enterkeyhint: "send" });
    this.input.addEventListener("keydown", (event) => this.recall(event));
    this.box = el(
      "form.composer",
      {},
      el("label.prefix", { for: id }, "/mailcfg"),
      this.input,
      el("button.primary.small", { type: "submit", "aria-label": "Send" }, icon(ICONS.send)),
    );
    this.box.addEventListener("submit", (event) => {
      event.preventDefault();
      this.command(this.input.value);
    });
    return this.box;
  }

  /** Be this person, in this channel. `cast` has everybody's names. */
  show(person, channel, cast) {
    const isOther = this.person?.id !== person.id || this.channel !== channel;
    if (this.person?.id !== person.id) this.closeForm();
    this.person = person;
    this.channel = channel;
    this.cast = { ...cast, me: person.id };
    if (isOther) this.clear();
    this.drawFrame();
    this.update([]);
  }

  clear() {
    this.thread = null;
    this.items.clear();
    this.log.replaceChildren();
    this.atEnd = true;
  }

  drawFrame() {
    const me = this.cast.people.find((each) => each.id === this.person.id);
    this.switcher.replaceChildren(
      ...this.cast.people.map((each) =>
        el("option", { value: each.id, selected: each.id === me.id }, each.real_name),
      ),
    );
    this.switcher.value = me.id;
    this.avatar.className = `avatar ${me.name}`;
    this.avatar.textContent = initials(me.real_name);
    this.role.textContent = `${me.real_name.split(" ")[0]} ${me.role === "guest" ? "is a guest" : ROLES[me.role]}`;
    this.input.placeholder = this.cast.usage_hint;
    this.input.setAttribute("aria-label", `/mailcfg command, as ${me.real_name}`);
    this.root.setAttribute("aria-label", `${me.real_name}’s Slack`);
    this.nav.setAttribute("aria-label", `${me.real_name}’s channels`);
  }

  /** Bring the screen up to date; `arrived` are messages that were not there before. */
  update(arrived) {
    this.drawChannels();
    this.drawHead();
    this.drawMessages();
    this.drawForm();
    this.announce(arrived.filter((message) => message.channel === this.channel));
    this.markRead();
  }

  drawChannels() {
    const channels = this.person.channels.map((channel) => {
      const { count, calls } = this.person.unread(channel);
      const isHere = channel.id === this.channel;
      const isNew = count > 0 && !isHere;
      return { ...channel, isHere, isNew, badge: isNew && calls ? String(count) : "" };
    });
    const drawn = JSON.stringify(channels);
    if (drawn === this.drawnChannels) return;
    this.drawnChannels = drawn;
    const had = this.nav.contains(document.activeElement) ? document.activeElement.dataset.channel : null;
    this.nav.replaceChildren(...channels.map((channel) => this.channelButton(channel)));
    if (had) this.nav.querySelector(`[data-channel="${had}"]`)?.focus();
  }

  channelButton({ id, name, is_dm: isDm, isHere, isNew, badge }) {
    const sign = isDm ? el("span.avatar.bot", { "aria-hidden": "true" }, "m") : el("span.sign", { "aria-hidden": "true" }, "#");
    const button = el(
      "button.channel",
      { type: "button", "aria-current": isHere ? "page" : false, class: `channel${isNew ? " unread" : ""}`, "data-channel": id },
      sign,
      el("span.channel-name", {}, name),
      badge ? el("span.badge", {}, badge) : null,
      isNew ? el("span.visually-hidden", {}, " unread") : null,
    );
    button.addEventListener("click", () => this.changed(this, { channel: id }));
    return button;
  }

  drawHead() {
    const channel = this.person.channels.find((each) => each.id === this.channel);
    const name = channel ? `${channel.is_dm ? "" : "#"}${channel.name}` : "";
    set(this.back, { hidden: this.thread === null, "aria-label": `Back to ${name}` });
    this.title.textContent = this.thread ? "Thread" : name;
    this.log.setAttribute("aria-label", `${this.thread ? "Thread" : "Messages"} in ${name}`);
    set(this.box, { hidden: this.thread !== null });
  }

  drawMessages() {
    const messages = this.person.shown(this.channel, this.thread);
    const wanted = new Set(messages.map((message) => message.ts));
    for (const [ts, item] of this.items) if (!wanted.has(ts)) this.drop(ts, item);
    this.log.classList.toggle("long", messages.length > MANY);
    let previous = null;
    for (const message of messages) {
      previous = this.place(message, previous);
    }
    if (messages.length === 0 && this.person.isKnown) this.drawEmpty();
    else this.log.querySelector(".empty")?.remove();
    if (this.atEnd) this.toEnd();
  }

  /** The item of a message, after `previous`; drawn anew only if the message is another than before. */
  place(message, previous) {
    const known = this.items.get(message.ts);
    if (known?.message === message) return this.dated(known, previous);
    const item = { message, node: this.messageNode(message) };
    this.items.set(message.ts, item);
    if (known) known.node.replaceWith(item.node);
    else if (previous) previous.node.after(item.node);
    else this.log.prepend(item.node);
    return this.dated(item, previous);
  }

  /** Above the first message of a day stands which day it is. */
  dated(item, previous) {
    const date = ofTs(item.message.ts);
    const isFirst = !previous || dayKey(ofTs(previous.message.ts)) !== dayKey(date);
    const title = isFirst ? dayTitle(date) : null;
    if (item.day !== title) {
      item.node.querySelector(":scope > .day")?.remove();
      if (title) item.node.prepend(el("div.day", {}, el("span", {}, title)));
      item.day = title;
    }
    return item;
  }

  drop(ts, item) {
    item.node.remove();
    this.items.delete(ts);
  }

  drawEmpty() {
    if (this.log.querySelector(".empty")) return;
    this.log.append(el("p.empty", {}, "Nothing here yet. mailcfg writes here when something concerns you alone."));
  }

  messageNode(message) {
    const name = this.cast.names[message.user] ?? message.user;
    const isBot = message.user === this.cast.bot;
    const context = {
      cast: this.cast,
      act: (block, element, value, node) => this.act(message, element, value, node),
    };
    const content = message.blocks.length
      ? renderBlocks(message.blocks, context)
      : mrkdwn(message.text, this.cast);
    return el(
      `div.message${message.private ? ".private" : ""}`,
      { "data-ts": message.ts },
      el(
        "article",
        { "aria-label": `${name}, ${clockTime(ofTs(message.ts))}` },
        message.private ? this.privacy(message) : null,
        el("span.avatar", { "aria-hidden": "true", class: `avatar ${avatarClass(message, this.cast)}` }, initials(name)),
        el(
          "div.body",
          {},
          el(
            "p.byline",
            {},
            el("b", {}, name),
            isBot ? el("span.app", {}, "App") : null,
            el("time", { datetime: ofTs(message.ts).toISOString() }, clockTime(ofTs(message.ts))),
            message.edited ? el("span.muted", {}, "(edited)") : null,
          ),
          content,
          message.marker ? el("p.error.marker", {}, `⚠ ${message.marker}`) : null,
          message.replies && !this.thread ? this.repliesButton(message) : null,
        ),
      ),
    );
  }

  privacy(message) {
    const dismiss = el("button.plain", { type: "button" }, "Dismiss");
    dismiss.addEventListener("click", () =>
      this.do("dismiss", { channel: message.channel, ts: message.ts }),
    );
    return el("p.only-you", {}, icon(ICONS.eye), "Only visible to you", dismiss);
  }

  repliesButton(message) {
    const count = `${message.replies} ${message.replies === 1 ? "reply" : "replies"}`;
    const button = el("button.plain.replies", { type: "button" }, count);
    button.addEventListener("click", () => this.openThread(message.ts));
    return button;
  }

  openThread(ts) {
    const from = this.thread;
    this.clear();
    this.thread = ts;
    this.update([]);
    if (ts) {
      this.atEnd = false;
      this.log.scrollTop = 0;
      this.back.focus();
    } else if (from) {
      this.reveal(from);
      this.items.get(from)?.node.querySelector(".replies")?.focus();
    }
  }

  /** Bring a message of the channel into view and let it shine for a moment. */
  reveal(ts) {
    const node = this.items.get(ts)?.node;
    if (!node) return;
    this.atEnd = false;
    node.scrollIntoView({ block: "center" });
    node.classList.add("shine");
    setTimeout(() => node.classList.remove("shine"), 1500);
  }

  drawForm() {
    const { view } = this.person;
    if (!view) {
      this.closeForm();
      return;
    }
    this.form ??= new Form(this.root, {
      cast: this.cast,
      act: () => {},
      submit: (values) => post("submit", { as: this.person.id, view: this.person.view?.id ?? "", values }),
      cancel: () => this.do("close", { view: this.person.view?.id ?? "" }),
    });
    this.form.show(view);
  }

  closeForm() {
    this.form?.close();
    this.form = null;
  }

  async act(message, element, value, node) {
    if (element.confirm) {
      const text = textOf(element.confirm.text, { cast: this.cast });
      if (!(await confirmed(this.root, element.confirm, text))) return;
    }
    set(node, { disabled: true, "aria-busy": "true" });
    const { channel, ts } = message;
    await this.do("click", { channel, ts, action: element.action_id, value: value ?? null });
    set(node, { disabled: false, "aria-busy": false });
  }

  async command(typed) {
    const text = typed.trim().replace(/^\/mailcfg\b\s*/, "");
    this.remember(text);
    this.input.value = "";
    this.atEnd = true;
    await this.do("command", { channel: this.channel, text });
  }

  /** Put a command into the box, to be sent by the person. */
  prefill(text) {
    this.input.value = text;
    this.input.focus();
    this.box.classList.remove("shine");
    requestAnimationFrame(() => this.box.classList.add("shine"));
  }

  async do(doing, given) {
    try {
      return await post(doing, { as: this.person.id, ...given });
    } catch (error) {
      this.say(error.message);
      return null;
    }
  }

  say(sentence) {
    this.notice.textContent = sentence;
    clearTimeout(this.noticeTimer);
    this.noticeTimer = setTimeout(() => (this.notice.textContent = ""), NOTICE_MS);
  }

  get historyKey() {
    return `history ${this.person.id}`;
  }

  get history() {
    return JSON.parse(sessionStorage.getItem(this.historyKey) ?? "[]");
  }

  remember(text) {
    this.recalled = null;
    if (!text || this.history.at(-1) === text) return;
    sessionStorage.setItem(this.historyKey, JSON.stringify([...this.history, text].slice(-MOST_HISTORY)));
  }

  /** Arrow up and down go through what was sent before. */
  recall(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const { history } = this;
    if (!step || history.length === 0) return;
    event.preventDefault();
    const at = (this.recalled ?? history.length) + step;
    this.recalled = Math.max(0, Math.min(history.length, at));
    this.input.value = history[this.recalled] ?? "";
  }

  announce(arrived) {
    const said = arrived.filter((message) => message.user !== this.person.id).at(-1);
    if (!said) return;
    const name = this.cast.names[said.user] ?? said.user;
    this.spoken.replaceChildren(`${name}: `, ...mrkdwn(said.text, this.cast));
    if (!this.atEnd && said.thread === null && this.thread === null) set(this.latest, { hidden: false });
  }

  markRead() {
    const newest = this.person.newest(this.channel);
    if (document.hidden || newest <= (this.person.read[this.channel] ?? "0") || newest === this.readUpTo) return;
    this.readUpTo = newest;
    this.do("read", { channel: this.channel, ts: newest });
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    const isShort = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.atEnd = isShort || Math.abs(scrollTop - (this.log.lastElementChild?.offsetTop ?? 0)) < NEAR_END;
    if (this.atEnd) set(this.latest, { hidden: true });
  }

  /** To the newest message: to its end, or to its beginning where that is far above and no buttons wait below. */
  toEnd() {
    this.atEnd = true;
    this.log.scrollTop = this.log.scrollHeight;
    const last = this.log.lastElementChild;
    const isTall = last && last.offsetHeight > this.log.clientHeight;
    if (isTall && !last.querySelector(".actions")) this.log.scrollTop = last.offsetTop;
    set(this.latest, { hidden: true });
  }
}

function initials(name) {
  return name.split(" ").map((word) => word[0]).join("").slice(0, 2);
}

function avatarClass(message, cast) {
  if (message.user === cast.bot) return "bot";
  return cast.people.find((each) => each.id === message.user)?.name ?? "slackbot";
}
