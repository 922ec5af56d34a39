"use strict";

const place = document.getElementById("reference");
SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
  // A schema in YAML is parsed by the bundle; JSON is asked for because it is faster.
  requestInterceptor: (request) => {
    if (request.url.endsWith(place.dataset.schema)) {
      request.headers.Accept = "application/vnd.oai.openapi+json, application/json";
    }
    return request;
  },
});
