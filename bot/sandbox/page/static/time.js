// The emulated time, and dates as Slack writes them. Everybody in this workspace lives in UTC.

let ahead = 0;

/** Take over the server's time, in milliseconds since the epoch. */
export function setNow(milliseconds) {
  ahead = milliseconds - Date.now();
}

export function now() {
  return new Date(Date.now() + ahead);
}

export function ofTs(ts) {
  return new Date(Number(ts) * 1000);
}

const format = (options) => {
  const formatter = new Intl.DateTimeFormat("en-US", { timeZone: "UTC", ...options });
  return (date) => formatter.format(date).replaceAll("\u202f", " ");
};

const weekday = format({ weekday: "long" });
const month = format({ month: "long" });
const dayAndMonth = format({ weekday: "short", month: "short", day: "numeric" });
const dateShort = format({ month: "short", day: "numeric", year: "numeric" });
const dateSlash = format({ month: "2-digit", day: "2-digit", year: "numeric" });
const time = format({ hour: "numeric", minute: "2-digit" });
const timeWithSeconds = format({ hour: "numeric", minute: "2-digit", second: "2-digit" });

const dayNumber = (date) => Math.floor(date.getTime() / 86_400_000);

function nearDay(date) {
  return { [-1]: "yesterday", 0: "today", 1: "tomorrow" }[dayNumber(date) - dayNumber(now())];
}

function ordinal(day) {
  if (day >= 11 && day <= 13) return "th";
  return ["th", "st", "nd", "rd"][day % 10] ?? "th";
}

function dateLongEnough(date) {
  const day = date.getUTCDate();
  return `${month(date)} ${day}${ordinal(day)}, ${date.getUTCFullYear()}`;
}

function ago(date) {
  const seconds = Math.round((now() - date) / 1000);
  const size = Math.abs(seconds);
  const units = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, length] = units.find(([, span]) => size >= span) ?? units.at(-1);
  const count = Math.floor(size / length);
  const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return seconds >= 0 ? `${words} ago` : `in ${words}`;
}

const PARTS = {
  date_num: (date) => date.toISOString().slice(0, 10),
  date_slash: dateSlash,
  date: dateLongEnough,
  date_short: dateShort,
  date_long: (date) => `${weekday(date)}, ${dateLongEnough(date)}`,
  day_divider_pretty: (date) => `${weekday(date)}, ${dateLongEnough(date)}`,
  time,
  time_secs: timeWithSeconds,
  ago,
};

function part(name, date) {
  if (name.endsWith("_pretty")) {
    const near = nearDay(date);
    if (near) return near;
    name = name.replace("_pretty", "");
  }
  return PARTS[name]?.(date) ?? `{${name}}`;
}

/** Slack's date pattern, such as `{date_short_pretty} at {time}`, filled in. */
export function written(pattern, date) {
  return pattern.replace(/\{(\w+)\}/g, (_, name) => part(name, date));
}

export const clockTime = time;
export const dayKey = dayNumber;

export function dayTitle(date) {
  const near = nearDay(date);
  return near ? near[0].toUpperCase() + near.slice(1) : `${weekday(date)}, ${dateLongEnough(date)}`;
}

export function clockTitle() {
  return `${dayAndMonth(now())}, ${time(now())} UTC`;
}
