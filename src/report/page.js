"use strict";
const form = document.getElementById("filters");
const traces = [...document.querySelectorAll(".trace")];
for (const set of new Set(traces.map(trace => trace.dataset.set).sort())) form.elements.set.add(new Option(set));
function filter() {
  const wanted = [...new FormData(form)].filter(([, value]) => value);
  for (const trace of traces) trace.hidden = !wanted.every(([key, value]) => trace.dataset[key] === value);
  form.querySelector("output").textContent = traces.filter(trace => !trace.hidden).length + " shown";
}
form.hidden = false;
form.addEventListener("change", filter);
form.addEventListener("submit", event => event.preventDefault());
filter();
// On paper everything that is shown is open but the raw texts of traces, and closed again afterwards.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")]
    .filter(details => !details.closest("[hidden]") && !details.closest(".trace-body"));
  for (const details of opened) details.open = true;
});
addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
