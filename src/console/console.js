// Keeps the page true without reloading it: when the server says that something changed, what is live on the page is
// fetched again. A form that somebody fills in stays as it is. Without this script, a reload does the same.
"use strict";

(() => {
  const live = document.getElementById("live");
  const freshness = document.getElementById("freshness");
  // How often the page is fetched though nothing was said: a connection may be dead without anybody noticing.
  const ANYWAY_MS = 30000;
  const PATIENCE_MS = 10000;

  // Times in the reader's own zone; the server wrote them in UTC. Those of a day are left so: the day is one of UTC.
  function tellTimes(root) {
    const thisYear = new Date().getFullYear();
    for (const time of root.querySelectorAll("time[datetime*='T']")) {
      const moment = new Date(time.dateTime);
      if (time.className === "clock") {
        time.title = moment.toLocaleString();
        continue;
      }
      time.title = time.textContent;
      time.textContent = moment.toLocaleString([], {
        year: moment.getFullYear() === thisYear ? undefined : "numeric",
        day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
      });
    }
  }

  tellTimes(document);
  if (!live) return;
  let shown = live.innerHTML;
  let fetching = false;
  let again = false;
  let events = null;

  function say(text, isStale) {
    // said once, for who hears it
    if (freshness.textContent !== text) freshness.textContent = text;
    freshness.className = isStale ? "stale" : "";
  }

  function replaceWith(fresh) {
    const said = live.querySelector("#summary").textContent;
    const focused = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const scrolled = window.scrollY;
    live.innerHTML = fresh.querySelector("#live").innerHTML;
    document.title = fresh.title;
    tellTimes(live);
    if (focused) live.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    window.scrollTo(0, scrolled);
    const now = live.querySelector("#summary").textContent;
    if (now !== said) document.getElementById("announcement").textContent = now;
  }

  async function refresh() {
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    try {
      // not a relative address: the page's own may have a password in it, with which none can be fetched
      const address = location.origin + location.pathname + location.search;
      const answer = await fetch(address, { signal: AbortSignal.timeout(PATIENCE_MS) });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const content = answer.ok && fresh.getElementById("live")?.innerHTML;
      if (content && content !== shown) {
        // the times of the page were told anew, so it is compared as it came
        replaceWith(fresh);
        shown = content;
      }
      if (answer.ok) say(events ? "Live" : "Every 30 s", false);
      else say("Not live: reload.", true);
    } catch {
      say("Not live: no answer.", true);
    }
    fetching = false;
    if (again) {
      again = false;
      refresh();
    }
  }

  // Only while somebody looks: a browser has six connections to a server, and a seventh page would wait for ever.
  function listen() {
    events?.close();
    events = null;
    if (document.hidden) return;
    const source = new EventSource(`${location.origin}/console/events`);
    source.addEventListener("changed", refresh);
    source.onerror = () => {
      // it connects again by itself, unless it was refused
      if (source.readyState === EventSource.CLOSED) events = null;
      say("Not live: connecting…", true);
    };
    events = source;
  }

  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", () => events?.close());
  addEventListener("pageshow", (event) => event.persisted && listen());
  setInterval(() => {
    if (!events) listen();
    refresh();
  }, ANYWAY_MS);
  listen();
})();
