// Keeps the page true without reloading it: asks the server again and again, and puts the new content in place of the
// old only if it says something else. What the reader opened, focused and scrolled to stays as it is.
"use strict";

(() => {
  const EVERY_MS = 10_000;
  const TIMEOUT_MS = 8_000;
  // one lost answer is no news
  const STALE_AFTER_FAILURES = 2;

  let shown = document.querySelector("main").innerHTML;
  let lastChecked = new Date();
  let failures = 0;
  let timer;

  const clock = (moment) => moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

  // Times in the reader's own zone, without the year if it is this one; the server wrote them in UTC.
  function tellTimes() {
    const thisYear = new Date().getFullYear();
    for (const time of document.querySelectorAll("main time[datetime*='T']")) {
      const moment = new Date(time.dateTime);
      time.title = time.textContent;
      time.textContent = moment.toLocaleString([], {
        year: moment.getFullYear() === thisYear ? undefined : "numeric",
        day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
      });
    }
  }

  function tellFreshness() {
    document.getElementById("checked").textContent = `Last checked at ${clock(lastChecked)}.`;
    const stale = document.getElementById("stale");
    stale.hidden = failures < STALE_AFTER_FAILURES;
    stale.querySelector("span").textContent = clock(lastChecked);
  }

  function replaceWith(fresh) {
    const main = document.querySelector("main");
    const open = new Map([...main.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    const focused = document.activeElement?.closest("main details[id]")?.id;
    const scrolled = window.scrollY;
    const headline = main.querySelector("#headline").textContent;

    main.innerHTML = fresh.querySelector("main").innerHTML;
    document.title = fresh.title;
    document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").getAttribute("href");

    for (const one of main.querySelectorAll("details[id]")) {
      if (open.has(one.id)) one.open = open.get(one.id);
    }
    tellTimes();
    if (focused) document.getElementById(focused)?.querySelector("summary").focus({ preventScroll: true });
    window.scrollTo(0, scrolled);

    const state = main.querySelector("#headline").textContent;
    if (state !== headline) document.getElementById("announcement").textContent = state;
  }

  async function refresh() {
    clearTimeout(timer);
    try {
      const answer = await fetch(location.pathname, { cache: "no-cache", signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const content = fresh.querySelector("main").innerHTML;
      if (content !== shown) {
        shown = content;
        replaceWith(fresh);
      }
      lastChecked = new Date();
      failures = 0;
    } catch {
      failures += 1;
    }
    tellFreshness();
    timer = setTimeout(refresh, EVERY_MS);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") refresh();
  });
  tellTimes();
  tellFreshness();
  timer = setTimeout(refresh, EVERY_MS);
})();
