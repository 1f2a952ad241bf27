// Says so where the page cannot start: in a browser too old for its scripts, or when one of them did not come. For such
// browsers it is a script of its own, in the JavaScript of 2009.

(function () {
  "use strict";
  var PATIENCE = 8000; // milliseconds
  var page = document.documentElement;

  function tell() {
    var place = document.getElementById("model");
    if (page.hasAttribute("data-started") || !place) return; // page.js sets this mark
    place.textContent = page.getAttribute("data-too-old");
    place.setAttribute("data-code", "too-old");
  }

  // In the capture phase, for what does not load tells nobody but its own element.
  window.addEventListener(
    "error",
    function (event) {
      var failed = event.target;
      if (failed === window || (failed && failed.nodeName === "SCRIPT")) tell();
    },
    true
  );
  setTimeout(tell, PATIENCE);
})();
