// The drawer "Break things": what is around the bot, to look at and to break.

import { el, set } from "./dom.js";
import { post } from "./live.js";

const FAULTS = [
  ["timeout_after_effect", "is carried out, but never answered"],
  ["timeout_before_effect", "is never answered, nothing happens"],
  ["reset_after_effect", "is carried out, then the line is cut"],
  ["server_error", "fails with status 500"],
  ["html", "is answered with a page of HTML"],
  ["truncated", "is answered, but the answer is cut off"],
  ["redirect", "is redirected elsewhere"],
  ["dead_token", "comes with a token that has expired"],
  ["lock", "is refused: locked for ten minutes"],
];
const METHODS = [["PUT", "write"], ["GET", "read"], ["DELETE", "removal"]];
const PROFILES = { documented: "Zoho documents it", observed: "clients have observed it" };
const KEPT = "sticky_email";
const DNS_FAULTS = {
  silent: "says nothing",
  servfail: "fails",
  refused: "refuses",
  old: "falls behind",
  dnssec: "rejects DNSSEC",
};
const FIXED_TYPES = new Set(["SOA", "NS", "A"]);
const ZONE = "acme.example";
const WIRE_KEPT = 200;

export class World {
  constructor(drawer, { say }) {
    this.drawer = drawer;
    this.say = say;
    this.wire = new Map();
    this.notice = el("p.notice", { role: "status" });
    drawer.querySelector(".world-body").append(
      this.notice,
      el("div.world-columns", {}, this.timeSection(), this.cliqSection(), this.zoneSection(), this.wireSection()),
    );
  }

  get isOpen() {
    return this.drawer.open;
  }

  update(news) {
    if (news.bot_runs !== undefined) this.showBot(news.bot_runs);
    if (news.cliq) this.showBehaviour(news.cliq);
    if (news.api) this.api.textContent = JSON.stringify(news.api, null, 2);
    if (news.cast) this.showMistakes(news.cast.mistakes);
    if (news.zone) this.showZone(news.zone);
    if (news.servers) this.showServers(news.servers);
    if (news.faults || news.locked_until !== undefined) this.showFaults(news);
    if (news.wire?.length) this.showWire(news.wire);
  }

  async do(doing, given = {}) {
    this.notice.textContent = "";
    try {
      await post(doing, given);
      return true;
    } catch (error) {
      this.notice.textContent = error.message;
      return false;
    }
  }

  button(label, doing, given = {}, style = "") {
    const node = el(`button.small${style}`, { type: "button" }, label);
    node.addEventListener("click", async () => {
      set(node, { disabled: true });
      await this.do(doing, given);
      set(node, { disabled: false });
    });
    return node;
  }

  timeSection() {
    this.botLine = el("p");
    this.kill = this.button("Kill the bot", "kill_bot", {}, ".danger");
    this.start = this.button("Start it", "start_bot", {}, ".primary");
    return section(
      "Time",
      el("p.muted", {}, "The bot checks every 15 minutes. Moving the clock moves it for everyone."),
      row(
        this.button("+15 min", "advance", { seconds: 900 }),
        this.button("+1 h", "advance", { seconds: 3600 }),
        this.button("+1 day", "advance", { seconds: 86400 }),
        this.button("Check now", "check_now", {}, ".primary"),
      ),
      el("h3", {}, "The bot"),
      this.botLine,
      row(this.kill, this.start),
    );
  }

  showBot(runs) {
    this.botLine.textContent = runs
      ? "It runs. Killed, it stops in the middle of whatever it does."
      : "It is dead. What people do now fails, as in Slack. Its database is still there.";
    set(this.kill, { hidden: !runs });
    set(this.start, { hidden: runs });
  }

  cliqSection() {
    this.api = el("pre.json", { tabindex: "0", "aria-label": "Answer of the API" });
    this.faults = el("ul.faults");
    this.lift = this.button("Lift the lock, forget the faults", "lift_lock");
    return section(
      "Cliq",
      el("p.muted", {}, "The live configuration, as its API answers it."),
      this.api,
      el("h3", {}, "Someone edits Cliq"),
      this.editForm(),
      el("h3", {}, "The next call fails"),
      this.faultForm(),
      this.faults,
      this.lift,
      el("h3", {}, "How Cliq behaves"),
      ...this.behaviour(),
    );
  }

  editForm() {
    const name = el("input", { type: "text", value: "Accounts Payable", "aria-label": "New display name", autocomplete: "off" });
    const form = el("form.row", {}, name, el("button.small", { type: "submit" }, "Change display name"));
    onSubmit(form, () => this.do("edit_cliq", { name: name.value }));
    return form;
  }

  faultForm() {
    const method = choice("Which call", METHODS);
    const kind = choice("What happens to it", FAULTS);
    const form = el("form.row", {}, "The next", method, kind, el("button.small", { type: "submit" }, "Plan it"));
    onSubmit(form, () => this.do("fail_next", { kind: kind.value, method: method.value }));
    return form;
  }

  behaviour() {
    this.profile = el("select", { "aria-label": "Profile" });
    this.profile.addEventListener("change", () => this.do("profile", { profile: this.profile.value }));
    this.boxes = new Map();
    this.kept = el("div");
    this.switches = el("ul.switches");
    return [
      el("label.row", {}, "As", this.profile),
      this.kept,
      el("details", {}, el("summary", {}, "Every other switch"), this.switches),
    ];
  }

  showBehaviour({ profile, profiles, switches }) {
    if (this.boxes.size === 0) {
      this.profile.append(...profiles.map((value) => el("option", { value }, PROFILES[value] ?? value)));
      for (const { name, meaning } of switches) this.addSwitch(name, meaning);
    }
    this.profile.value = profile;
    for (const { name, on } of switches) this.boxes.get(name).checked = on;
  }

  addSwitch(name, meaning) {
    const box = el("input", { type: "checkbox" });
    box.addEventListener("change", () => this.do("switch", { name, on: box.checked }));
    this.boxes.set(name, box);
    const words = name === KEPT ? "Cliq keeps the old address when another one is set" : meaning.replaceAll("`", "");
    const label = el("label.switch", {}, box, el("span", {}, words));
    if (name === KEPT) this.kept.append(label);
    else this.switches.append(el("li", {}, label));
  }

  showFaults({ faults, locked_until: lockedUntil }) {
    if (faults) this.planned = faults;
    if (lockedUntil !== undefined) this.lockedUntil = lockedUntil;
    const lines = (this.planned ?? []).map((fault) =>
      el("li", {}, `Planned: the next ${fault.method ?? "call"} meets ${fault.kind.replaceAll("_", " ")}`),
    );
    if (this.lockedUntil) lines.push(el("li", {}, `Locked until ${this.lockedUntil.slice(11, 16)} UTC`));
    this.faults.replaceChildren(...lines);
    set(this.lift, { hidden: lines.length === 0 });
  }

  zoneSection() {
    this.rows = new Map();
    this.tbody = el("tbody");
    const name = el("input", { type: "text", "aria-label": "Name of the new record", placeholder: "name.acme.example", autocomplete: "off" });
    const type = choice("Type of the new record", [["TXT", "TXT"], ["CNAME", "CNAME"]]);
    const value = el("input", { type: "text", "aria-label": "Value of the new record", placeholder: "value", autocomplete: "off" });
    const form = el("form.row", {}, name, type, value, el("button.small", { type: "submit" }, "Add"));
    onSubmit(form, () => this.do("put_record", { name: name.value, type: type.value, value: value.value }));
    return section(
      "DNS",
      el("p.muted", {}, "The zone acme.example, with two real name servers and a resolver that caches. Names are within it."),
      row(
        this.button("Publish the DKIM record", "publish", {}, ".primary"),
        this.button("Remove it", "remove_dkim"),
      ),
      this.mistakeForm(),
      this.serversLine(),
      el(
        "div.scroll",
        { tabindex: "0", role: "region", "aria-label": "Records of the zone" },
        el(
          "table",
          {},
          el("thead", {}, el("tr", {}, ["Name", "Type", "Value", ""].map((title) => el("th", { scope: "col" }, title || el("span.visually-hidden", {}, "Actions"))))),
          this.tbody,
        ),
      ),
      form,
    );
  }

  mistakeForm() {
    this.mistake = el("select", { "aria-label": "What somebody does wrong" });
    const form = el("form.row", {}, "Somebody", this.mistake, el("button.small", { type: "submit" }, "Do it wrong"));
    onSubmit(form, () => this.do("mistake", { kind: this.mistake.value }));
    return form;
  }

  showMistakes(mistakes) {
    if (this.mistake.childElementCount) return;
    this.mistake.append(...Object.entries(mistakes).map(([value, text]) => el("option", { value }, text)));
  }

  serversLine() {
    this.servers = new Map();
    this.serverRow = el("div.row.servers");
    this.serverRow.append(this.button("Empty the cache", "forget_cache"));
    return this.serverRow;
  }

  showServers(servers) {
    for (const { name, faults, fault } of servers) {
      if (!this.servers.has(name)) this.servers.set(name, this.serverChoice(name, faults));
      this.servers.get(name).value = fault ?? "";
    }
  }

  serverChoice(name, faults) {
    const options = [["", "works"], ...faults.map((fault) => [fault, DNS_FAULTS[fault]])];
    const select = choice(`State of ${name}`, options);
    select.addEventListener("change", () => this.do("break_dns", { server: name, fault: select.value }));
    this.serverRow.lastChild.before(el("label.server", {}, name, select));
    return select;
  }

  /** Rows keep their place and what is being typed; only those whose record changed are drawn anew. */
  showZone(records) {
    const editable = records.filter((record) => !FIXED_TYPES.has(record.type));
    const fixed = records.filter((record) => FIXED_TYPES.has(record.type));
    const drawn = new Map();
    for (const record of [...editable, ...fixed]) {
      const key = JSON.stringify(record);
      drawn.set(key, this.rows.get(key) ?? this.zoneRow(record));
    }
    this.rows = drawn;
    this.tbody.replaceChildren(...drawn.values());
  }

  zoneRow({ name, type, values }) {
    const shown = values.map((value) => (Array.isArray(value) ? value.join("") : value));
    const cells = [el("td.name", { title: name }, short(name)), el("td", {}, type)];
    if (FIXED_TYPES.has(type) || shown.length > 1) {
      return el("tr", {}, ...cells, el("td.value", {}, shown.join("\n")), el("td"));
    }
    const value = el("input", { type: "text", value: shown[0], "aria-label": `Value of ${type} ${name}`, autocomplete: "off" });
    const save = el("button.small", { type: "button", disabled: true }, "Save");
    value.addEventListener("input", () => set(save, { disabled: value.value === shown[0] }));
    value.addEventListener("keydown", (event) => {
      if (event.key === "Enter") save.click();
    });
    save.addEventListener("click", () => this.do("put_record", { name, type, value: value.value }));
    const remove = this.button("Remove", "remove_record", { name, type });
    remove.setAttribute("aria-label", `Remove ${type} ${name}`);
    return el("tr", {}, ...cells, el("td.value", {}, value), el("td", {}, row(save, remove)));
  }

  wireSection() {
    this.lines = el("ol.wire", { tabindex: "0", "aria-label": "Requests on the wire, newest first" });
    return section(
      "The wire",
      el("p.muted", {}, `The last ${WIRE_KEPT} requests between the bot, Slack, Cliq and DNS; newest first, without secrets.`),
      this.lines,
    );
  }

  showWire(exchanges) {
    for (const exchange of exchanges) {
      const node = wireLine(exchange);
      const known = this.wire.get(exchange.number);
      if (known) known.replaceWith(node);
      else this.lines.prepend(node);
      this.wire.set(exchange.number, node);
    }
    for (const number of this.wire.keys()) {
      if (this.wire.size <= WIRE_KEPT) break;
      this.wire.get(number).remove();
      this.wire.delete(number);
    }
  }

  /** The socket was lost: what it brings next is everything again. */
  forget() {
    this.wire.clear();
    this.lines.replaceChildren();
  }
}

function wireLine({ at, caller, callee, what, detail, outcome }) {
  const isBad = outcome !== null && !/^(ok|2\d\d|NOERROR|acknowledged.*)$/.test(outcome);
  return el(
    "li",
    {},
    el("time", {}, new Date(at).toISOString().slice(11, 19)),
    el("span.ends", {}, `${caller} → ${callee}`),
    el("span.what", {}, what),
    el(`span.outcome${isBad ? ".bad" : ""}`, {}, outcome ?? "…"),
    detail ? el("span.detail", {}, detail) : null,
  );
}

/** A name without the zone that every one of them ends in. */
function short(name) {
  return name.endsWith(`.${ZONE}`) ? name.slice(0, -ZONE.length - 1) : name;
}

function section(title, ...children) {
  return el("section", { "aria-label": title }, el("h2", {}, title), ...children);
}

function row(...children) {
  return el("div.row", {}, ...children);
}

function choice(label, options) {
  return el("select", { "aria-label": label }, options.map(([value, text]) => el("option", { value }, text)));
}

function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}
