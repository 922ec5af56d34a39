"use strict";

const place = document.getElementById("reference");
const text = '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const code = 'ui-monospace, SFMono-Regular, Menlo, Consolas, monospace';

Redoc.init(place.dataset.schema, {
  disableSearch: false,
  hideDownloadButton: false,
  theme: {
    colors: { primary: { main: "#006764" } },
    typography: { fontFamily: text, headings: { fontFamily: text }, code: { fontFamily: code } },
  },
}, place);
