// Browsers load no module of a page that was opened as a file; this script is
// none, and says so.

if (location.protocol === "file:") {
  document.getElementById("answer").textContent =
    "This page needs a web server. In its folder run python -m http.server, " +
    "then open localhost:8000 in this browser.";
}
