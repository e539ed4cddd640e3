// Keeps the page true without reloading it: when the server says that something changed, what is live on the page is
// fetched again. A form that somebody fills in stays as it is. Without this script, a reload does the same.
"use strict";

(() => {
  const live = document.getElementById("live");
  const freshness = document.getElementById("freshness");

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
      const answer = await fetch(location.origin + location.pathname + location.search);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const content = answer.ok && fresh.getElementById("live")?.innerHTML;
      if (content && content !== shown) {
        // the times of the page were told anew, so it is compared as it came
        replaceWith(fresh);
        shown = content;
      }
      freshness.textContent = answer.ok ? "Live" : "Not live: reload.";
    } catch {
      freshness.textContent = "Not live: the server does not answer.";
    }
    fetching = false;
    if (again) {
      again = false;
      refresh();
    }
  }

  const events = new EventSource(`${location.origin}/console/events`);
  events.addEventListener("changed", refresh);
  events.onerror = () => {
    freshness.textContent = events.readyState === EventSource.CLOSED ? "Not live: reload." : "Connecting…";
  };
})();
