"use strict";
// The search. Without it the page shows everything.
(() => {
  const controls = document.querySelector(".controls");
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  if (controls) {
    const [search, kind, action, count] = ["search", "kind", "action", "count"].map((id) => document.getElementById(id));
    const groups = all(".group").map((node) => ({
      node,
      objects: all(".object", node).map((o) => ({ node: o, kind: o.dataset.kind, action: o.dataset.action, text: null })),
    }));
    const total = groups.reduce((n, g) => n + g.objects.length, 0);
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const g of groups) {
        let inGroup = 0;
        for (const o of g.objects) {
          let fits = (!kind.value || o.kind === kind.value) && (!action.value || o.action === action.value);
          if (fits && words.length) {
            o.text ??= o.node.textContent.toLowerCase();
            fits = words.every((w) => o.text.includes(w));
          }
          if (o.node.hidden === fits) o.node.hidden = !fits;
          if (fits) inGroup++;
        }
        g.node.hidden = !inGroup;
        shown += inGroup;
      }
      count.textContent = shown === total ? `${total} shown` : `${shown} of ${total} shown`;
      document.getElementById("nothing").hidden = shown > 0;
    };
    const unfold = (open) => all(".object:not([hidden]) > details").forEach((d) => { d.open = open; });
    let timer;
    search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, total > 1000 ? 150 : 0); });
    kind.addEventListener("change", filter);
    action.addEventListener("change", filter);
    document.getElementById("expand").addEventListener("click", () => unfold(true));
    document.getElementById("collapse").addEventListener("click", () => unfold(false));
    document.addEventListener("keydown", (e) => {
      if (e.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) { e.preventDefault(); search.focus(); }
      if (e.key === "Escape" && document.activeElement === search) { search.value = ""; filter(); }
    });
    controls.hidden = false;
    filter();
  }
  const openTarget = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target && target.querySelector("details");
    if (details) { details.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", openTarget);
  openTarget();
  // What is folded is printed too; after that, it is folded again.
  let folded = [];
  addEventListener("beforeprint", () => { folded = all("details:not([open])"); folded.forEach((d) => { d.open = true; }); });
  addEventListener("afterprint", () => { folded.forEach((d) => { d.open = false; }); folded = []; });
})();
