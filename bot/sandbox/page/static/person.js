// What one person can see, put together from what the socket brings.

const keyOf = (channel, ts) => `${channel} ${ts}`;
const byTs = (one, other) => (one.ts < other.ts ? -1 : one.ts > other.ts ? 1 : 0);

export class Person {
  constructor(id) {
    this.id = id;
    this.messages = new Map();
    this.channels = [];
    this.read = {};
    this.view = null;
    this.isKnown = false;
  }

  /** Take over what changed; the messages that are new to us come back. */
  take(news) {
    if (news.whole) this.messages.clear();
    const wasKnown = this.isKnown && !news.whole;
    const arrived = news.messages.filter(
      (message) => wasKnown && !this.messages.has(keyOf(message.channel, message.ts)),
    );
    for (const message of news.messages) this.messages.set(keyOf(message.channel, message.ts), message);
    for (const [channel, ts] of news.gone) this.messages.delete(keyOf(channel, ts));
    this.channels = news.channels;
    this.read = news.read;
    this.view = news.view;
    this.isKnown = true;
    return arrived;
  }

  message(channel, ts) {
    return this.messages.get(keyOf(channel, ts));
  }

  /** What stands in a channel, or with `thread` in one thread of it, oldest first. */
  shown(channel, thread = null) {
    const isShown = thread
      ? (message) => message.ts === thread || message.thread === thread
      : (message) => message.thread === null;
    return [...this.messages.values()]
      .filter((message) => message.channel === channel && isShown(message))
      .sort(byTs);
  }

  /** How many messages of a channel are unread, and whether one of them calls this person. */
  unread(channel) {
    const news = [...this.messages.values()].filter(
      (message) =>
        message.channel === channel.id &&
        message.thread === null &&
        message.user !== this.id &&
        message.ts > this.read[channel.id],
    );
    const calls = (message) => JSON.stringify([message.text, message.blocks]).includes(`<@${this.id}>`);
    return { count: news.length, calls: news.length > 0 && (channel.is_dm || news.some(calls)) };
  }

  newest(channel) {
    const all = [...this.messages.values()].filter((message) => message.channel === channel);
    return all.reduce((newest, message) => (message.ts > newest ? message.ts : newest), "0");
  }
}
