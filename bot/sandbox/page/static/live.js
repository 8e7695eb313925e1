// The page's two wires to its server: a socket that brings what changed, and posts that do something.

const RETRY_MS = 1000;
const UNREACHABLE = "The sandbox does not answer. Is it still running?";

/** Calls `onNews` with each message and `onLink` with whether there is a connection. */
export class Live {
  constructor(onNews, onLink) {
    this.onNews = onNews;
    this.onLink = onLink;
    this.wish = null;
    this.open();
  }

  open() {
    const address = new URL("/live", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address);
    this.socket.addEventListener("open", () => this.tell());
    this.socket.addEventListener("message", (event) => {
      this.onLink(true);
      this.onNews(JSON.parse(event.data));
    });
    this.socket.addEventListener("close", () => {
      this.onLink(false);
      setTimeout(() => this.open(), RETRY_MS);
    });
  }

  /** Say whom the page shows, and whether the drawer is open. */
  watch(people, world) {
    this.wish = { watch: [...new Set(people)], world };
    this.tell();
  }

  tell() {
    if (this.wish && this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify(this.wish));
    }
  }
}

/** Do something; the answer, or an Error whose message is a sentence for the person. */
export async function post(doing, given = {}) {
  let response;
  try {
    response = await fetch(`/do/${doing}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(given),
    });
  } catch {
    throw new Error(UNREACHABLE);
  }
  const answer = await response.json().catch(() => ({ error: UNREACHABLE }));
  if (!response.ok) throw new Error(answer.error ?? UNREACHABLE);
  return answer;
}
