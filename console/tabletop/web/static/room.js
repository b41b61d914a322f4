// What htmx does not do by itself: say that the connection is lost, notice one that died silently, and empty a form that was
// taken. There is no state here; the server holds everything.
(() => {
  "use strict";

  const SILENCE_MS = 25000; // two and a half of the server's beats
  let connection = null;
  let heard = Date.now();

  const live = () => document.getElementById("live");
  const mark = (state) => { document.body.dataset.connection = state; };
  const leave = () => { window.location.assign("/"); };

  document.addEventListener("htmx:sse:after:connection", (event) => {
    connection = event.detail.connection;
    heard = Date.now();
    mark("live");
  });
  document.addEventListener("htmx:sse:after:message", () => { heard = Date.now(); });
  document.addEventListener("htmx:sse:error", (event) => {
    mark("lost");
    if (event.detail.status === 401) leave();
  });
  document.addEventListener("htmx:sse:close", () => { connection = null; mark("lost"); });

  // The stream that could not even begin is no business of the extension's.
  document.addEventListener("htmx:error", (event) => {
    const source = event.detail.ctx && event.detail.ctx.sourceElement;
    if (!source || source.id !== "live") return;
    mark("lost");
    window.setTimeout(() => window.location.reload(), 3000);
  });
  document.addEventListener("htmx:response:error", (event) => {
    const response = event.detail.ctx && event.detail.ctx.response;
    if (response && response.status === 401) leave();
  });

  // A browser that goes offline may leave an open stream half alive: give it up, so that the next one begins where it ended.
  const giveUp = () => {
    mark("lost");
    if (connection && connection.reader) connection.reader.cancel();
  };
  window.addEventListener("offline", giveUp);
  window.addEventListener("online", () => { if (connection && connection.delayCanceller) connection.delayCanceller(); });
  window.setInterval(() => {
    if (connection && connection.reader && Date.now() - heard > SILENCE_MS) giveUp();
  }, 5000);

  document.addEventListener("htmx:after:request", (event) => {
    const ctx = event.detail.ctx;
    const form = ctx && ctx.sourceElement;
    if (form && form.matches && form.matches("form[data-empties]") && ctx.response && ctx.response.raw.ok) form.reset();
  });
  document.addEventListener("DOMContentLoaded", () => { if (live()) mark("opening"); });
})();
