// One call of Cliq's custom email API as a page in a browser makes it, with XMLHttpRequest: the
// status to the console's errors, the body to the console. CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, and
// BODY (may be empty) are the page's; outside a browser all of it comes from `xhr_shim.cjs`.
const xhr = new XMLHttpRequest();
xhr.withCredentials = true;
xhr.addEventListener("readystatechange", function () {
  if (this.readyState !== this.DONE) {
    return;
  }
  console.error(this.status);
  if (this.responseText) {
    console.log(this.responseText);
  }
});
xhr.open(METHOD, `${CLIQ_ORIGIN}/api/v2/mailconfigurations/global`);
xhr.setRequestHeader("Authorization", `Bearer ${CLIQ_TOKEN}`);
xhr.setRequestHeader("content-type", "application/json");
xhr.send(BODY || null);
