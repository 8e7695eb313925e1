// As much of a browser's XMLHttpRequest as `cliq_xhr.js` needs, over Node's `fetch`, and the page's
// variables from the environment. Loaded first: `node --require ./xhr_shim.cjs cliq_xhr.js`.
const { CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, BODY } = process.env;

class XMLHttpRequest extends EventTarget {
  DONE = 4;
  readyState = 0;
  status = 0;
  responseText = "";
  #headers = new Headers();

  open(method, url) {
    this.#become(1);
    this.call = { method, url };
  }

  setRequestHeader(name, value) {
    this.#headers.append(name, value);
  }

  async send(body) {
    const { method, url } = this.call;
    const answer = await fetch(url, { method, headers: this.#headers, body });
    this.status = answer.status;
    this.#become(2);
    this.responseText = await answer.text();
    this.#become(this.DONE);
  }

  #become(readyState) {
    this.readyState = readyState;
    this.dispatchEvent(new Event("readystatechange"));
  }
}

Object.assign(globalThis, { CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, BODY, XMLHttpRequest });
