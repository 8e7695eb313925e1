// The page: two panes, a checklist and a drawer, on one socket. Who is where stands in the address,
// as in #alice/mail-admin+bob/mail-alerts.

import { Checklist } from "./checklist.js";
import { Live, post } from "./live.js";
import { refreshDates } from "./mrkdwn.js";
import { Pane } from "./pane.js";
import { Person } from "./person.js";
import { clockTitle, setNow } from "./time.js";
import { World } from "./world.js";

const FIRST = [
  { person: "U0ALICE", channel: "C0MAILADMIN" },
  { person: "U0BOB", channel: "C0MAILADMIN" },
];
const CLOCK_MS = 1000;

const narrow = matchMedia("(max-width: 900px)");
const people = new Map();
const panes = ["left", "right"].map((id) => new Pane(document.getElementById(id), moved));
let places = FIRST.map((place) => ({ ...place }));
let cast = null;
let steps = null;
let isLinked = null;
let botRuns = true;

const sayIn = (sentence) => panes[0].say(sentence);
const checklist = new Checklist(document.querySelector(".checklist"), { show: bringUp, say: sayIn });
const world = new World(document.getElementById("world"), { say: sayIn });
const live = new Live(onNews, onLink);

function shownPanes() {
  return narrow.matches ? [0] : [0, 1];
}

function personOf(id) {
  if (!people.has(id)) people.set(id, new Person(id));
  return people.get(id);
}

function onNews(news) {
  setNow(news.now);
  if (news.cast) {
    cast = news.cast;
    readHash();
  }
  for (const [id, screen] of Object.entries(news.people)) {
    const arrived = personOf(id).take(screen);
    for (const at of shownPanes()) if (places[at].person === id) draw(at, arrived);
  }
  if (news.checklist) steps = news.checklist;
  // Not before the panes are there: what a button types into one that is then drawn would be lost.
  if (steps && shownPanes().every((at) => panes[at].person)) {
    checklist.update(steps);
    steps = null;
  }
  if (news.bot_runs !== undefined) botRuns = news.bot_runs;
  world.update(news);
  showClock();
  showState();
}

function draw(at, arrived) {
  const { person, channel } = places[at];
  const pane = panes[at];
  const isShown = pane.person?.id === person && pane.channel === here(person, channel);
  if (isShown && pane.cast.names === cast.names) pane.update(arrived);
  else pane.show(personOf(person), here(person, channel), cast);
}

/** A person's own channel where the direct messages of another were meant. */
function here(person, channel) {
  return channel.startsWith("D") ? `D${person.slice(1)}` : channel;
}

function moved(pane, { person, channel }) {
  const at = panes.indexOf(pane);
  go(at, person ?? places[at].person, channel ?? places[at].channel);
}

function go(at, person, channel) {
  places[at] = { person, channel: here(person, channel) };
  writeHash();
  watch();
  if (cast && personOf(person).isKnown) draw(at, []);
}

/** The pane that shows this person (null: whoever is there) in this channel. */
function bringUp(person, channel, side) {
  const among = shownPanes();
  const there = among.find((at) => places[at].person === person);
  const at = there ?? (side === "right" ? among.at(-1) : among[0]);
  go(at, person ?? places[at].person, channel);
  return panes[at];
}

function watch() {
  for (const [at, pane] of panes.entries()) pane.root.hidden = !shownPanes().includes(at);
  const shown = shownPanes().map((at) => places[at].person);
  checklist.shows(shown);
  live.watch(shown, world.isOpen);
}

function writeHash() {
  const words = places.map(({ person, channel }) => `${nameOf(person)}/${channelName(channel)}`);
  history.replaceState(null, "", `#${words.join("+")}`);
}

function nameOf(id) {
  return cast.people.find((person) => person.id === id).name;
}

function channelName(id) {
  return cast.channels[id] ?? "dm";
}

/** Names that nobody has are passed over. */
function readHash() {
  const words = decodeURIComponent(location.hash.slice(1)).split("+");
  words.slice(0, places.length).forEach((word, at) => {
    const [name, channel = ""] = word.split("/");
    const person = cast.people.find((each) => each.name === name)?.id ?? places[at].person;
    const place = Object.entries(cast.channels).find(([, title]) => title === channel)?.[0];
    places[at] = { person, channel: here(person, place ?? (channel === "dm" ? "D" : places[at].channel)) };
  });
  watch();
}

function onLink(linked) {
  if (linked === isLinked) return;
  isLinked = linked;
  if (!linked) world.forget();
  for (const person of people.values()) if (!linked) person.isKnown = false;
  showState();
}

function showState() {
  const state = document.getElementById("bot-state");
  const words = isLinked === false ? "Not connected, trying again…" : botRuns ? "" : "The bot is dead";
  if (state.textContent !== words) state.textContent = words;
}

function showClock() {
  const clock = document.getElementById("clock");
  const words = clockTitle();
  if (clock.textContent === words) return;
  clock.textContent = words;
  refreshDates(document);
}

for (const button of document.querySelectorAll("[data-advance]")) {
  button.addEventListener("click", () =>
    post("advance", { seconds: Number(button.dataset.advance) }).catch((error) => sayIn(error.message)),
  );
}
document.getElementById("world").addEventListener("toggle", watch);
document.addEventListener("visibilitychange", () => {
  for (const at of shownPanes()) if (panes[at].person) panes[at].markRead();
});
document.addEventListener("click", (event) => followPermalink(event));
narrow.addEventListener("change", () => {
  watch();
  if (cast) for (const at of shownPanes()) if (personOf(places[at].person).isKnown) draw(at, []);
});
addEventListener("hashchange", () => {
  if (!cast) return;
  readHash();
  for (const at of shownPanes()) if (personOf(places[at].person).isKnown) draw(at, []);
});
setInterval(() => cast && showClock(), CLOCK_MS);

/** A link to a message of this workspace leads to it in the same pane. */
function followPermalink(event) {
  const found = event.target.closest?.("a[href]")?.href.match(/\/archives\/(\w+)\/p(\d+)(\d{6})(?:\?|$)/);
  const root = event.target.closest?.(".pane");
  if (!found || !root) return;
  event.preventDefault();
  const pane = panes.find((each) => each.root === root);
  go(panes.indexOf(pane), pane.person.id, found[1]);
  pane.reveal(`${found[2]}.${found[3]}`);
}

watch();
