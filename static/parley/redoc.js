"use strict";

const place = document.getElementById("reference");
const text = '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const code = 'ui-monospace, SFMono-Regular, Menlo, Consolas, monospace';

// ReDoc's footer asks its vendor's host for a logo. Nothing here comes from elsewhere.
const source = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
const isOurs = (address) => new URL(address, location.href).origin === location.origin;
Object.defineProperty(HTMLImageElement.prototype, "src", {
  ...source,
  set(address) {
    if (isOurs(address)) source.set.call(this, address);
    else this.hidden = true;
  },
});
HTMLImageElement.prototype.setAttribute = function (name, value) {
  if (name === "src") this.src = value;
  else Element.prototype.setAttribute.call(this, name, value);
};

Redoc.init(place.dataset.schema, {
  disableSearch: false,
  hideDownloadButton: false,
  theme: {
    colors: { primary: { main: "#006764" } },
    typography: { fontFamily: text, headings: { fontFamily: text }, code: { fontFamily: code } },
  },
}, place);
