// Redirects to the page in the language that the browser prefers, by the lookup of RFC 4647, section 3.4.

(function () {
  "use strict";
  var page = document.documentElement;
  var known = page.getAttribute("data-languages").split(" ");
  var wanted = navigator.languages || [navigator.language || ""];
  // Modules do not load from a folder: old.js tells so.
  if (location.protocol === "file:") page.setAttribute("data-too-old", page.getAttribute("data-from-disk"));
  for (var i = 0; i < wanted.length; i++) {
    for (var tag = wanted[i]; tag; tag = tag.substring(0, Math.max(0, tag.lastIndexOf("-")))) {
      if (tag === page.lang) return;
      if (known.indexOf(tag) >= 0) return location.replace(tag + ".html" + location.hash);
    }
  }
})();
