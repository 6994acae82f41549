
"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  const body = one("tbody"), form = one("form"), shown = one("#shown"), none = one("#none");
  const heads = [...document.querySelectorAll("th")];
  const rows = [...body.rows].map((row, place) => ({
    row, place, state: row.dataset.state, code: row.dataset.code || "", text: row.cells[0].textContent.toLowerCase(),
  }));
  const total = rows.length.toLocaleString("en");

  const filter = () => {
    const {state, code, text} = Object.fromEntries(new FormData(form));
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const each of rows) {
      const fits = (!state || each.state === state) && (!code || each.code === code) && words.every((word) => each.text.includes(word));
      if (each.row.hidden === fits) each.row.hidden = !fits;
      count += fits;
    }
    shown.textContent = count === rows.length ? `${total} tasks` : `${count.toLocaleString("en")} of ${total} tasks`;
    none.hidden = count > 0;
  };

  const key = (cell) => cell.dataset.n === undefined ? cell.textContent.toLowerCase() : Number(cell.dataset.n);
  const compare = (one, other) => typeof one === "number" ? one - other : one < other ? -1 : one > other ? 1 : 0;
  const sort = (head) => {
    const column = heads.indexOf(head);
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    for (const each of rows) each.key = key(each.row.cells[column]);
    rows.sort((one, other) => (down ? -1 : 1) * compare(one.key, other.key) || one.place - other.place);
    // Taking all of them out first is twenty times as fast as moving each one.
    body.replaceChildren(...rows.map((each) => each.row));
  };

  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }
  for (const each of document.querySelectorAll(".codes code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = each.textContent;
    button.addEventListener("click", () => {
      form.reset();
      form.elements.code.value = each.textContent;
      filter();
      one("#tasks").scrollIntoView();
    });
    each.replaceWith(button);
  }
  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 80);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
  form.addEventListener("reset", () => setTimeout(filter));
  form.hidden = false;
  filter();
})();
