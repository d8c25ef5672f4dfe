// Make tables sortable and filterable. Rows start in the page's own order: the reference first.
const PAGE = 50;
const number = (text) => { const value = parseFloat(String(text).replace("\u2212", "-").replaceAll(",", "")); return isNaN(value) ? null : value; };
const missingLast = (compare) => (a, b) => (a === null || b === null ? (a === null) - (b === null) : compare(a, b));
DataTable.ext.type.order["number-pre"] = number;
DataTable.ext.type.order["number-asc"] = missingLast((a, b) => a - b);
DataTable.ext.type.order["number-desc"] = missingLast((a, b) => b - a);
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.querySelectorAll("thead th")];
  const rows = table.tBodies[0].rows.length;
  const caption = table.caption;
  const long = rows > PAGE;
  const api = new DataTable(table, {
    order: [],
    columnDefs: [{ type: "number", targets: heads.flatMap((head, index) => (head.classList.contains("number") ? [index] : [])) }],
    autoWidth: false,
    paging: long,
    pageLength: PAGE,
    lengthMenu: [PAGE, 200, { label: "All", value: -1 }],
    searching: rows > 7,
    info: rows > 7,
    layout: {
      topStart: rows > 7 ? "search" : null,
      topEnd: null,
      bottomStart: rows > 7 ? "info" : null,
      bottomEnd: long ? ["pageLength", "paging"] : null,
    },
    language: { search: "Filter ", info: "_TOTAL_ of _MAX_ rows", infoFiltered: "", infoEmpty: "no rows", lengthMenu: "_MENU_ rows per page", zeroRecords: "No row matches the filter." },
  });
  table.caption ?? table.prepend(caption);
  const top = api.table().container().querySelector(".dt-layout-start");
  if (rows > 7) {
    heads.forEach((head, index) => {
      if (!("filter" in head.dataset)) return;
      const values = [...new Set(api.column(index).data().toArray().map((cell) => new DOMParser().parseFromString(cell.display ?? cell, "text/html").body.textContent.trim()))];
      if (values.length < 2 || values.length > 60) return;
      const label = document.createElement("label");
      const menu = document.createElement("select");
      label.append(head.textContent.trim() + " ", menu);
      menu.setAttribute("aria-label", `Filter by ${head.textContent.trim().toLowerCase()}`);
      menu.append(new Option(`any ${head.textContent.trim().toLowerCase()}`, ""), ...values.map((value) => new Option(value, value)));
      menu.addEventListener("change", () => api.column(index).search(menu.value, { exact: menu.value !== "" }).draw());
      top.append(label);
    });
  }
  const length = api.page.len();
  addEventListener("beforeprint", () => api.page.len(-1).draw());
  addEventListener("afterprint", () => api.page.len(length).draw());
}

// Fade out the right edge of content that is wider than its box, until it is scrolled to that edge.
for (const box of document.querySelectorAll(".scroll")) {
  const updateFade = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  box.addEventListener("scroll", updateFade, { passive: true });
  new ResizeObserver(updateFade).observe(box);
}

// Show a tooltip for the points of a figure, on pointer hover and on keyboard focus.
const marks = document.querySelectorAll("svg a.mark");
if (marks.length) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const hide = () => { tip.hidden = true; };
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  for (const mark of marks) {
    mark.querySelector("title")?.remove();
    const show = () => {
      const box = mark.getBoundingClientRect();
      tip.textContent = mark.getAttribute("aria-label");
      tip.hidden = false;
      const left = Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
      tip.style.left = `${Math.max(8, left) + scrollX}px`;
      tip.style.top = `${box.bottom + scrollY + 8}px`;
    };
    mark.addEventListener("pointerenter", show);
    mark.addEventListener("focus", show);
    mark.addEventListener("pointerleave", hide);
    mark.addEventListener("blur", hide);
  }
}
