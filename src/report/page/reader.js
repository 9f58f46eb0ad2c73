"use strict";
{
  const PAGE = 30;
  const FACTS = {
    n: ["needed", "★", "true, and the answer needs it"],
    t: ["true", "✓", "true"],
    f: ["false", "✗", "false"],
    u: ["unreadable", "?", "not a statement"],
  };
  const GROUNDS = [
    "",
    "The answer does not follow from what was recited.",
    "The answer follows from what was recited, but not from what is true of it.",
    "The answer follows from the true facts that were recited.",
  ];
  const form = document.getElementById("filters");
  const list = document.getElementById("traces");
  const more = document.getElementById("more");
  const packed = document.querySelectorAll("script.block");
  const blocks = [];

  async function unpack(script) {
    const bytes = Uint8Array.from(atob(script.textContent), letter => letter.charCodeAt(0));
    const json = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(json).json();
  }

  /// An element with classes and children; text is never read as HTML.
  function element(tag, classes, ...children) {
    const made = document.createElement(tag);
    made.className = classes;
    made.append(...children);
    return made;
  }

  function start(index) {
    const rows = index.arm.length;
    const rowsInOrder = [...new Set([...index.first, ...Array(rows).keys()])];
    // For each question the newest first answer of every arm.
    const answers = index.questions.map(() => []);
    for (let row = 0; row < rows; row++) {
      const of = answers[index.question[row]];
      const before = of[index.arm[row]];
      if (index.sample[row] === 0 && (before === undefined || index.step[row] >= index.step[before])) {
        of[index.arm[row]] = row;
      }
    }
    const armOf = new Map(index.arms.map((arm, number) => [arm.name, number]));
    const lastStep = index.arms.map((_, arm) => index.step.reduce((last, step, row) => index.arm[row] === arm ? Math.max(last, step) : last, 0));
    let matching = [];
    let shown = 0;

    function words(row) {
      const arm = index.arms[index.arm[row]];
      const step = index.step[row] === lastStep[index.arm[row]] ? "" : ` · step ${index.step[row]}`;
      const sample = index.sample[row] === 0 ? "" : ` · answer ${index.sample[row] + 1}`;
      return arm.label + step + sample;
    }

    function verdict(row) {
      const right = index.right[row] === 1;
      return element("span", right ? "verdict right" : "verdict wrong", right ? "✓ right" : "✗ wrong");
    }

    /// What one arm was given and said.
    async function fill(to, row) {
      const number = Math.floor(row / index.block);
      blocks[number] ??= unpack(packed[number]);
      const said = (await blocks[number])[row % index.block];
      const question = index.questions[index.question[row]];
      if (said.facts.length) {
        const facts = said.facts.map(([letter, text]) => {
          const [kind, sign, meaning] = FACTS[letter];
          const fact = element("li", `fact ${kind}`, element("span", "sign", sign), element("span", "said", text),
            element("span", "hidden-text", `(${meaning})`));
          fact.firstChild.ariaHidden = "true";
          fact.title = meaning;
          return fact;
        });
        to.append(element("h4", "", "It recites"), element("ol", "facts", ...facts));
        if (said.facts_left_out) to.append(element("p", "soft", `and ${said.facts_left_out} more`));
      }
      const answer = element("p", "");
      if (said.answer === null) answer.append("It gives no answer");
      else answer.append("It answers ", element("b", "said", said.answer));
      if (index.right[row]) answer.append(", which is right.");
      else answer.append("; right is ", element("b", "said", question.expected), ".");
      to.append(answer);
      if (said.facts.length && GROUNDS[index.grounds[row]]) to.append(element("p", "soft", GROUNDS[index.grounds[row]]));
      to.append(element("details", "", element("summary", "", "Everything it was given, and everything it wrote"),
        element("pre", "", said.prompt, "\n", element("b", "", said.completion))));
    }

    function panel(row) {
      const to = element("div", `panel ${index.arms[index.arm[row]].class}`);
      fill(to, row);
      return to;
    }

    function beside(row) {
      const arm = armOf.get(form.elements.beside.value);
      return arm === undefined ? undefined : answers[index.question[row]][arm];
    }

    function show(row) {
      const [question, other] = [index.questions[index.question[row]], beside(row)];
      const signs = [...index.facts[row]].map(letter => FACTS[letter][1]).join("");
      const strip = element("span", "strip", signs);
      strip.ariaHidden = "true";
      const tags = element("span", "tags", `${words(row)} · set ${question.set}`, strip);
      const summary = element("summary", "", verdict(row), element("span", "said", question.asked), tags);
      const body = element("div", "trace-body", panel(row));
      if (other !== undefined) {
        summary.firstChild.after(verdict(other));
        summary.classList.add("two");
        tags.replaceChildren(`${words(row)} | ${words(other)} · set ${question.set}`);
        body.classList.add("two");
        body.firstChild.prepend(element("h4", "whose", verdict(row), " ", words(row)));
        const second = panel(other);
        second.prepend(element("h4", "whose", verdict(other), " ", words(other)));
        body.append(second);
      }
      const trace = element("details", `trace ${index.arms[index.arm[row]].class}`, summary, body);
      trace.open = shown === 0;
      list.append(trace);
      shown++;
    }

    function showMore() {
      for (const row of matching.slice(shown, shown + PAGE)) show(row);
      const left = matching.length - shown;
      more.hidden = left === 0;
      more.textContent = `${Math.min(PAGE, left)} more`;
    }

    function filter() {
      const wanted = Object.fromEntries(new FormData(form));
      const arm = armOf.get(wanted.arm);
      const sought = wanted.words.trim().toLowerCase();
      const questions = index.questions.map(question =>
        (!wanted.kind || question.kind === wanted.kind) && (!wanted.set || question.set === wanted.set)
        && (!sought || question.asked.toLowerCase().includes(sought)));
      matching = rowsInOrder.filter(row => {
        if (!questions[index.question[row]] || (arm !== undefined && index.arm[row] !== arm)) return false;
        if (wanted.grounds && index.grounds[row] !== Number(wanted.grounds)) return false;
        const right = index.right[row] === 1;
        if (!wanted.beside) return !wanted.answer || right === (wanted.answer === "right");
        const other = beside(row);
        if (other === undefined || other === row) return false;
        switch (wanted.answer) {
          case "": return true;
          case "won": return right && !index.right[other];
          case "lost": return !right && index.right[other] === 1;
          default: return right === (wanted.answer === "right");
        }
      });
      list.replaceChildren();
      shown = 0;
      showMore();
      form.querySelector("output").textContent =
        `${matching.length.toLocaleString("en").replaceAll(",", "\u202f")} of ${rows.toLocaleString("en").replaceAll(",", "\u202f")}`;
    }

    /// Two more verdicts make sense where two answers stand side by side.
    function offer() {
      const answer = form.elements.answer;
      const both = form.elements.beside.value !== "";
      if (both && answer.length === 3) {
        answer.add(new Option("right, the other wrong", "won"));
        answer.add(new Option("wrong, the other right", "lost"));
      } else if (!both && answer.length > 3) answer.length = 3;
    }

    for (const { name, label } of index.arms) {
      form.elements.arm.add(new Option(label, name));
      form.elements.beside.add(new Option(label, name));
    }
    for (const name of ["kind", "set"]) {
      for (const value of [...new Set(index.questions.map(question => question[name]))].sort()) {
        form.elements[name].add(new Option(value));
      }
    }
    form.elements.grounds.parentElement.hidden = index.grounds.every(ground => ground === 0);
    form.addEventListener("input", () => { offer(); filter(); });
    form.addEventListener("submit", event => event.preventDefault());
    more.addEventListener("click", showMore);
    form.hidden = false;
    filter();
    document.getElementById("unread").hidden = true;
    document.documentElement.dataset.reader = "ready";
  }

  const failed = error => {
    document.getElementById("unread").textContent = `The reader could not start in this browser (${error.message}). The answers themselves are in answers.jsonl of the run’s evaluations.`;
  };
  unpack(document.getElementById("index")).then(start).catch(failed);
}
