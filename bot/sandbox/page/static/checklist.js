// The five things to try. The server ticks them; here they are shown, and helped along.

import { post } from "./live.js";

const ALICE = "U0ALICE";
const BOB = "U0BOB";
const CAROL = "U0CAROL";
const ADMIN_CHANNEL = "C0MAILADMIN";
const ALERT_CHANNEL = "C0MAILALERTS";
const SUGGESTION = 'set email=it@mail.acme.example dkim=2048 reason="One sender for IT"';

export class Checklist {
  /** `show(person, channel)` gives the pane that shows them, made to if need be; `say` a sentence. */
  constructor(root, { show, say }) {
    this.root = root;
    this.show = show;
    this.say = say;
    for (const button of root.querySelectorAll("[data-help]")) {
      button.addEventListener("click", () => this.help(button));
    }
  }

  /** `done` says of each step whether it is. */
  update(done) {
    const steps = [...this.root.querySelectorAll("[data-step]")];
    const next = steps.find((step) => !done[step.dataset.step])?.dataset.step ?? "done";
    for (const step of steps) {
      const isDone = done[step.dataset.step];
      step.classList.toggle("done", isDone);
      step.classList.toggle("current", step.dataset.step === next);
      step.querySelector(".state").textContent = isDone ? ": done" : "";
    }
    for (const hint of this.root.querySelectorAll("[data-hint]")) {
      if (hint.hidden !== (hint.dataset.hint !== next)) hint.hidden = !hint.hidden;
    }
  }

  async help(button) {
    const helps = {
      type: () => this.show(ALICE, ADMIN_CHANNEL, "left").prefill(SUGGESTION),
      "next-approver": () => this.show(this.next, ADMIN_CHANNEL, "right").toEnd(),
      publish: () => this.inWorld("publish"),
      break: () => this.inWorld("remove_dkim", 2),
      repair: () => this.inWorld("publish", 5),
    };
    await helps[button.dataset.help]();
  }

  /** The panes show these people: offer the approver who is not among them. */
  shows(people) {
    this.next = people.includes(BOB) ? CAROL : BOB;
    const words = this.next === BOB ? "Show me Bob" : "Show me Carol";
    const button = this.root.querySelector('[data-help="next-approver"]');
    if (button.textContent !== words) button.textContent = words;
  }

  /** Do it, let so many checks come, and look where their result will be. */
  async inWorld(doing, times = 1) {
    try {
      this.show(null, ALERT_CHANNEL, "right").toEnd();
      await post(doing);
      await post("check_now", { times });
    } catch (error) {
      this.say(error.message);
    }
  }
}
