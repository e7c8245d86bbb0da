// A table that is wider than its page scrolls sideways: by keyboard too, as Material's code blocks do.
document$.subscribe(() => {
  let heading = "";
  const reach = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.setAttribute("tabindex", "0");
      else target.removeAttribute("tabindex");
    }
  });
  for (const element of document.querySelectorAll("article :is(h1, h2, h3, h4, .md-typeset__scrollwrap)")) {
    if (element.matches(".md-typeset__scrollwrap")) {
      element.setAttribute("role", "region");
      element.setAttribute("aria-label", `Table: ${heading}`);
      reach.observe(element);
    } else heading = element.textContent.replace("¶", "").trim();
  }
});
