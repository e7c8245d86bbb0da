// Sorts a leaderboard by the header that is clicked, and hides the rows that a word does not match; the reference rows
// stay where they are. Opens all details on paper.
for (const table of document.querySelectorAll("table.leaderboard")) {
  const body = table.querySelector("tbody.ranked");
  const headers = [...table.querySelectorAll("thead tr:last-child th")];
  headers.forEach((header, column) => {
    if (!header.dataset.sort) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sortBy(body, headers, column));
  });
  addFilter(table, body);
}

function sortBy(body, headers, column) {
  const header = headers[column];
  const first = header.dataset.sort === "descending" ? "descending" : "ascending"; // the best on top
  const other = first === "ascending" ? "descending" : "ascending";
  const order = header.getAttribute("aria-sort") === first ? other : first;
  const sign = order === "ascending" ? 1 : -1;
  const asText = header.dataset.sort === "text";
  const key = (row) => (asText ? row.cells[column].textContent.trim() : row.cells[column].dataset.value);
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // no value: last, whatever the order
    return sign * (asText ? x.localeCompare(y) : x - y);
  };
  body.append(...[...body.rows].sort(compare));
  headers.forEach((each) => each.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", order);
  header.closest("table").querySelector(".order")?.remove(); // the caption's words for the order at first
}

function addFilter(table, body) {
  if (body.rows.length < 2) return;
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "search", placeholder: "name or state" });
  const count = document.createElement("output");
  label.className = "filter";
  label.append("Filter methods ", input, " ", count);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.querySelector("th").textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = input.value ? `${shown} of ${body.rows.length}` : "";
  });
  table.parentElement.before(label);
}

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
